//! Disclosures of sealed personal values and the commitments they must fit.
//!
//! A commitment is the RFC 6962 root over the disclosures of one subject in one record, sorted by
//! pointer. What it is not: encryption or keys; salts arrive ready made. Disclosure bytes are
//! hashed as they stand, so a value is never parsed and written again.
//!
//! Source: `spec/sealing.md`, `spec/receipt.md` §3.

use indelible_merkle::{Hash, leaf_hash, root_of};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::tail::{Tail, TailError, member};

/// One commitment in a record: `event.sealed[i]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Root over the subject's disclosures in this record.
    pub root: Hash,
    /// The subject's handle.
    pub subject: String,
}

/// Why disclosures do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// The record's bytes are no leaf.
    #[error(transparent)]
    Leaf(#[from] TailError),
    /// The record's `sealed` member or a disclosure is not of its form.
    #[error("not of its form: {0}")]
    Form(&'static str),
    /// The record commits to nothing for this subject.
    #[error("the record has no commitment for {0}")]
    NoCommitment(String),
    /// The disclosures lead to another root.
    #[error("the values disclosed for {0} are not those the record committed to")]
    Mismatch(String),
}

/// The canonical bytes of one disclosure: `["<salt, 64 hex>","<pointer>",<value>]`.
///
/// `value_json` must be canonical JSON; it is copied as it is.
pub fn disclosure_bytes(salt: &[u8; 32], pointer: &str, value_json: &[u8]) -> Vec<u8> {
    let pointer = serde_json::Value::from(pointer).to_string();
    let mut bytes = Vec::with_capacity(72 + pointer.len() + value_json.len());
    bytes.extend_from_slice(b"[\"");
    bytes.extend_from_slice(&Hash::from_bytes(*salt).to_hex());
    bytes.extend_from_slice(b"\",");
    bytes.extend_from_slice(pointer.as_bytes());
    bytes.push(b',');
    bytes.extend_from_slice(value_json);
    bytes.push(b']');
    bytes
}

/// The commitment over disclosures that are already sorted by pointer (UTF-8 byte order).
pub fn commitment_root<B: AsRef<[u8]>>(disclosures: &[B]) -> Hash {
    root_of(
        disclosures
            .iter()
            .map(|disclosure| leaf_hash(disclosure.as_ref())),
    )
}

/// The commitments of a record.
///
/// # Errors
/// [`DisclosureError::Leaf`] or [`DisclosureError::Form`].
pub fn commitments(leaf: &[u8]) -> Result<Vec<Commitment>, DisclosureError> {
    let tail = Tail::scan(leaf)?;
    let Some(sealed) = member(&leaf[tail.event], b"sealed") else {
        return Ok(Vec::new());
    };
    let mut values = serde_json::Deserializer::from_slice(sealed).into_iter();
    values
        .next()
        .and_then(Result::ok)
        .ok_or(DisclosureError::Form("the member sealed"))
}

/// One line of a `.disclosures` file: all values of one subject in one record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosureLine {
    /// Id of the record's event.
    pub audit_id: String,
    /// The disclosures, byte for byte, sorted by pointer.
    pub disclosures: Vec<Box<RawValue>>,
    /// Place of the record.
    pub sequence_number: u64,
    /// The subject's handle.
    pub subject: String,
    /// Whose log.
    pub tenant_id: String,
}

impl DisclosureLine {
    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// [`DisclosureError::Form`].
    pub fn parse(line: &[u8]) -> Result<Self, DisclosureError> {
        let form = || DisclosureError::Form("a line of disclosures");
        // White space around it is not of the form.
        let whole = line.starts_with(b"{") && line.ends_with(b"}");
        let line = Some(line).filter(|_| whole).ok_or_else(form)?;
        serde_json::from_slice(line).map_err(|_| form())
    }

