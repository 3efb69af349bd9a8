//! What an application adds: an audit trail of its own in a directory, or one behind a server.
//!
//! ```no_run
//! use indelible::{Actor, Audit, json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let audit = Audit::open("./audit")?; // or Audit::connect("http://127.0.0.1:8080")?.build()?
//! audit
//!     .for_tenant("acme")
//!     .action("content.publish")
//!     .actor(Actor::agent("publisher"))
//!     .target("post", "456")
//!     .succeeded()
//!     .api_proof(json!({"postId": "ig_789"}))
//!     .emit(); // never waits
//! # Ok(())
//! # }
//! ```
//!
//! `emit` never waits, never panics and never fails its caller: what has no place in the queue is
//! dropped and counted. Its [`Ticket`] can be dropped, or awaited for the receipt.
//!
//! With features, what stands around a program emits for it: `axum` and `tower` its requests
//! (`web`), `tracing` the events that are marked (`trace`); `opentelemetry` has events name their
//! span, and `testing` is for tests of what a program emits. `tokio-postgres`, `sqlx` and
//! `diesel-async` let an event go with a transaction of the program's own, and `relay` moves such
//! events to the ledger.
//!
//! Not here: queries, proofs and exports, which the command `indelible` and its server answer.
//! Source: `docs/sdk.md`, `docs/integrations.md`, `docs/outbox.md`.

mod audit;
mod build;
mod default;
mod embedded;
mod environment;
mod error;
mod process;
#[cfg(feature = "relay")]
mod relay;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tracing")]
pub mod trace;
#[cfg(feature = "tower")]
pub mod web;

pub use audit::Audit;
pub use build::{AuditBuilder, ToDirectory, ToServer};
pub use default::{AlreadySet, NotSet, audit, set_audit};
pub use error::Error;
pub use indelible_emit::{
    Actor, Attachment, Auth, Begun, Bounds, Class, CloseReport, Committed, Context, Denial,
    EmitError, EmitInError, Entered, Envelope, EventBuilder, InContext, InTransaction, LlmContext,
    Metrics, NeedsAction, NeedsActor, NeedsOutcome, NeedsTarget, Payload, Policy, Preset, Proof,
    Retry, Row, SpoolBounds, Spooled, Subject, Ticket, json, prometheus,
};
pub use indelible_event::{ActorType, AuditId, Event, Micros, Outcome, Problem, TenantId};
#[cfg(feature = "relay")]
pub use indelible_outbox::{Metrics as RelayMetrics, Outbox, Relay, Standing};
pub use indelible_proof::receipt::Receipt;

/// The programs of the page, compiled and, where it says so, run.
#[cfg(all(doctest, feature = "axum", feature = "testing", feature = "tracing"))]
#[doc = include_str!("../../../docs/integrations.md")]
struct Integrations;
