//! The emitter: the builder that says an event, the queue it waits in, the one worker that delivers
//! it, and the ticket that becomes a receipt.
//!
//! `emit` takes an id, the time and a place in the queue, and returns: it never waits, never panics
//! and never fails its caller. Everything else, from JSON to retries, is done by one worker thread.
//! A full queue drops the event, counts it and says so in its ticket.
//!
//! Not here: numbers per stream, spools and dead letters, the embedded ledger (crate `indelible`),
//! clocks and random numbers, which arrive by parameter ([`Surroundings`]).

mod actor;
mod begun;
mod builder;
mod changes;
mod context;
mod denial;
mod details;
mod draft;
mod emitter;
mod encode;
mod envelope;
mod forms;
pub mod http;
mod id;
#[cfg(feature = "tracing")]
mod line;
mod llm;
mod metrics;
mod options;
mod payload;
mod proof;
mod retry;
mod roll;
mod surroundings;
mod ticket;
mod transport;
mod worker;

pub use actor::Actor;
pub use begun::Begun;
pub use builder::{EventBuilder, NeedsAction, NeedsActor, NeedsOutcome, NeedsTarget};
pub use context::{Context, Entered, InContext};
pub use denial::Denial;
pub use emitter::{CloseReport, Emitter, StartError};
pub use envelope::Envelope;
pub use forms::{Auth, Subject};
pub use llm::LlmContext;
pub use metrics::Metrics;
pub use options::{Options, OptionsError, Retry};
pub use payload::Payload;
pub use proof::Proof;
pub use surroundings::Surroundings;
pub use ticket::{Committed, EmitError, Ticket};
pub use transport::{Outgoing, Transport, Verdict};

/// Builds a JSON value for a payload.
pub use serde_json::json;
