//! A [`Signer`] from a key and a place where its last checkpoint is kept.

use indelible_merkle::{Hash, empty_root};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::Finding;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::{GuardedSigner, SignError, SignerState};
use indelible_store::{Error, Kind, Result};

use crate::publish::Signer;

/// Signs with one key, whose name is the registry's origin, guarded by `S`.
#[derive(Debug)]
pub struct KeySigner<S> {
    guarded: GuardedSigner<S>,
}

impl<S: SignerState> KeySigner<S> {
    /// A signer for the registry of `origin`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when no key can have that name.
    pub fn new(key: &SigningKey, origin: &str, state: S) -> Result<Self> {
        Ok(Self {
            guarded: GuardedSigner::new(renamed(key, origin)?, state),
        })
    }

    /// A signer for a new incarnation: forgets what was kept for the one before. Only for a
    /// recovery that somebody decided on; what is forgotten has been written down before.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the state cannot be moved.
    pub fn restart(key: &SigningKey, origin: &str, state: S) -> Result<Self>
    where
        S::Error: std::fmt::Display,
    {
        let key = renamed(key, origin)?;
        let empty = Checkpoint {
            origin: origin.to_owned(),
            size: 0,
            root: empty_root(),
        };
        let signed = SignedCheckpoint::sign(empty, &key)
            .map_err(|e| Error::new(Kind::Invalid, "the first checkpoint").caused_by(e))?;
        let failed =
            |e: S::Error| Error::new(Kind::Unavailable, format!("the signer's state: {e}"));
        let old = state.load().map_err(failed)?;
        let moved = state
            .compare_and_swap(old.as_deref(), signed.to_string().as_bytes())
            .map_err(failed)?;
        if !moved {
            return Err(Error::new(
                Kind::Conflict,
                "another signer moved what is kept",
            ));
        }
        Ok(Self {
            guarded: GuardedSigner::new(key, state),
        })
    }
}

fn renamed(key: &SigningKey, origin: &str) -> Result<SigningKey> {
    key.renamed(origin).map_err(|e| {
        Error::new(
            Kind::Invalid,
            format!("the origin {origin:?} cannot name a key"),
        )
        .caused_by(e)
    })
}

impl<S> Signer for KeySigner<S>
where
    S: SignerState + Send + Sync + std::fmt::Debug,
    S::Error: std::fmt::Display,
{
    fn kept(&self) -> Result<std::result::Result<Option<Checkpoint>, Finding>> {
        match self.guarded.kept() {
            Ok(kept) => Ok(Ok(kept.map(|signed| signed.unverified().clone()))),
            Err(SignError::Refused(finding)) => Ok(Err(*finding)),
            Err(e) => Err(Error::new(Kind::Unavailable, e.to_string())),
        }
    }

    fn sign_registry(&self, checkpoint: &Checkpoint, proof: &[Hash]) -> Result<String> {
        match self.guarded.sign(checkpoint.clone(), proof) {
            Ok(signed) => Ok(signed.to_string()),
            Err(SignError::Refused(finding)) => {
                Err(Error::new(Kind::ReadOnly, finding.to_string()))
            }
            Err(SignError::Raced) => Err(Error::new(
                Kind::Conflict,
                "another signer moved what is kept",
            )),
            Err(e) => Err(Error::new(Kind::Unavailable, e.to_string())),
        }
    }

    fn sign_tenant(&self, checkpoint: &Checkpoint) -> Result<String> {
        let key = renamed(self.guarded.key(), &checkpoint.origin)?;
        SignedCheckpoint::sign(checkpoint.clone(), &key)
            .map(|signed| signed.to_string())
            .map_err(|e| Error::new(Kind::Invalid, "a tenant's checkpoint").caused_by(e))
    }
}
