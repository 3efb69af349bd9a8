//! The audit trail in a directory of this machine.
//!
//! Not here: what is written there and how it is opened, which is `indelible-directory`'s; the same
//! directory is read by the command `indelible` beside a program that writes.

mod transport;

pub(crate) use transport::Embedded;