    /// The root its disclosures lead to, if every one is of the form and they are sorted.
    ///
    /// # Errors
    /// [`DisclosureError::Form`].
    pub fn root(&self) -> Result<Hash, DisclosureError> {
        let mut before: Option<String> = None;
        for disclosure in &self.disclosures {
            let pointer = pointer_of(disclosure)?;
            if before.is_some_and(|before| before >= pointer) {
                return Err(DisclosureError::Form("disclosures not sorted by pointer"));
            }
            before = Some(pointer);
        }
        let bytes: Vec<_> = self
            .disclosures
            .iter()
            .map(|raw| raw.get().as_bytes())
            .collect();
        Ok(commitment_root(&bytes))
    }
}

fn pointer_of(disclosure: &RawValue) -> Result<String, DisclosureError> {
    let form = || DisclosureError::Form("a disclosure is [salt, pointer, value]");
    let (salt, pointer, _): (Hash, String, &RawValue) =
        serde_json::from_str(disclosure.get()).map_err(|_| form())?;
    let _ = salt;
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(pointer)
    } else {
        Err(form())
    }
}

/// One leaf of a commitment in a bundle: shown, or only its hash.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// Not shown: the leaf hash.
    Hidden(Hash),
    /// Shown, byte for byte.
    Disclosed(Box<RawValue>),
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A string is a hash, anything else is kept byte for byte.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        match raw
            .get()
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
        {
            Some(hash) => hash.parse().map(Self::Hidden).map_err(D::Error::custom),
            None => Ok(Self::Disclosed(raw)),
        }
    }
}

/// Chosen values of one subject in one record, with the hashes of those not chosen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenDisclosures {
    /// Every leaf of the commitment, in order.
    pub leaves: Vec<Shown>,
    /// The subject's handle.
    pub subject: String,
}

impl ChosenDisclosures {
    /// Chooses from a full line the values whose pointer `show` accepts.
    ///
    /// # Errors
    /// [`DisclosureError::Form`].
    pub fn choose(
        line: &DisclosureLine,
        show: impl Fn(&str) -> bool,
    ) -> Result<Self, DisclosureError> {
        let choose = |raw: &RawValue| {
            let shown = show(&pointer_of(raw)?);
            let hash = || Shown::Hidden(leaf_hash(raw.get().as_bytes()));
            Ok(if shown {
                Shown::Disclosed(raw.to_owned())
            } else {
                hash()
            })
        };
        let leaves = line
            .disclosures
            .iter()
            .map(|raw| choose(raw.as_ref()))
            .collect::<Result<_, DisclosureError>>()?;
        Ok(Self {
            leaves,
            subject: line.subject.clone(),
        })
    }

    /// Checks the shown values against the record's commitment and gives (pointer, value) of each.
    ///
    /// # Errors
    /// [`DisclosureError`]: no value is to be believed.
    pub fn verify(&self, leaf: &[u8]) -> Result<Vec<(String, String)>, DisclosureError> {
        let commitments = commitments(leaf)?;
        let commitment = commitments
            .iter()
            .find(|commitment| commitment.subject == self.subject)
            .ok_or_else(|| DisclosureError::NoCommitment(self.subject.clone()))?;
        let hashes = self.leaves.iter().map(|leaf| match leaf {
            Shown::Hidden(hash) => *hash,
            Shown::Disclosed(raw) => leaf_hash(raw.get().as_bytes()),
        });
        if root_of(hashes) != commitment.root {
            return Err(DisclosureError::Mismatch(self.subject.clone()));
        }
        let mut values = Vec::new();
        for leaf in &self.leaves {
            if let Shown::Disclosed(raw) = leaf {
                let pointer = pointer_of(raw)?;
                let (_, _, value): (&RawValue, &RawValue, &RawValue) =
                    serde_json::from_str(raw.get())
                        .map_err(|_| DisclosureError::Form("a disclosure"))?;
                values.push((pointer, value.get().to_owned()));
            }
        }
        Ok(values)
    }
}
