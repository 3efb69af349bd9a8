//! What somebody does to the ledger itself, as records of its own log `_system`.
//!
//! The event is kept by the same change set as what was done, so that nothing is done without its
//! record: whoever dies in between leaves it to the next. It has its id from the start, so that
//! written twice it is one record. Not here: what is done, which is its owner's.

use indelible_event::ids::Micros;
use indelible_store::{Change, Error, Kind, Result, State};
use serde_json::Value;

use crate::env::Env;
use crate::group::Item;
use crate::log::{Log, Shared};
use crate::outcome::{Job, Outcome, Pending, Ticket};
use crate::own::{OwnEvent, event};
use crate::pipeline::Pipeline;
use crate::prepare::Prepared;

/// The space of events that are still to be written.
const SPACE: &str = "operations";
/// Events that are written together.
const AT_ONCE: usize = 256;
/// How often one is tried before it is left to the next time.
const ATTEMPTS: u32 = 3;

/// One thing that was done.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// One of the types that only the ledger writes.
    pub event_type: &'static str,
    /// By whom: kind and id.
    pub actor: (&'a str, &'a str),
    /// To what: kind and id.
    pub target: (&'a str, &'a str),
    /// How it ended.
    pub outcome: &'static str,
    /// More of it, with ASCII keys; no secret and nothing personal.
    pub data: &'a Value,
}

impl Operation<'_> {
    /// The change that keeps its event until [`Log::write_operations`] has written it; to be
    /// applied with what is done.
    pub fn kept(&self, env: &Env) -> Change {
        let now: Micros = env.clock.now();
        let by = (self.actor, self.outcome);
        let own = event((env, now), self.event_type, by, self.target, self.data);
        Change {
            space: SPACE,
            key: own.audit_id.to_string().into_bytes(),
            expected: Some(0),
            value: Some(own.bytes),
        }
    }
}

impl Log {
    /// Writes what was done and has no record yet; gives how many records that took. What fails is
    /// left for the next time.
    ///
    /// # Errors
    /// As the state store's, and [`Kind::Unavailable`] when the ledger is closing.
    ///
    /// # Durability
    /// What was written is durable when it returns.
    pub fn write_operations(&self) -> Result<usize> {
        let (shared, pipeline) = self.parts();
        let mut written = 0;
        for _ in 0..ATTEMPTS {
            let state = shared.stores.state.as_ref();
            let kept = state.scan(SPACE, b"", None, AT_ONCE)?;
            if kept.is_empty() {
                break;
            }
            let done = write(shared, pipeline, kept)?;
            written += done.len();
            if !done.is_empty() {
                remove(state, &done)?;
            }
        }
        Ok(written)
    }
}

/// The keys of what is in the log now.
fn write(
    shared: &Shared,
    pipeline: &Pipeline,
    kept: Vec<indelible_store::Entry>,
) -> Result<Vec<Vec<u8>>> {
    let job = Job::new(kept.len());
    let ticket = Ticket::slice(&job);
    let mut items = Vec::with_capacity(kept.len());
    let mut keys = Vec::with_capacity(kept.len());
    for (index, (key, bytes, _)) in kept.into_iter().enumerate() {
        let own = OwnEvent::from_bytes(bytes)?;
        let prepared = Prepared::own(&shared.system, &own, shared.incarnation);
        items.push(Item::own(prepared, Some(ticket(index))));
        keys.push(key);
    }
    drop(ticket);
    pipeline
        .enqueue(items)
        .map_err(|_| Error::new(Kind::Unavailable, "the ledger is closing"))?;
    let outcomes = Pending(job).wait();
    let mut done = Vec::with_capacity(keys.len());
    for (key, outcome) in keys.into_iter().zip(outcomes) {
        match outcome {
            Outcome::New(_) | Outcome::Repeat { .. } => done.push(key),
            _ => {}
        }
    }
    Ok(done)
}

fn remove(state: &dyn State, keys: &[Vec<u8>]) -> Result<()> {
    let gone = |key: &Vec<u8>| Change {
        space: SPACE,
        key: key.clone(),
        // Another server may have been first.
        expected: None,
        value: None,
    };
    state.apply(&keys.iter().map(gone).collect::<Vec<_>>())
}
