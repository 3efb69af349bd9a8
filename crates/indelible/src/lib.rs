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
//! Not here: queries, proofs and exports, which the command `indelible` and its server answer.
//! Source: `docs/sdk.md`.

mod audit;
mod build;
mod embedded;
mod environment;
mod error;
mod process;

pub use audit::Audit;
pub use build::{AuditBuilder, ToDirectory, ToServer};
pub use error::Error;
pub use indelible_emit::{
    Actor, Bounds, Class, CloseReport, Committed, EmitError, EventBuilder, Metrics, NeedsAction,
    NeedsActor, NeedsOutcome, NeedsTarget, Payload, Policy, Preset, Proof, Retry, SpoolBounds,
    Spooled, Ticket, json,
};
pub use indelible_event::{ActorType, AuditId, Event, Micros, Outcome, Problem, TenantId};
pub use indelible_proof::receipt::Receipt;
