//! The `Ledger` role: leaf bytes and hashes appended by compare-and-swap on one head per tenant.
//!
//! The ledger stores what it is given, byte for byte; it numbers nothing and hashes nothing of its
//! own. A record is committed when its tenant's head has moved, and never before (invariant 3).
//! `spec/leaf.md`, `spec/chain.md` and `spec/sealing.md` say what the bytes are.

use std::collections::BTreeSet;
use std::{ops::ControlFlow, ops::Range, sync::Arc};

use bytes::BytesMut;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::limits::LEAF_BYTES_MAX;
use indelible_merkle::{Frontier, Hash};
use indelible_proof::finding::Place;

use crate::{Column, Error, Kind, Result, Shared, TermKey};

/// Names one generation of one data subject of one tenant: 16 random bytes, written `sub_<hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub [u8; 16]);

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sub_")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The keyed hash by which a sealed value is found: equal for equal normalised values of one field
/// of one tenant, and worthless without the tenant's index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindHash(pub [u8; 16]);

impl FindHash {
    /// What nothing has: where a tenant has sealed nothing.
    pub const NOTHING: Self = Self([0; 16]);
}

/// A personal value beside its record: encrypted under the subject's key, never in the leaf.
///
/// `row` is the ciphertext of `spec/sealing.md` §personal row. Encryption is deterministic, so a
/// ledger keeps one copy of equal rows. Without `find` the value is a blob: kept with this record,
/// not searchable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Whose key opens it.
    pub handle: Handle,
    /// What finds it; a store that is read without keys may not know it.
    pub find: Option<FindHash>,
    /// Whether it is a blob, kept per record.
    pub blob: bool,
    /// The ciphertext.
    pub row: Arc<[u8]>,
}

/// Where a tenant's log ends: the commit point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The Merkle frontier over all leaves; its size is the next sequence number.
    pub frontier: Frontier,
    /// Record hash of the last record ([`Hash::ZERO`] before the first).
    pub last_hash: Hash,
    /// `ingested_at` of the last record.
    pub last_ingested_at: Micros,
}

/// The head an append builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Number of records committed.
    pub size: u64,
    /// Hash of the last of them ([`Hash::ZERO`] for none).
    pub last_hash: Hash,
}

/// What a record is filed under, as [`crate::terms::extract_hashes`] makes it of the event in its
/// leaf, with the key of the ledger that it goes to ([`Ledger::term_key`]).
#[derive(Clone, Debug)]
pub struct Filed {
    /// Hashes of its terms.
    pub terms: Shared<u64>,
    /// Numbers of the typed columns that the event carries.
    pub numbers: Shared<(Column, f64)>,
}

/// One record to append.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The leaf, at most 65,535 bytes; stored and returned verbatim. It may stand in a buffer with
    /// others.
    pub leaf: BytesMut,
    /// RFC 6962 leaf hash of `leaf`.
    pub record_hash: Hash,
    /// Unique in the tenant's log.
    pub audit_id: AuditId,
    /// When it happened, as the producer says.
    pub occurred_at: Micros,
    /// When it was committed.
    pub ingested_at: Micros,
    /// What it is filed under, where that is known; otherwise it follows from the event in the
    /// leaf.
    pub filed: Option<Filed>,
    /// Its personal values, in the order of subject and pointer.
    pub sealed: Vec<SealedValue>,
}

/// Records of one tenant, in order, and the head they lead to.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose log.
    pub tenant: TenantId,
    /// The head this builds on.
    pub expected: Expected,
    /// At least one record; the first has sequence number `expected.size`.
    pub records: Vec<NewRecord>,
    /// The head after the last record.
    pub head: Head,
}

/// One group commit: appends to different tenants, all or none.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// At most one append per tenant.
    pub appends: Vec<Append>,
}

impl Commit {
    /// Refuses what no ledger takes, whatever its heads are.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: no append, one without a record, two of a tenant,
    /// a leaf that is too long, or a head that does not count the records before it.
    pub fn check(&self) -> Result<()> {
        let invalid = |said: &str| Err(Error::new(Kind::Invalid, said));
        if self.appends.is_empty() {
            return invalid("a commit needs an append");
        }
        let mut tenants = BTreeSet::new();
        for append in &self.appends {
            if append.records.is_empty() {
                return invalid("an append needs a record");
            }
            if !tenants.insert(&append.tenant) {
                return invalid("a commit has one append per tenant");
            }
            let mut records = append.records.iter();
            if records.any(|record| record.leaf.len() > LEAF_BYTES_MAX) {
                return invalid("a leaf is longer than 65,535 bytes");
            }
            let records = append.records.len() as u64;
            if append.expected.size.checked_add(records) != Some(append.head.frontier.size()) {
                return invalid("the new head does not count the records of its append");
            }
        }
        Ok(())
    }
}

