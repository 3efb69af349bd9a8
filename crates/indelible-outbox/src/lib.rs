//! The transactional outbox: a table in a program's own PostgreSQL, and the relay that moves its
//! rows to the ledger.
//!
//! A program writes a row in its transaction, so an event is there if what it tells of is. One
//! relay at a time, which holds a lock in its session, numbers rows durably, sends them, and
//! deletes what has a receipt; whatever dies, the next sends the same bytes under the same id and
//! number. What the ledger refuses for good is put aside with its reason.
//!
//! Not here: making rows (`indelible_emit::Row`), ways to a ledger (`indelible_emit::Transport`).
//! Trust: whoever may write to the tables can make, change or remove what waits there. Source:
//! `docs/outbox.md`, `spec/stream.md`.

mod claims;
mod metrics;
mod options;
mod refused;
mod relay;
mod schema;
mod session;
mod shared;
mod table;
mod turn;

pub use metrics::{METRICS, Metrics, Standing};
pub use options::Options;
pub use refused::{Refused, RefusedRow, Which};
pub use relay::Relay;
pub use schema::{Outbox, SCHEMA};
