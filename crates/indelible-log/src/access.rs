//! Who read, exported or was denied what, as records of the log `_system`.
//!
//! Unlike an operation (`operations`), which is kept by the change that it tells of, an access
//! changes nothing: its event is made in memory and lost with the process if that dies before it
//! is written. What was asked, and where from, may be personal: that is sealed, each record being
//! the subject of its own. Not here: what is told of whom, and how it is coalesced, which the
//! server knows.

use std::sync::{Arc, LazyLock};

use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};
use serde_json::Value;

use crate::env::Env;
use crate::group::Item;
use crate::log::Log;
use crate::operations::Operation;
use crate::outcome::{Job, Outcome, Pending, Ticket};
use crate::own::{OwnEvent, event};
use crate::policy::{Draft, SealingPolicy};
use crate::prepare::Prepared;

/// Events that are written together.
const AT_ONCE: usize = 256;
/// Where in such an event a text stands that may be personal: sealed whole, and not searchable.
const SEALED: [&str; 2] = ["/data/query", "/data/network"];

/// What of such an event is sealed.
static POLICY: LazyLock<Arc<SealingPolicy>> = LazyLock::new(|| {
    let draft = Draft {
        fields: Vec::new(),
        whole: SEALED.map(str::to_owned).to_vec(),
        masked: Vec::new(),
        ..Draft::default()
    };
    Arc::new(SealingPolicy::try_from(draft).unwrap_or_default())
});

/// The event of an access; it has its id from the start, so that written twice it is one record.
#[derive(Debug)]
pub struct AccessEvent(OwnEvent);

impl AccessEvent {
    /// The event of what was done at `at`. Of its data `query` and `network` are sealed when it is
    /// written.
    pub fn new(env: &Env, at: Micros, done: &Operation<'_>) -> Self {
        let by = (done.actor, done.outcome);
        Self(event(
            (env, at),
            done.event_type,
            by,
            done.target,
            done.data,
        ))
    }

    /// The same without what would be sealed, for want of the keys to do so.
    fn without_sealed(&self) -> Option<OwnEvent> {
        let mut event: Value = serde_json::from_slice(&self.0.bytes).ok()?;
        let data = event.get_mut("data")?.as_object_mut()?;
        for pointer in SEALED {
            data.remove(pointer.trim_start_matches("/data/"));
        }
        let bytes = event.to_string().into_bytes();
        Some(OwnEvent { bytes, ..self.0 })
    }
}

impl Log {
    /// Writes the records of accesses and takes those that are written out of `events`; gives how
    /// many that are. What fails is left, for the next time. Without a master key they are written
    /// without what would be sealed.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the ledger is closing; else as the key store.
    ///
    /// # Durability
    /// What was written is durable when it returns.
    pub fn write_accesses(&self, events: &mut Vec<AccessEvent>) -> Result<usize> {
        let (shared, pipeline) = self.parts();
        let before = events.len();
        let mut left = Vec::new();
        while !events.is_empty() {
            let some = events.split_off(events.len().saturating_sub(AT_ONCE));
            let job = Job::new(some.len());
            let ticket = Ticket::slice(&job);
            let mut items = Vec::with_capacity(some.len());
            for (index, access) in some.iter().enumerate() {
                let prepared = match Prepared::own_sealed(shared, &access.0, &POLICY) {
                    Err(error) if error.kind() == Kind::Unavailable => {
                        let bare = access.without_sealed();
                        let bare = bare.as_ref().unwrap_or(&access.0);
                        Prepared::own_sealed(shared, bare, &POLICY)
                    }
                    prepared => prepared,
                };
                match prepared {
                    // As a producer's event: sealed again where another writer made the key first.
                    Ok(prepared) => items.push(Item::new(prepared, Some(ticket(index)))),
                    Err(error) => {
                        let failed = Outcome::Failed(Arc::new(error));
                        crate::outcome::settle_all([(ticket(index), failed)]);
                    }
                }
            }
            drop(ticket);
            let refused = pipeline.enqueue(items).is_err();
            if refused {
                events.extend(some);
                break;
            }
            let outcomes = Pending(job).wait().into_iter();
            let unwritten = some
                .into_iter()
                .zip(outcomes)
                .filter_map(|(access, outcome)| {
                    let is_written = matches!(outcome, Outcome::New(_) | Outcome::Repeat { .. });
                    (!is_written).then_some(access)
                });
            left.extend(unwritten);
        }
        let closing = !events.is_empty();
        events.extend(left);
        if closing {
            return Err(Error::new(Kind::Unavailable, "the ledger is closing"));
        }
        Ok(before - events.len())
    }
}
