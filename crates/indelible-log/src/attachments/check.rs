//! Whether what records name is there: every attachment that is named is read as a whole, once.
//!
//! One finding for each that is missing or damaged, up to a bound; all are counted. What was erased
//! is no finding: its key was destroyed. `spec/attachment.md` §5.

use std::collections::HashSet;

use indelible_event::ids::TenantId;
use indelible_merkle::Hash;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Kind, Result};

use super::file::Whole;
use super::{Attachments, KEPT, Reference, identity, name_of, references};

/// Findings of one log that are told.
const FINDINGS_MAX: usize = 100;

/// Looks at what the records of one log name.
pub struct Check<'a> {
    store: &'a Attachments,
    tenant: &'a TenantId,
    seen: HashSet<Hash>,
    failed: Option<Error>,
    checked: Checked,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Attachments that are named.
    pub named: u64,
    /// Those of which the key was destroyed.
    pub erased: u64,
    /// Those that are missing or damaged.
    pub lost: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    /// Of the log of a tenant.
    pub fn new(store: &'a Attachments, tenant: &'a TenantId) -> Self {
        Self {
            store,
            tenant,
            seen: HashSet::new(),
            failed: None,
            checked: Checked::default(),
        }
    }

    /// Looks at what a record names.
    pub fn record(&mut self, number: u64, leaf: &[u8]) {
        for named in references(leaf) {
            if self.failed.is_some() || !self.seen.insert(named.digest.0) {
                continue;
            }
            self.checked.named += 1;
            let found = match self.look(&named) {
                Ok(found) => found,
                Err(error) => {
                    self.failed = Some(error);
                    return;
                }
            };
            match found {
                Found::Whole => {}
                Found::Erased => self.checked.erased += 1,
                Found::Lost(how, path) => self.tell(number, &named, (how, path)),
            }
        }
    }

    /// What came of all of them.
    ///
    /// # Errors
    /// When the key store or the disk could not be asked.
    pub fn finish(self) -> Result<Checked> {
        match self.failed {
            None => Ok(self.checked),
            Some(error) => Err(error),
        }
    }

    fn look(&self, named: &Reference) -> Result<Found> {
        let (store, id) = (self.store, named.digest.token());
        let handles = store.keyring.generations(self.tenant, identity(&id))?;
        let Some(&handle) = handles.last() else {
            return Ok(Found::Lost("is missing", KEPT.to_owned()));
        };
        let Some(subject) = store.keyring.by_handle(self.tenant, handle)? else {
            return Ok(Found::Erased);
        };
        let path = format!("{KEPT}/{}", name_of(handle));
        let whole = Whole::open(store.disk.as_ref(), &path, &subject);
        let checked = whole.and_then(|whole| {
            whole.check()?;
            Ok(whole.bytes() == named.bytes && whole.digest() == named.digest)
        });
        match checked {
            Ok(true) => Ok(Found::Whole),
            Ok(false) => Ok(Found::Lost("is damaged", path)),
            Err(error) if error.kind() == Kind::Corrupt => Ok(Found::Lost("is damaged", path)),
            Err(error) if error.kind() == Kind::NotFound => Ok(Found::Lost("is missing", path)),
            Err(error) => Err(error),
        }
    }

    fn tell(&mut self, number: u64, named: &Reference, (how, path): (&str, String)) {
        self.checked.lost += 1;
        if self.checked.findings.len() >= FINDINGS_MAX {
            return;
        }
        let message = format!(
            "the attachment {} ({} bytes) that record {number} names {how}",
            named.digest, named.bytes
        );
        let bytes = self.store.disk.len(&path).ok().flatten().unwrap_or(0);
        let finding = Finding::new(FindingKind::Corrupt, message);
        let finding = finding.tenant(self.tenant.as_str()).place(path, 0..bytes);
        self.checked.findings.push(finding);
    }
}

enum Found {
    Whole,
    Erased,
    /// How, and the file.
    Lost(&'static str, String),
}
