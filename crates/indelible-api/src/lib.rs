//! The wire of Indelible: what a request and a response look like, problem documents (RFC 9457),
//! the limits that both sides keep, the page of metrics, and the OpenAPI description made from the
//! table of routes.
//!
//! What it is not: HTTP. Nothing here opens a socket, and nothing decides who may. The server and
//! every client of it share these types, so that a field has one name. Source: `docs/server.md`.

pub mod attachments;
pub mod counts;
pub mod events;
mod examples;
pub mod exports;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod records;
pub mod related;
mod routes;
mod schemas;
pub mod server;
pub mod streams;
pub mod tail;
pub mod viewers;

pub use attachments::{AttachmentNamed, AttachmentStored};
pub use counts::Counts;
pub use events::{BatchItem, BatchResponse, BatchWriter, Came, ItemResult, Submitted};
pub use exports::{CreateExport, Export, ExportStatus, Exports};
pub use keys::{CreateKey, CreatedKey, Key, KeyTenants, Keys, Rates, Role, RotateKey};
pub use ledger::{
    Checkpoints, Completeness, CreateTenant, Health, Integrity, Logs, RegistryCheckpoint, Tenant,
    TenantCheckpoint, Tenants, Verdict,
};
pub use problem::{CONTENT_TYPE as PROBLEM_CONTENT_TYPE, Defect, Problem, ProblemKind};
pub use records::{Disclosures, Personal, Record, RecordList, Unreadable};
pub use related::Related;
pub use server::{Allowed, InForce, May, Setting};
pub use streams::{Numbers, Stream, Streams};
pub use tail::{Said, TailEnd, TailOpen, TailReason};
pub use viewers::{CreateViewerToken, ViewerToken};

/// Content type of one event, a JSON array of events, and every answer that is not a problem.
pub const JSON: &str = "application/json";
/// Content type of one event, or one record, per line.
pub const NDJSON: &str = "application/x-ndjson";
/// Names one request in telemetry and problem documents; taken over when it is `[A-Za-z0-9._-]`, at
/// most 64 characters.
pub const REQUEST_ID: &str = "x-request-id";
