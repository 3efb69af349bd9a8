//! HTTP over a ledger: who may, what shape, which status.
//!
//! What it is not: a back end, a settings file or a key store on disk. Stores come as roles, the
//! writer as [`indelible_log::Log`], limits as [`Settings`]; only the command knows where they come
//! from. Handlers are asynchronous and never wait for the disk: events go to threads that feed the
//! log, and outcomes come back through [`indelible_log::Pending::then`]. Reads run on threads of
//! their own, a bounded number at a time.
//!
//! Invariants: what has a receipt is durable, never 202; bytes in flight are bounded and counted
//! before they are kept; a tenant or record that a key may not see is not there for it; no personal
//! value, no secret, no token and no path as it was sent stands in telemetry. Source:
//! `docs/server.md`.

mod about;
mod accept;
pub mod access;
mod accesses;
mod answer;
mod app;
mod attachments;
mod attended;
mod batch;
mod binding;
mod body;
mod books;
mod budget;
mod caller;
mod clear;
mod clock;
mod configuration;
mod cors;
pub mod counted;
mod counts;
mod cursor_key;
mod decode;
mod exports;
mod feed;
mod guard;
mod health;
mod intake;
mod keys;
mod ledger;
pub mod limits;
mod list;
mod metrics;
mod pace;
mod pages;
mod publisher;
mod read;
mod records;
mod related;
pub mod relations;
mod results;
mod router;
mod seldom;
mod serve;
mod settings;
mod share;
mod socket;
mod split;
mod stream;
mod streams;
mod submit;
mod tail;
mod tls;
mod turns;
mod verifier;
mod viewers;
mod waiting;
mod words;

pub use app::Parts;
pub use configuration::Configuration;
pub use exports::ExportPlace;
pub use feed::Feed;
pub use serve::{Server, Stop};
pub use settings::Settings;
pub use tls::{Pem, PemSource};
