//! What a signer may sign: only checkpoints that extend everything it signed before.
//!
//! The state is the last signed checkpoint, kept outside the data directory. It is moved by
//! compare-and-swap *before* a signature is released, so that after a crash at any point the state
//! is never behind what somebody holds. What it is not: storage; and no help when the state itself
//! goes back in time together with the data, which only a witness sees.
//!
//! Source: `spec/checkpoint.md` §4.

use indelible_merkle::{Hash, verify_consistency};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::finding::{Finding, FindingKind};
use crate::note::SigningKey;

/// One small durable value, moved by compare-and-swap.
pub trait SignerState {
    /// What reading and writing can fail with.
    type Error;

    /// The value, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Replaces `old` by `new` durably; `false` when the value was not `old`.
    ///
    /// # Errors
    /// When it cannot be written; the outcome is then unknown, load it again.
    fn compare_and_swap(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Self::Error>;
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError<E> {
    /// The checkpoint does not extend what was signed before; turn read-only and report it.
    #[error("{0}")]
    Refused(Box<Finding>),
    /// Another signer moved the state meanwhile; load the log's head again.
    #[error("another signer moved the state, start again from the newest head")]
    Raced,
    /// The state could not be read or written. No signature was released; trying again is safe.
    #[error("the signer's state cannot be used: {0}")]
    State(E),
    /// The checkpoint is not one this key may sign.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A key and the memory of what it signed last.
#[derive(Debug)]
pub struct GuardedSigner<S> {
    key: SigningKey,
    state: S,
}

impl<S: SignerState> GuardedSigner<S> {
    /// Guards `key`, whose name is the log's origin, by `state`.
    pub const fn new(key: SigningKey, state: S) -> Self {
        Self { key, state }
    }

    /// The key.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What was signed last.
    ///
    /// # Errors
    /// [`SignError::Refused`] with `bad-signature` or `unknown-checkpoint` when what is kept was
    /// not signed by this key: the state was replaced.
    pub fn kept(&self) -> Result<Option<SignedCheckpoint>, SignError<S::Error>> {
        let bytes = self.state.load().map_err(SignError::State)?;
        bytes.map(|bytes| self.checked(&bytes)).transpose()
    }

    /// Checks, without signing, that a log of this head can go on from what was signed before.
    /// `consistency` is the proof from the kept size (see [`Self::kept`]) to `head.size`.
    ///
    /// # Errors
    /// [`SignError::Refused`] with `rolled-back` or `forked`.
    pub fn check(
        &self,
        head: &Checkpoint,
        consistency: &[Hash],
    ) -> Result<(), SignError<S::Error>> {
        match self.kept()? {
            Some(kept) => extends(kept.unverified(), head, consistency).map_err(SignError::Refused),
            None => Ok(()),
        }
    }

    /// Signs `new` if it extends what was signed last; `consistency` is the proof from the kept
    /// size to `new.size`, empty for the first. Signing again what was signed last gives the same
    /// note.
    ///
    /// # Errors
    /// [`SignError`]; the signature is released only after the state has moved.
    pub fn sign(
        &self,
        new: Checkpoint,
        consistency: &[Hash],
    ) -> Result<SignedCheckpoint, SignError<S::Error>> {
        let old = self.state.load().map_err(SignError::State)?;
        if let Some(bytes) = &old {
            let kept = self.checked(bytes)?;
            if *kept.unverified() == new {
                return Ok(kept);
            }
            extends(kept.unverified(), &new, consistency).map_err(SignError::Refused)?;
        }
        let signed = SignedCheckpoint::sign(new, &self.key)?;
        // If we die before the swap nothing was signed; if after it, the state is ahead of all.
        let moved = self
            .state
            .compare_and_swap(old.as_deref(), signed.to_string().as_bytes());
        if moved.map_err(SignError::State)? {
            Ok(signed)
        } else {
            Err(SignError::Raced)
        }
    }

    fn checked(&self, bytes: &[u8]) -> Result<SignedCheckpoint, SignError<S::Error>> {
        let verifier = self.key.verifier_key();
        let kept = SignedCheckpoint::parse(bytes)
            .and_then(|kept| kept.verify(&verifier).map(|_| ()).map(|()| kept));
        kept.map_err(|why| {
            let kind = match why {
                CheckpointError::Origin { .. } => FindingKind::UnknownCheckpoint,
                _ => FindingKind::BadSignature,
            };
            let message = format!("the checkpoint kept by the signer cannot be trusted: {why}");
            SignError::Refused(Box::new(Finding::new(kind, message)))
        })
    }
}

fn extends(kept: &Checkpoint, new: &Checkpoint, consistency: &[Hash]) -> Result<(), Box<Finding>> {
    if new.size < kept.size {
        return Err(Box::new(Finding::new(
            FindingKind::RolledBack,
            format!(
                "{} was signed at size {}, it is now at size {}",
                kept.origin, kept.size, new.size
            ),
        )));
    }
    verify_consistency(kept.size, new.size, consistency, &kept.root, &new.root).map_err(|why| {
        let message = format!(
            "{} at size {} is not proved to extend what was signed at size {}: {why}",
            kept.origin, new.size, kept.size
        );
        Box::new(Finding::new(FindingKind::Forked, message))
    })
}
