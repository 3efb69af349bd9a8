//! One record as the verifier sees it: what was read from its bytes, and what is wrong with it.

use indelible_merkle::{Hash, leaf_hash};

use super::LogIdentity;
use super::recovery::{Recovery, recovery};
use super::sealed::{Fit, not_committed};
use crate::disclosure::{Commitment, DisclosureError, DisclosureLine, commitments};
use crate::finding::FindingKind;
use crate::stream::{EpochId, SAYS_NO_NUMBER, Statement, Streams};
use crate::tail::{RECORD_VERSION, Tail};

/// What a store knows about a record beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// The place it is stored at.
    pub sequence_number: Option<u64>,
    /// The record hash kept elsewhere, for instance in a tile.
    pub record_hash: Option<Hash>,
}

/// No ledger counts as far; what does is no record, and is not calculated with.
const SEQUENCE_NUMBERS_END: u64 = 1 << 63;

/// Something wrong with one record, to be reported unless the record as a whole is not the one that
/// was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) kind: FindingKind,
    pub(super) message: String,
}

/// `ingested_at` as it stands in the leaf; times of one form compare as text.
pub(super) type Time = [u8; 27];

#[derive(Debug)]
pub(super) struct Record {
    pub(super) number: u64,
    /// Whether the number is known, from the bytes or from the store.
    pub(super) placed: bool,
    pub(super) hash: Hash,
    pub(super) stored: Option<Hash>,
    pub(super) previous: Option<Hash>,
    pub(super) time: Option<Time>,
    pub(super) audit_id: Option<[u8; 16]>,
    pub(super) claim: Option<(Option<EpochId>, u64)>,
    pub(super) statement: Option<Box<Statement>>,
    /// Whether nothing is to be concluded from its not claiming a number.
    pub(super) ours: bool,
    pub(super) identity: Option<Box<LogIdentity>>,
    pub(super) recovery: Option<Box<Recovery>>,
    pub(super) erased: Vec<String>,
    pub(super) fit: Fit,
    pub(super) defects: Vec<Defect>,
}

impl Record {
    /// A record of which only the hash is there, and so everything that a leaf does not say.
    pub(super) fn stub(number: u64, hash: Hash) -> Self {
        Self {
            number,
            placed: true,
            hash,
            stored: None,
            previous: None,
            time: None,
            audit_id: None,
            claim: None,
            statement: None,
            ours: false,
            identity: None,
            recovery: None,
            erased: Vec::new(),
            fit: Fit::default(),
            defects: Vec::new(),
        }
    }

    pub(super) fn defect(&mut self, kind: FindingKind, message: impl Into<String>) {
        self.defects.push(Defect {
            kind,
            message: message.into(),
        });
    }

    /// Whether the hash kept elsewhere is another.
    pub(super) fn differs_from_stored(&self) -> bool {
        self.stored.is_some_and(|stored| stored != self.hash)
    }

    /// Reads a leaf. What cannot be read is a defect; the hash is always that of the bytes.
    /// `position` is the number it is taken to have when it does not say.
    pub(super) fn read(
        leaf: &[u8],
        expected: Expected,
        position: u64,
        (tenant_id, streams): (&str, &mut Streams),
    ) -> Self {
        let number = expected.sequence_number.unwrap_or(position);
        let hash = leaf_hash(leaf);
        let mut record = Self {
            stored: expected.record_hash,
            ..Self::stub(number, hash)
        };
        let possible = |tail: &Tail<'_>| tail.sequence_number < SEQUENCE_NUMBERS_END;
        let tail = Tail::scan(leaf).map_err(|why| why.to_string());
        let tail = match tail.and_then(|tail| {
            let too_large = || "its number is larger than any can be".to_owned();
            Some(tail).filter(possible).ok_or_else(too_large)
        }) {
            Ok(tail) => tail,
            Err(why) => {
                record.placed = expected.sequence_number.is_some();
                record.defect(
                    FindingKind::BadLeaf,
                    format!("these bytes are no record: {why}"),
                );
                return record;
            }
        };
        record.previous = tail.previous().ok();
        record.number = tail.sequence_number;
        if let Some(place) = expected
            .sequence_number
            .filter(|place| *place != record.number)
        {
            record.misnumbered(place);
        }
        if tail.record_version != RECORD_VERSION {
            let message = format!(
                "the record is of version {}, this verifier knows {RECORD_VERSION}",
                tail.record_version
            );
            record.defect(FindingKind::UnknownVersion, message);
            return record;
        }
        if record.previous.is_none() {
            record.defect(
                FindingKind::BadLeaf,
                "previous_hash is not 64 lower-case hex digits",
            );
        }
        if tail.tenant_id != tenant_id {
            let message = format!("the record belongs to the log of {}", tail.tenant_id);
            record.defect(FindingKind::WrongTenant, message);
        }
        record.time = tail.ingested_at.as_bytes().try_into().ok();
        record.audit_id = tail.audit_id(leaf).and_then(uuid);
        if record.audit_id.is_none() {
            record.defect(FindingKind::BadLeaf, "the event has no audit_id");
        }
        record.read_streams(leaf, &tail, streams);
        record
    }

