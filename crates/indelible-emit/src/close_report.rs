//! What an emitter says when it is closed.

use std::sync::Arc;

/// What an emitter had done when it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseReport {
    /// Events that have a receipt.
    pub committed: u64,
    /// Events that found no room, or came after the close.
    pub dropped: u64,
    /// Events that were refused, in conflict, or given up after all attempts.
    pub failed: u64,
    /// Events that were put aside as dead letters, those of others in the spool included.
    pub dead_lettered: u64,
    /// Events that are on disk, and are delivered by whoever opens the spool next.
    pub spooled: u64,
    /// Events that were not settled when the deadline passed; some may have been committed.
    pub pending: u64,
    /// What last kept an event from its receipt, in words, if not every one has its own.
    pub cause: Option<Arc<str>>,
}

impl CloseReport {
    /// Whether every event that was emitted has a receipt.
    pub fn is_clean(&self) -> bool {
        self.dropped == 0 && self.failed == 0 && self.spooled == 0 && self.pending == 0
    }
}

impl std::fmt::Display for CloseReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            committed,
            dropped,
            failed,
            dead_lettered,
            spooled,
            pending,
            cause,
        } = self;
        write!(
            f,
            "{committed} committed, {dropped} dropped, {failed} failed, "
        )?;
        if *dead_lettered > 0 {
            write!(f, "{dead_lettered} of them dead letters, ")?;
        }
        if *spooled > 0 {
            write!(f, "{spooled} in the spool, ")?;
        }
        write!(f, "{pending} not settled")?;
        match cause {
            Some(cause) => write!(f, "; at last: {cause}"),
            None => Ok(()),
        }
    }
}
