//! Verifying the logs of a server: every record is fetched and checked here, against the checkpoint
//! that the server published.
//!
//! The server is believed in nothing but which tenants there are: what it says of itself is not
//! asked for, and what it leaves out, changes or repeats is found as in an export.

use std::collections::BTreeSet;

use indelible_api::{RecordList, Tenant};
use indelible_event::ids::TenantId;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind, Span, records};
use indelible_proof::tail::Tail;
use indelible_proof::verify::{Expected, LogVerifier};

use super::checkpoints::{note, who_it_says};
use super::report::print_whole;
use super::{Given, Report};
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::remote::{Asked, Remote, Unreadable};

/// What the server alone knows.
const UNCHECKED: &str = "registry, files, sealed values and attachments: only where the data \
                         directory is; which tenants there are is what the server says";

/// Verifies and prints; whether all is clean.
///
/// # Errors
/// [`Failure::Could`] when the server cannot be asked, or shows no log.
pub fn server(
    remote: &Remote,
    tenant: Option<&TenantId>,
    given: &Given,
    output: &mut Output,
) -> Result<bool> {
    let logs = match tenant {
        Some(tenant) => vec![(tenant.clone(), remote.tenant(tenant)?)],
        None => remote.tenants()?,
    };
    if logs.is_empty() {
        let url = remote.url();
        let text = format!("{url} shows no tenant to this key: nothing was verified");
        return Err(Failure::Could(text));
    }
    let mut strange = given.checkpoint.as_ref();
    let mut places = BTreeSet::new();
    let (mut clean, mut unsound) = (true, 0);
    for (tenant, told) in &logs {
        let log = Log {
            remote,
            tenant,
            told,
            given,
        };
        let (report, about) = log.verify(&mut places, output)?;
        report.print(output)?;
        output.flush()?;
        clean &= report.is_clean(given);
        unsound += usize::from(!report.is_sound());
        strange = strange.filter(|_| !about);
    }
    let damage = places.into_iter().map(|place| {
        let message = "records that nobody can be told of cannot be read";
        Finding::new(FindingKind::Corrupt, message).place(place, 0..0)
    });
    let mut findings: Vec<_> = damage.collect();
    if let Some(signed) = strange {
        let message = format!(
            "the checkpoint given is of none of the logs checked here: {}",
            signed.unverified().origin
        );
        findings.push(Finding::new(FindingKind::UnknownCheckpoint, message));
    }
    let unsound = (unsound > 0).then(|| format!("{unsound} of {} logs", logs.len()));
    let unchecked = [UNCHECKED.to_owned()];
    print_whole("server", unsound.as_deref(), &findings, &unchecked, output)?;
    Ok(clean && findings.is_empty())
}

/// A log, and what the server says of it.
struct Log<'a> {
    remote: &'a Remote,
    tenant: &'a TenantId,
    told: &'a Tenant,
    given: &'a Given,
}

impl Log<'_> {
    /// The report, and whether the checkpoint given was compared with this log.
    fn verify(&self, places: &mut BTreeSet<String>, output: &Output) -> Result<(Report, bool)> {
        let (remote, name) = (self.remote, self.tenant.as_str());
        // Read before the records, so that they reach it also while the log grows.
        let published = remote.published(self.tenant)?;
        let size = published.as_ref().map_or(0, |head| head.size);
        let size = size.max(self.told.records.unwrap_or(0));
        if size == 0 {
            // Every log has a first record.
            let what = format!("the log of {name} has no end that it can tell");
            return Err(remote.strange(what));
        }
        let progress = output.progress();
        progress.of_things(name, Some(size));
        let mut verifier = LogVerifier::new(name);
        let (mut unchecked, mut about) = (Vec::new(), false);
        let mut unreadable = Unreadable::new(self.tenant, size);
        let mut pages = remote.records(Asked::log(self.tenant, size));
        let mut read = 0;
        while let Some(page) = pages.next()? {
            if read == 0 {
                let published = published.as_ref().map(|head| head.checkpoint.as_bytes());
                let published = published.and_then(|note| SignedCheckpoint::parse(note).ok());
                let first = page.records.first().map_or("", |record| &record.leaf);
                about = self.anchor(&mut verifier, published.as_ref(), first, &mut unchecked);
            }
            self.leads_on(&page, read)?;
            unreadable.take(&page.unreadable);
            for record in &page.records {
                let leaf = record.leaf.as_bytes();
                let number = Tail::scan(leaf).ok().map(|tail| tail.sequence_number);
                while let Some((span, place)) = unreadable.before(number.unwrap_or(read)) {
                    verifier.unreadable(span, &place);
                }
                let expected = Expected {
                    record_hash: Some(record.record_hash),
                    ..Expected::default()
                };
                verifier.push_expecting(leaf, expected);
                read += 1;
                progress.set(read);
            }
        }
        while let Some((span, place)) = unreadable.before(u64::MAX) {
            verifier.unreadable(span, &place);
        }
        places.append(&mut unreadable.nobodys);
        progress.clear();
        let verdict = verifier.finish();
        let mut beside = Vec::new();
        let here = verdict.head.size;
        if verdict.is_sound() && here < size {
            let message = format!("the server says {}, and gave {here}", records(size));
            let finding = Finding::new(FindingKind::TruncatedTail, message).tenant(name);
            beside.push(finding.records(Span::new(here, size - 1)));
        }
        let report = Report {
            file: None,
            verdict,
            beside,
            attachments: None,
            has_checkpoint: published.is_some() || about,
            unchecked,
        };
        Ok((report, about))
    }

    /// Holds the log against the checkpoint that was published, and the one given if it is of this
    /// log, which is the answer.
    fn anchor(
        &self,
        verifier: &mut LogVerifier,
        published: Option<&SignedCheckpoint>,
        first: &str,
        unchecked: &mut Vec<String>,
    ) -> bool {
        let who = who_it_says(self.tenant.as_str(), first.as_bytes());
        let named = who.as_ref().and_then(|who| who.verifier_key.parse().ok());
        let is_about = |signed: &&SignedCheckpoint| {
            let of = signed.unverified().origin.rsplit_once('/');
            of.is_some_and(|(_, of)| who.as_ref().is_some_and(|who| who.log_id == of))
        };
        let kept = self.given.checkpoint.as_ref().filter(is_about);
        for signed in kept.into_iter().chain(published) {
            unchecked.extend(note(verifier, signed, self.given, named.as_ref()).err());
        }
        kept.is_some()
    }

    /// Whether a page that another follows goes beyond what was read: a server that gives the same
    /// records again and again is not listened to for ever.
    fn leads_on(&self, page: &RecordList, read: u64) -> Result {
        let is_new = |leaf: &str| {
            let tail = Tail::scan(leaf.as_bytes());
            tail.is_ok_and(|tail| tail.sequence_number >= read)
        };
        if page.next_cursor.is_none() || page.records.iter().any(|record| is_new(&record.leaf)) {
            return Ok(());
        }
        let what = format!("records of {} that it gave before", self.tenant);
        Err(self.remote.strange(what))
    }
}
