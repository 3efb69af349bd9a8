//! The tree of a log: its frontier beside the head, and the roots of subtrees that were completed.
//!
//! Roots of 256, 65,536 … leaves are kept; what lies between is computed from at most 255 others.

use indelible_merkle::{Frontier, Hash, root_of};
use indelible_proof::finding::Span;
use indelible_store::{Error, Kind, Result};

/// Of every so many levels one is kept.
pub(crate) const STEP: u32 = 8;

/// A root that an append completed.
pub(crate) struct Completed {
    pub(crate) level: i16,
    pub(crate) place: i64,
    pub(crate) root: Hash,
}

/// A frontier as it is stored: its hashes side by side.
pub(crate) fn to_bytes(frontier: &Frontier) -> Vec<u8> {
    frontier
        .hashes()
        .iter()
        .flat_map(AsRef::as_ref)
        .copied()
        .collect()
}

/// The frontier of `size` leaves that was stored.
pub(crate) fn from_bytes(size: u64, bytes: &[u8]) -> Result<Frontier> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let hashes = hashes.iter().map(|bytes| Hash::from(*bytes)).collect();
    let corrupt = || Error::new(Kind::Corrupt, "the frontier beside a head");
    if !rest.is_empty() {
        return Err(corrupt());
    }
    Frontier::from_parts(size, hashes).map_err(|error| corrupt().caused_by(error))
}

impl Completed {
    /// The numbers of the records that it is of.
    pub(crate) fn leaves(&self) -> Span {
        let leaves = 1_u64 << self.level.clamp(0, 62);
        let first = self.place.cast_unsigned().saturating_mul(leaves);
        Span::new(first, first.saturating_add(leaves - 1))
    }
}

/// Appends a record; takes down the roots to be kept that it completes.
pub(crate) fn append(frontier: &mut Frontier, record_hash: Hash, completed: &mut Vec<Completed>) {
    frontier.append_with(record_hash, |level, place, root| {
        if level > 0
            && level % STEP == 0
            && let (Ok(level), Ok(place)) = (i16::try_from(level), i64::try_from(place))
        {
            completed.push(Completed { level, place, root });
        }
    });
}

/// A hash as it is stored.
pub(crate) fn hash(bytes: &[u8]) -> Result<Hash> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| Error::new(Kind::Corrupt, "a stored hash is not 32 bytes long"))?;
    Ok(Hash::from(bytes))
}

/// The root over complete subtrees of one level, side by side.
pub(crate) fn root(parts: Vec<Hash>) -> Hash {
    root_of(parts)
}
