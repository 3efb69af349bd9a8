//! One file being written, row by row, into anything that takes bytes.

use std::io::{Error, ErrorKind, Result, Write};

use indelible_event::LeafView;
use indelible_event::view::EventView;

use crate::column::Columns;
use crate::csv;
#[cfg(feature = "parquet")]
use crate::parquet::Table;

/// How a file has its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The leaves, byte for byte, one per line.
    Leaves,
    /// The leaves with personal values in their places, one per line.
    Joined,
    /// A table as text.
    Csv,
    /// A table of typed columns.
    Parquet,
}

/// One record: its leaf, and its event as it may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The leaf, byte for byte.
    pub leaf: &'a [u8],
    /// The event with what may be seen of its personal values in their places.
    pub event: &'a [u8],
}

/// The bytes of a row are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a record: {0}")]
pub struct RowError(String);

/// A file being written.
pub struct File<W: Write + Send>(To<W>);

enum To<W: Write + Send> {
    Leaves(W),
    Joined(W),
    Csv(W, Columns),
    #[cfg(feature = "parquet")]
    Parquet(Box<Table<W>>),
}

/// Whether Parquet was built in.
pub const fn has_parquet() -> bool {
    cfg!(feature = "parquet")
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Leaves, Self::Joined, Self::Csv, Self::Parquet];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Joined => "joined",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What a file of it is called behind the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Leaves | Self::Joined => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Leaves | Self::Joined => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether it has columns that are chosen.
    pub fn has_columns(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }
}

impl<W: Write + Send> File<W> {
    /// Begins one; only tables have columns.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where [`has_parquet`] says no; else as those of writing.
    pub fn start(format: Format, columns: &Columns, mut into: W) -> Result<Self> {
        Ok(Self(match format {
            Format::Leaves => To::Leaves(into),
            Format::Joined => To::Joined(into),
            Format::Csv => {
                csv::head(columns, &mut into)?;
                To::Csv(into, columns.clone())
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => To::Parquet(Box::new(Table::start(columns, into)?)),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                let text = "Parquet was left out of this build: build it with --features full";
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
        }))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] with a [`RowError`], and nothing is written, when the bytes are
    /// no record; else as those of writing, and then the file is of no use.
    pub fn row(&mut self, row: &Row<'_>) -> Result<()> {
        match &mut self.0 {
            To::Leaves(into) => {
                into.write_all(row.leaf)?;
                into.write_all(b"\n")
            }
            To::Joined(into) => {
                let leaf = LeafView::locate(row.leaf).map_err(no_row)?;
                let span = leaf.event_span();
                let head = row.leaf.get(..span.start).unwrap_or_default();
                let tail = row.leaf.get(span.end..).unwrap_or_default();
                for part in [head, row.event, tail, b"\n"] {
                    into.write_all(part)?;
                }
                Ok(())
            }
            To::Csv(into, columns) => {
                let (leaf, event) = row.views()?;
                csv::line(columns, (&leaf, &event), into)
            }
            #[cfg(feature = "parquet")]
            To::Parquet(table) => {
                let (leaf, event) = row.views()?;
                table.row(&leaf, &event)
            }
        }
    }

    /// What it is written into, with what reached it so far.
    pub fn inner_mut(&mut self) -> &mut W {
        match &mut self.0 {
            To::Leaves(into) | To::Joined(into) | To::Csv(into, _) => into,
            #[cfg(feature = "parquet")]
            To::Parquet(table) => table.inner_mut(),
        }
    }

    /// Ends it, and gives back what it was written into.
    ///
    /// # Errors
    /// As those of writing.
    pub fn finish(self) -> Result<W> {
        let mut into = match self.0 {
            To::Leaves(into) | To::Joined(into) | To::Csv(into, _) => into,
            #[cfg(feature = "parquet")]
            To::Parquet(table) => table.finish()?,
        };
        into.flush()?;
        Ok(into)
    }
}

impl<W: Write + Send> std::fmt::Debug for File<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("File")
    }
}

impl<'a> Row<'a> {
    fn views(&self) -> Result<(LeafView<'a>, EventView<'a>)> {
        let leaf = LeafView::locate(self.leaf).map_err(no_row)?;
        let event = EventView::parse(self.event).map_err(no_row)?;
        Ok((leaf, event))
    }
}

fn no_row(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidData, RowError(error.to_string()))
}
