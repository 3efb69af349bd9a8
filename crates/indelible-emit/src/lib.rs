//! The emitter: the builder that says an event, the queue and the spool it waits in, the delivery,
//! and the ticket that becomes a receipt.
//!
//! `emit` takes an id, the time and a place in the queue, and returns: it never waits, never panics
//! and never fails its caller. JSON, numbers and the spool are one thread's work, delivery and
//! retries another's. What a full queue drops is counted, told in its ticket, and declared; what is
//! refused or given up is declared too, and kept as a dead letter where there is a directory.
//!
//! Not here: the embedded ledger (crate `indelible`), clocks and random numbers, which arrive by
//! parameter ([`Surroundings`]).

mod actor;
mod attachment;
mod begun;
mod builder;
mod changes;
mod class;
mod close_report;
mod context;
mod dead_letters;
mod delivery;
mod denial;
mod details;
mod draft;
mod elders;
mod emitter;
mod encode;
mod envelope;
mod forms;
mod frame;
pub mod http;
mod id;
mod in_transaction;
#[cfg(feature = "tracing")]
mod line;
mod llm;
mod losses;
mod metrics;
mod name;
mod options;
mod outbox;
mod payload;
mod preset;
mod proof;
mod retry;
mod roll;
mod shared;
mod spooled;
pub mod statement;
mod stream;
mod surroundings;
mod ticket;
mod transport;
mod under_way;
mod unsaid;
mod worker;

pub use actor::Actor;
pub use attachment::{ATTACHMENT_BYTES_MAX, Attached, Attachment};
pub use begun::Begun;
pub use builder::{EventBuilder, NeedsAction, NeedsActor, NeedsOutcome, NeedsTarget};
pub use class::{Class, Policy};
pub use close_report::CloseReport;
pub use context::{Context, Entered, InContext};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use denial::Denial;
pub use emitter::{Emitter, StartError};
pub use envelope::Envelope;
pub use forms::{Auth, Subject};
pub use in_transaction::{EmitInError, InTransaction, Row};
pub use indelible_buffer::{Bounds, SpoolBounds, SpoolError};
pub use llm::LlmContext;
pub use metrics::{BUCKETS_MS, Durations, METRICS, Metrics, prometheus};
pub use options::{
    DeadLetterOptions, Growth, Options, OptionsError, Retry, Room, SPOOL_BYTES_MIN, SpoolOptions,
};
pub use payload::Payload;
pub use preset::{Preset, UnknownPreset};
pub use proof::Proof;
pub use retry::Delays;
pub use surroundings::Surroundings;
pub use ticket::{Committed, EmitError, Spooled, Ticket};
pub use transport::{ATTACHED_MAX, Outgoing, Transport, Verdict, at_once};

/// Builds a JSON value for a payload.
pub use serde_json::json;
