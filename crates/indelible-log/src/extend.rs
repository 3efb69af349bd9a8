//! What shows that a checkpoint of the registry extends the one the signer keeps.

use indelible_merkle::{Frontier, Hash, consistency_proof, leaf_hash, root_at, root_of};
use indelible_proof::checkpoint::Checkpoint;
use indelible_store::{Error, Kind, Result, State};

use crate::registry::{RegistryHead, SNAPSHOTS, row, snapshot_key};

/// The consistency proof from the kept checkpoint's size to `head`'s.
pub(crate) fn extension(
    state: &dyn State,
    kept: Option<&Checkpoint>,
    head: &RegistryHead,
) -> Result<Vec<Hash>> {
    let old = kept.map_or(0, |kept| kept.size);
    if old > head.size {
        let context = format!(
            "the signer has signed {old} snapshots and the registry has {}; run recover",
            head.size
        );
        return Err(Error::new(Kind::ReadOnly, context));
    }
    consistency_proof(old, head.size, |level, index| {
        subtree(state, head, level, index)
    })
    .map_err(|e| {
        Error::new(
            Kind::Corrupt,
            format!("the registry log cannot be proved: {e}"),
        )
    })
}

/// The root of the registry log at an older size.
pub(crate) fn registry_root(state: &dyn State, head: &RegistryHead, size: u64) -> Result<Hash> {
    root_at(size, |level, index| subtree(state, head, level, index))
}

/// A complete subtree of the registry log: from the frontier before the newest snapshot if it is
/// one of its peaks, else from the lines.
fn subtree(state: &dyn State, head: &RegistryHead, level: u32, index: u64) -> Result<Hash> {
    let before = Frontier::from_parts(head.size.saturating_sub(1), head.before.clone())
        .map_err(|e| Error::new(Kind::Corrupt, "the registry's head").caused_by(e))?;
    if let Some(peak) = peak(&before, level, index) {
        return Ok(peak);
    }
    let mut leaves = Vec::new();
    for number in (index << level)..((index + 1) << level) {
        let line = if number + 1 == head.size {
            head.line.clone()
        } else {
            let found: Option<(String, u64)> =
                row(state, SNAPSHOTS, &snapshot_key(head.incarnation, number))?;
            let missing = || Error::new(Kind::Corrupt, format!("snapshot {number} is missing"));
            found.ok_or_else(missing)?.0
        };
        leaves.push(leaf_hash(line.as_bytes()));
    }
    Ok(root_of(leaves))
}

/// The peak of a frontier that covers exactly this subtree, if there is one.
fn peak(frontier: &Frontier, level: u32, index: u64) -> Option<Hash> {
    let size = frontier.size();
    let is_peak = level < u64::BITS && size >> level & 1 == 1 && size >> (level + 1) << 1 == index;
    let larger = if level + 1 < u64::BITS {
        (size >> (level + 1)).count_ones()
    } else {
        0
    };
    is_peak
        .then(|| frontier.hashes().get(larger as usize).copied())
        .flatten()
}
