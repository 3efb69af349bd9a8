//! Records as files: leaves, joined lines, CSV and Parquet, of the columns that are chosen.
//!
//! A row is a leaf and its event as it may be shown, whoever found it; every format gives the same
//! rows in the order in which they come. Memory is bounded: by a row, in Parquet by a row group.
//!
//! What it is not: a search, or the choice of what may be shown. Only leaves are what was hashed;
//! the other formats are readable copies. Source: `docs/export.md`.

mod column;
mod csv;
mod file;
#[cfg(feature = "parquet")]
mod parquet;

pub use column::{Column, Columns, NoColumn, Shape};
pub use csv::plain;
pub use file::{File, Format, Row, RowError, has_parquet};
