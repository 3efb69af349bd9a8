//! The ledger, the index over it and small state on PostgreSQL 15 or newer.
//!
//! One transaction is one commit: it locks the heads it moves in the order of their tenants, checks
//! them, copies records and ids, and moves the heads. Leaves are `bytea` and come back byte for
//! byte; every other column is derived from them. Many servers may append to one database: a head
//! that another has moved is [`Conflict`](indelible_store::Kind::Conflict), and nothing was kept.
//!
//! What is deliberately absent: numbering and hashing of records (the log crate), keys (rows are
//! ciphertexts here), removing anything. Trust: whoever may write to the tables can change what
//! they hold, and the verifier finds it; whoever may read them sees everything but personal values,
//! of which they see which are equal. `docs/postgres.md` walks one record's life. How a database is
//! reached ([`secure`]) and what its errors mean ([`failure`]) is the same for a program's outbox.

mod about;
mod append;
mod check;
mod columns;
mod compare;
mod copy;
mod database;
pub mod failure;
mod marks;
mod mend;
mod months;
mod named;
mod options;
mod personal;
mod postgres;
mod ranges;
mod read;
mod scattered;
mod schema;
mod search;
pub mod secure;
mod state;
mod tally;
mod times;
mod timescale;
mod tree;
mod walk;

pub use about::{About, Partitions};
pub use check::{Beside, Tell};
pub use options::Options;
pub use postgres::{Fresh, Postgres};
