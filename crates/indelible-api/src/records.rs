//! Records as they are read: the leaf, byte for byte, and what a program wants without parsing it.

use indelible_merkle::Hash;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The record as JSON, with the personal values that may be shown put back in their places.
    /// Raw, so that numbers keep every digit.
    pub record: Box<RawValue>,
    /// RFC 6962 leaf hash of `leaf`.
    pub record_hash: Hash,
    /// The exact bytes that were hashed.
    pub leaf: String,
    /// Why `record` has personal values other than they are; left out where it has all, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<Personal>,
    /// By what the personal values can be held against the commitments in `leaf`: of each subject
    /// whose values all open. Of a single record, for whoever may see them as they are; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclosures: Vec<Disclosures>,
}

/// The personal values of one subject in one record, with what makes them the ones committed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosures {
    /// The subject's handle, as in `sealed` of the leaf.
    pub subject: String,
    /// The exact text of each disclosure, sorted by pointer: `spec/receipt.md` §3.
    pub disclosures: Vec<String>,
}

/// Why a record has personal values other than they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Personal {
    /// Whoever asks may not see them: their shapes stand in their places.
    Masked,
    /// Some are left out, since they stay sealed: erased, or the keys are not at hand.
    Sealed,
}

/// One page of an answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordList {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Give it as `cursor` for the next page; null when there is none.
    pub next_cursor: Option<String>,
    /// The mark of the index that all pages of this answer are as of. Null for a key that is bound
    /// to tenants: it counts the records of all.
    pub indexed_up_to: Option<u64>,
    /// Records that the answer may lack because they cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Tenants whose personal values were not searched, since their keys are not at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsearched: Vec<String>,
}

/// Records that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Whose they are, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Sequence number of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Sequence number of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Where the damage is.
    pub place: String,
}
