//! What an event and a record are: model, catalogue, limits, validation, redaction, canonical and
//! leaf bytes.
//!
//! Not here: hashes of trees, signatures, storage, sealing of personal data, clocks and random
//! numbers (they arrive by parameter). Bytes are made once and then only looked at: everything
//! works on canonical bytes and spans of them. Source: `spec/event.md`, `spec/canonical-form.md`,
//! `spec/leaf.md`.

pub mod canonical;
pub mod catalogue;
pub mod dotted;
mod edits;
pub mod event;
mod field;
pub mod ids;
pub mod keys;
pub mod leaf;
mod ledger;
pub mod limits;
mod problem;
pub mod redact;
mod stream;
mod time;
mod validate;
pub mod view;
pub mod walk;
mod words;

pub use catalogue::Catalogue;
pub use edits::Edits;
pub use event::Event;
pub use field::{Field, Group, Kind};
pub use ids::{AuditId, IdError, Micros, TENANT_IS_OURS, TenantId, TimeError, content_hash};
pub use leaf::{LeafHead, LeafView, TooLong, write_leaf};
pub use ledger::{Ledger, LedgerFlag, StreamClaim};
pub use problem::{Problem, ProblemCode};
pub use validate::{Admission, Admitted, Mode, Origin, admit, admit_all};
pub use view::{EventView, NotCanonical};
pub use words::{ActorType, Outcome};