/// A record as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredRecord<'a> {
    /// Its place in the log.
    pub sequence_number: u64,
    /// The leaf, byte for byte.
    pub leaf: &'a [u8],
    /// Its personal values; one that cannot be read has an empty `row`.
    pub sealed: &'a [SealedValue],
    /// Where a personal value of it stands whose stored bytes changed, if there is one.
    pub unread: Option<&'a Place>,
}

/// What a range read meets.
#[derive(Clone, Debug)]
pub enum Stored<'a> {
    /// A record.
    Record(StoredRecord<'a>),
    /// Records that are there but cannot be read: stored bytes changed. Reading goes on after them.
    Damaged {
        /// Sequence numbers that cannot be read.
        range: Range<u64>,
        /// Where the damage is.
        place: Place,
    },
}

/// Append-only storage of many tenants' logs.
pub trait Ledger: Send + Sync {
    /// All tenants that have a log, in order.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`].
    fn tenants(&self) -> Result<Vec<TenantId>>;

    /// The tenant's durable head, if it has a log.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`].
    fn head(&self, tenant: &TenantId) -> Result<Option<Head>>;

    /// The durable heads of some tenants, in the order asked; as many calls of [`Ledger::head`],
    /// but for a ledger that is far away.
    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Option<Head>>> {
        tenants.iter().map(|tenant| self.head(tenant)).collect()
    }

    /// As [`Ledger::heads`], for whoever builds on them: of a log that others could change, only
    /// when its head is that of the last record which is there.
    fn heads_to_extend(&self, tenants: &[TenantId]) -> Vec<Result<Option<Head>>> {
        self.heads(tenants)
    }

    /// Sequence numbers of the records with these ids, in the order asked. Never a scan.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`] or [`crate::Kind::Corrupt`].
    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>>;

    /// As [`Ledger::find`] for ids of some tenants, in the order asked.
    fn find_all(&self, wanted: &[(&TenantId, &[AuditId])]) -> Vec<Result<Vec<Option<u64>>>> {
        let mut found = Vec::with_capacity(wanted.len());
        found.extend(wanted.iter().map(|(tenant, ids)| self.find(tenant, ids)));
        found
    }

    /// With what terms are hashed before they come here; `None` if this ledger does that itself.
    fn term_key(&self) -> Option<TermKey> {
        None
    }

    /// Appends all of `commit` or nothing.
    ///
    /// The caller has made sure that no `audit_id` is in the log already; a ledger that many
    /// writers share checks it again.
    ///
    /// # Errors
    /// [`crate::Kind::Conflict`] when a head is not as expected; [`crate::Kind::NoSpace`] when
    /// nothing was kept; [`crate::Kind::UnknownOutcome`] when it may have been: read the heads.
    ///
    /// # Durability
    /// Durable, and found by every later read of this ledger, when it returns.
    fn append(&self, commit: &Commit) -> Result<()>;

    /// Keeps every other writer from the heads of these tenants until the turn was used or is
    /// dropped: what is built on them meanwhile does not conflict. `None` where nobody else writes.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`], also when others held them for too long.
    fn turn(&self, _tenants: &[TenantId]) -> Result<Option<Box<dyn Turn>>> {
        Ok(None)
    }

    /// Calls `visit` for the records of `range` in order, up to the head, until it breaks. A record
    /// that stands twice, as no commit leaves it, is given twice, one after the other.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`]; damage is not an error but [`Stored::Damaged`].
    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()>;

    /// As [`Ledger::read`] for each of some ranges, one after the other; as many calls, but for a
    /// ledger that is far away.
    ///
    /// # Errors
    /// As there.
    fn read_ranges<'a>(
        &self,
        wanted: &[(&'a TenantId, Range<u64>)],
        visit: &mut dyn FnMut(&'a TenantId, Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        for (tenant, range) in wanted {
            let mut flow = ControlFlow::Continue(());
            self.read(tenant, range.clone(), &mut |stored| {
                flow = visit(tenant, stored);
                flow
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Damaged places that may have held records behind the end of some log: nothing that is left
    /// says of which. The last is the one written last.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`].
    fn unplaced(&self) -> Result<Vec<Place>> {
        Ok(Vec::new())
    }

    /// Root of the complete subtree of `2^level` leaves that starts at leaf `index << level`.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] when the subtree is not complete at the head.
    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash>;
}

/// The right of one writer, among many, to move some heads next.
pub trait Turn: Send + std::fmt::Debug {
    /// As [`Ledger::append`], and ends the turn.
    ///
    /// # Errors
    /// As there.
    fn append(self: Box<Self>, commit: &Commit) -> Result<()>;
}

/// Learns from a stored personal row what finds it.
///
/// The find hash is inside the ciphertext, so that a store which is copied without its keys tells
/// nothing; a store that is opened with keys asks this and keeps the answers in memory.
pub trait RowOpener: Send + Sync {
    /// The find hash in `row`, or `None` when its key is not there or the row is a blob.
    fn find(&self, tenant: &TenantId, handle: Handle, row: &[u8]) -> Option<FindHash>;
}
