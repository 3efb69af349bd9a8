//! The audit trail in a directory of this machine.
//!
//! Not here: what is written there, which is `indelible-embedded` and `indelible-log`; the same
//! directory is read by the command `indelible` beside a program that writes.

mod keys;
mod open;
mod transport;

pub(crate) use keys::KeyFolder;
pub(crate) use transport::Embedded;
