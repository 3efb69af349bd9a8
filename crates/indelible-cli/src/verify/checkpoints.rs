//! Checkpoints that a log is held against, and the keys that they are checked under.

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::note::VerifierKey;
use indelible_proof::verify::{LogIdentity, LogVerifier, Trust};

use super::Given;

/// The key under the name that a checkpoint of `origin` is signed with: that of the ledger in any
/// of its incarnations, or of one of its logs, `<ledger>[/<incarnation>]/<log id>`. `None` when the
/// origin belongs to another ledger.
pub fn key_for(key: &VerifierKey, origin: &str) -> Option<VerifierKey> {
    let of_incarnation = key.name().rsplit_once('/').filter(|(_, number)| {
        number
            .parse::<u64>()
            .is_ok_and(|n| n > 1 && n.to_string() == *number)
    });
    let ledger = of_incarnation.map_or(key.name(), |(ledger, _)| ledger);
    let below = origin.strip_prefix(ledger)?;
    if below.is_empty() || below.starts_with('/') {
        key.renamed(origin).ok()
    } else {
        None
    }
}

/// Who the first record of a log says it is.
pub(super) fn who_it_says(tenant: &str, first: &[u8]) -> Option<LogIdentity> {
    let mut verifier = LogVerifier::new(tenant);
    verifier.push(first);
    verifier.finish().identity
}

/// The key that the first record of a log names.
pub fn named_key(tenant: &str, first: &[u8]) -> Option<VerifierKey> {
    who_it_says(tenant, first)?.verifier_key.parse().ok()
}

/// Whether it is the one that was given, and not one that came with the log.
pub(super) fn is_given(signed: &SignedCheckpoint, given: &Given) -> bool {
    given.checkpoint.as_ref() == Some(signed)
}

/// Gives a checkpoint to the verifier under the key that is trusted most; or why there is none.
pub(super) fn note(
    verifier: &mut LogVerifier,
    signed: &SignedCheckpoint,
    given: &Given,
    named: Option<&VerifierKey>,
) -> Result<(), String> {
    let origin = &signed.unverified().origin;
    let kept = is_given(signed, given);
    let trusted = given.key.as_ref().map(|key| {
        // Under its own name the verifier reports that it belongs to another log.
        (
            key_for(key, origin).unwrap_or_else(|| key.clone()),
            Trust::Key,
        )
    });
    let by_name = || {
        let trust = if kept { Trust::Key } else { Trust::Named };
        named
            .and_then(|key| key_for(key, origin))
            .map(|key| (key, trust))
    };
    match trusted.or_else(by_name) {
        Some((key, trust)) => {
            verifier.checkpoint(signed, &key, trust);
            Ok(())
        }
        None => Err(format!(
            "the checkpoint of {origin}: the log names no key for it, say --key"
        )),
    }
}
