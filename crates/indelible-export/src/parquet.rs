//! Parquet: one flat table, a column for each that is chosen, compressed with Snappy.
//!
//! Rows are kept until there are enough for a row group, bounded in count and in bytes. A cell that
//! is not of its column's type is null there, and stands in the column `event` all the same.
//! Source: the Parquet format, <https://parquet.apache.org/docs/file-format/>.

use std::io::{Error, Result, Write};
use std::sync::Arc;

use indelible_event::LeafView;
use indelible_event::ids::Micros;
use indelible_event::view::EventView;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use crate::column::{Column, Columns, Shape};

/// Rows of a row group.
const GROUP_ROWS_MAX: usize = 65_536;
/// Bytes of a row group's cells, before compression.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// What a cell that is no text counts as.
const CELL_BYTES: usize = 8;

/// A table being written.
pub(crate) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Kept>,
    rows: usize,
    bytes: usize,
}

/// The cells of a column that wait for their row group, and which rows have one.
struct Kept {
    column: Column,
    there: Vec<i16>,
    cells: Cells,
}

enum Cells {
    Texts(Vec<ByteArray>),
    Whole(Vec<i64>),
    Numbers(Vec<f64>),
    Flags(Vec<bool>),
}

impl<W: Write + Send> Table<W> {
    pub(crate) fn start(columns: &Columns, into: W) -> Result<Self> {
        let fields = columns.iter().map(|column| typed(column).map(Arc::new));
        let fields = fields.collect::<std::result::Result<Vec<_>, _>>();
        let schema = fields.and_then(|fields| {
            let schema = Type::group_type_builder("records").with_fields(fields);
            schema.build()
        });
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("indelible ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = Arc::new(schema.map_err(failed)?);
        let writer = SerializedFileWriter::new(into, schema, Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(failed)?,
            columns: columns.iter().map(Kept::new).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    pub(crate) fn row(&mut self, leaf: &LeafView<'_>, event: &EventView<'_>) -> Result<()> {
        for kept in &mut self.columns {
            let cell = kept.column.cell(leaf, event);
            let cell = cell.as_ref().map(|cell| &*cell.text);
            self.bytes += CELL_BYTES + cell.map_or(0, str::len);
            kept.put(cell);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS_MAX || self.bytes >= GROUP_BYTES_MAX {
            self.group()?;
        }
        Ok(())
    }

    pub(crate) fn inner_mut(&mut self) -> &mut W {
        self.writer.inner_mut()
    }

    pub(crate) fn finish(mut self) -> Result<W> {
        self.group()?;
        self.writer.into_inner().map_err(failed)
    }

    /// Writes the rows that wait as a row group.
    fn group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for kept in &mut self.columns {
            if let Some(mut writer) = group.next_column().map_err(failed)? {
                kept.write(&mut writer).map_err(failed)?;
                writer.close().map_err(failed)?;
            }
        }
        group.close().map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Kept {
    fn new(column: &Column) -> Self {
        let cells = match column.shape() {
            Shape::Text | Shape::Json | Shape::Any => Cells::Texts(Vec::new()),
            Shape::Count | Shape::Time => Cells::Whole(Vec::new()),
            Shape::Amount => Cells::Numbers(Vec::new()),
            Shape::Flag => Cells::Flags(Vec::new()),
        };
        Self {
            column: column.clone(),
            there: Vec::new(),
            cells,
        }
    }

    fn put(&mut self, cell: Option<&str>) {
        let shape = self.column.shape();
        let put = match (&mut self.cells, cell) {
            (_, None) => None,
            (Cells::Texts(texts), Some(cell)) => {
                texts.push(ByteArray::from(cell.as_bytes().to_vec()));
                Some(())
            }
            (Cells::Whole(numbers), Some(cell)) => {
                let whole = match shape {
                    Shape::Time => Micros::parse(cell).ok().map(|at| at.0),
                    // The same 64 bits; the schema says that there is no sign.
                    _ => cell.parse().ok().map(u64::cast_signed),
                };
                whole.map(|whole| numbers.push(whole))
            }
            (Cells::Numbers(numbers), Some(cell)) => {
                let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(|number| numbers.push(number))
            }
            (Cells::Flags(flags), Some(cell)) => cell.parse().ok().map(|flag| flags.push(flag)),
        };
        self.there.push(i16::from(put.is_some()));
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result2<()> {
        let there = Some(self.there.as_slice());
        match &mut self.cells {
            Cells::Texts(texts) => {
                let writer = writer.typed::<ByteArrayType>();
                writer.write_batch(texts, there, None)?;
                texts.clear();
            }
            Cells::Whole(numbers) => {
                let writer = writer.typed::<Int64Type>();
                writer.write_batch(numbers, there, None)?;
                numbers.clear();
            }
            Cells::Numbers(numbers) => {
                let writer = writer.typed::<DoubleType>();
                writer.write_batch(numbers, there, None)?;
                numbers.clear();
            }
            Cells::Flags(flags) => {
                let writer = writer.typed::<BoolType>();
                writer.write_batch(flags, there, None)?;
                flags.clear();
            }
        }
        self.there.clear();
        Ok(())
    }
}

type Result2<T> = std::result::Result<T, ParquetError>;

fn typed(column: &Column) -> Result2<Type> {
    let (physical, logical) = match column.shape() {
        Shape::Text | Shape::Any => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Shape::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Shape::Count => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Shape::Time => {
            let micros = LogicalType::timestamp(true, TimeUnit::MICROS);
            (Physical::INT64, Some(micros))
        }
        Shape::Amount => (Physical::DOUBLE, None),
        Shape::Flag => (Physical::BOOLEAN, None),
    };
    Type::primitive_type_builder(&column.name(), physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

fn failed(error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<Error>() {
            Ok(error) => *error,
            Err(cause) => Error::other(cause),
        },
        error => Error::other(error),
    }
}
