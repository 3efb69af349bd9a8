//! The audit trail of the process: set once, found from anywhere.

use std::sync::{Arc, OnceLock};

use crate::audit::Audit;

static DEFAULT: OnceLock<Arc<Audit>> = OnceLock::new();

/// The process has an audit trail already; it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail of the process is set already")]
pub struct AlreadySet;

/// The process has no audit trail yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process has no audit trail: give it one with `indelible::set_audit` first")]
pub struct NotSet;

/// Makes this the audit trail of the process. It is never dropped: close it before the program
/// ends.
///
/// # Errors
/// [`AlreadySet`] when there is one; the one given is dropped.
pub fn set_audit(audit: impl Into<Arc<Audit>>) -> Result<(), AlreadySet> {
    DEFAULT.set(audit.into()).map_err(|_| AlreadySet)
}

/// The audit trail of the process.
///
/// # Errors
/// [`NotSet`] before [`set_audit`]: an event that nobody would take is not lost in silence.
pub fn audit() -> Result<&'static Arc<Audit>, NotSet> {
    DEFAULT.get().ok_or(NotSet)
}
