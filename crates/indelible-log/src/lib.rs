//! Sequencer, sealing, commit, publisher, prover, recovery: the only crate that commits.
//!
//! The walk of one event: [`prepare`] (admit, redact, seal, file) on the caller's thread, then the
//! sequencer gives it a number and a leaf, then the committer makes it durable, then the publisher
//! puts the tenant's head into a signed snapshot. No stage looks back; receipts flow up.
//!
//! What is deliberately absent: brands (stores come as roles), files and keys on disk (the caller
//! brings them), time and randomness (by parameter, [`mod@env`]), removal of anything.

mod access;
pub mod attachments;
mod conflict;
pub mod copy;
pub mod disclose;
pub mod env;
pub mod export;
mod extend;
mod group;
mod inbox;
pub mod keyring;
pub mod log;
pub mod mask;
mod operations;
pub mod outcome;
mod own;
mod pipeline;
pub mod policy;
pub mod prepare;
pub mod prove;
pub mod publish;
pub mod recover;
pub mod registry;
mod repeat;
mod rollback;
pub mod seal;
mod sequence;
pub mod sign;
mod statement;
pub mod streams;
mod tenants;
pub mod verify;

pub use access::AccessEvent;
pub use env::{Clock, Env, Random};
pub use keyring::{Keyring, MasterKey};
pub use log::{Limits, Log, OpenError, Options, Stores};
pub use operations::Operation;
pub use outcome::{Outcome, Pending, Submission};
pub use policy::SealingPolicy;
pub use prepare::Admission;
pub use publish::{Published, Signer};
pub use sign::KeySigner;