    fn read_streams(&mut self, leaf: &[u8], tail: &Tail<'_>, streams: &mut Streams) {
        self.claim = tail
            .claim(leaf)
            .map(|claim| (streams.locate(&claim), claim.number));
        self.ours = tail.has_type(leaf, SAYS_NO_NUMBER);
        if self.ours {
            let event = &leaf[tail.event.clone()];
            self.identity = (tail.sequence_number == 0)
                .then(|| identity(event))
                .flatten();
            self.statement = Statement::parse(event).map(Box::new);
            self.recovery = recovery(event, tail.sequence_number, tail.ingested_at);
            self.erased = erased_subjects(event);
        }
    }

    /// Takes it for bytes that say no number if its event is no JSON: what two lines that became
    /// one look like, the tail being that of the second.
    pub(super) fn doubt_form(&mut self, leaf: &[u8]) {
        let event = Tail::scan(leaf).ok().and_then(|tail| leaf.get(tail.event));
        let is_json = |bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        if !event.is_some_and(is_json) {
            self.placed = false;
            self.previous = None;
            self.defect(FindingKind::BadLeaf, "these bytes are no record");
        }
    }

    /// Notes that the number in the bytes is not the place, which is what counts from here on.
    pub(super) fn misnumbered(&mut self, place: u64) {
        let message = format!("its sequence number says {}", self.number);
        self.defect(FindingKind::ContentMismatch, message);
        self.number = place;
    }

    /// Compares the commitments of a leaf with the disclosures given for it.
    pub(super) fn check_disclosures(
        &mut self,
        leaf: &[u8],
        tenant_id: &str,
        mut lines: Vec<DisclosureLine>,
    ) {
        let commitments = match commitments(leaf) {
            Ok(commitments) => commitments,
            Err(DisclosureError::Leaf(_)) => return,
            Err(why) => return self.defect(FindingKind::BadLeaf, why.to_string()),
        };
        let id = self.audit_id.map(|id| format_uuid(&id));
        let fits = |line: &DisclosureLine, commitment: &Commitment| {
            line.subject == commitment.subject
                && line.tenant_id == tenant_id
                && id.as_ref().is_none_or(|id| *id == line.audit_id)
                && line.root().is_ok_and(|root| root == commitment.root)
        };
        let (mut from, mut swapped) = (0, false);
        for commitment in &commitments {
            let given = lines.iter().position(|line| fits(line, commitment));
            if let Some(at) = given {
                lines.remove(at);
                self.fit.fitted += 1;
                swapped |= at < from;
                from = at;
            }
            let owed = given.is_none().then(|| commitment.clone());
            self.fit.owed.push(owed);
        }
        for line in lines {
            if commitments.iter().any(|commitment| fits(&line, commitment)) {
                self.fit.repeated = true;
                let message = format!("the values disclosed for {} stand twice", line.subject);
                self.defect(FindingKind::DuplicateRecord, message);
            } else if let Some(owed) = self.fit.take_meant(&line) {
                self.defect(
                    FindingKind::SealedValueMismatch,
                    not_committed(&owed.subject),
                );
            } else {
                self.fit.strays.push(line);
            }
        }
        if swapped && !self.fit.repeated {
            let message = "the lines of its disclosures are there, but not in their order";
            self.defect(FindingKind::OutOfOrder, message);
        }
    }

    /// What is wrong with it, as notes for a finding about the record as a whole.
    pub(super) fn into_notes(self) -> impl Iterator<Item = String> {
        let strays = self.fit.strays.into_iter();
        let defects = self.defects.into_iter().map(|defect| defect.message);
        defects.chain(strays.map(|line| not_committed(&line.subject)))
    }
}

/// What `log.created` says: its `data` object.
fn identity(event: &[u8]) -> Option<Box<LogIdentity>> {
    #[derive(serde::Deserialize)]
    struct Event {
        data: Box<LogIdentity>,
    }
    serde_json::from_slice::<Event>(event)
        .ok()
        .map(|event| event.data)
}

/// The handles that a `privacy.erased` record names: `data.subjects`, an array of strings.
fn erased_subjects(event: &[u8]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Data {
        subjects: Vec<String>,
    }
    #[derive(serde::Deserialize)]
    struct Event {
        event_type: String,
        data: Data,
    }
    let event = serde_json::from_slice::<Event>(event).ok();
    let event = event.filter(|event| event.event_type == "privacy.erased");
    event.map_or(Vec::new(), |event| event.data.subjects)
}

/// The bytes of a lower-case hyphenated UUID.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut hex = [b'0'; Hash::HEX_BYTES];
    let mut at = 0;
    for (place, byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            hex[at] = *byte;
            at += 1;
        }
    }
    let bytes = Hash::from_hex(&hex).ok()?.to_bytes();
    bytes.first_chunk().copied()
}

pub(super) fn format_uuid(id: &[u8; 16]) -> String {
    indelible_event::AuditId(*id).to_string()
}
