//! Query text to plan to page; hits are checked on bodies.
//!
//! Three steps, each usable alone: [`parse`] turns text into a [`Parsed`] condition or into errors
//! that point at columns; [`resolve`] turns that into the [`indelible_store::Query`] that indexes
//! understand, looking sealed values up where keys allow; [`page`] and [`for_each`] read the
//! answer, checking every hit on the record's body in the ledger, and [`count::count`] counts it.
//!
//! What is deliberately absent: clocks and time zones of its own (they come in [`ParseContext`]),
//! keys (a [`indelible_store::Finder`] is asked), deciding who may read what (the caller names the
//! tenants). The language is described in `docs/query.md`, whose examples are tests.

mod address;
mod ask;
mod checking;
pub mod count;
mod cursor;
mod elsewhere;
mod error;
mod inside;
mod lex;
mod page;
mod parse;
mod qualifier;
mod redacted;
pub mod related;
mod resolve;
mod slips;
mod suggest;
mod term;
mod when;

pub use ask::{Ask, Parsed};
pub use cursor::{Asked, Cursor, CursorError};
pub use error::QueryError;
pub use page::{Damage, Lost, Page, PageLimit, Row, Seen, for_each, page};
pub use parse::{DEPTH_MAX, TERMS_MAX, TEXT_BYTES_MAX, parse};
pub use qualifier::{QUALIFIERS, Qualifier};
pub use redacted::redacted;
pub use resolve::{Resolved, resolve, search_names};
pub use when::ParseContext;
