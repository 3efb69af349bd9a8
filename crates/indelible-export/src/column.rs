//! The columns of a table of records: what only the ledger knows, and the fields of the unified
//! model by their paths. Reading a cell never fails: what is not there is nothing.

use std::borrow::Cow;
use std::fmt;

use indelible_event::canonical::unescape;
use indelible_event::view::{EventView, string_content};
use indelible_event::{Field, Kind, LeafView};
use indelible_merkle::leaf_hash;

/// The columns that are taken when nobody chooses.
const USUAL: [&str; 22] = [
    "tenant_id",
    "sequence_number",
    "occurred_at",
    "ingested_at",
    "event_type",
    "category",
    "outcome",
    "severity",
    "actor.type",
    "actor.id",
    "actor.name",
    "target.type",
    "target.id",
    "target.name",
    "description",
    "error.code",
    "error.message",
    "source.service",
    "context.correlation_id",
    "context.request_id",
    "audit_id",
    "record_hash",
];
/// Stands for every column.
const ALL: &str = "all";
/// What the leaf says of these, or no record has.
const NOT_OF_EVENTS: [Field; 6] = [
    Field::TenantId,
    Field::SequenceNumber,
    Field::PreviousHash,
    Field::RecordHash,
    Field::IngestedAt,
    Field::Stream,
];

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Whose log.
    Tenant,
    /// The place in it.
    Number,
    /// When it was committed.
    IngestedAt,
    /// The hash of the leaf.
    RecordHash,
    /// The hash of the leaf before.
    PreviousHash,
    /// What only the ledger knows, as JSON.
    Ledger,
    /// The whole event, as JSON.
    Event,
    /// A field of the event.
    Field(Field),
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// Any JSON value, as JSON.
    Json,
    /// A whole number from 0, of 64 bits.
    Count,
    /// A number.
    Amount,
    /// True or false.
    Flag,
    /// A time.
    Time,
}

/// The columns of one table, in order: at least one, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

/// There is no such column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoColumn {
    /// None of this name.
    #[error("there is no column `{name}`{}", suggested(nearest.as_ref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// It is named twice.
    #[error("the column `{0}` is named twice")]
    Twice(String),
}

fn suggested(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

impl Columns {
    /// Those with these names, with commas between them; empty for the usual ones, `all` for all.
    ///
    /// # Errors
    /// [`NoColumn`], with the name.
    pub fn parse(text: &str) -> Result<Self, NoColumn> {
        match text.trim() {
            "" => Ok(Self::usual()),
            ALL => Ok(Self(Column::all().collect())),
            text => {
                let mut columns = Vec::new();
                for name in text.split(',').map(str::trim) {
                    let column = Column::named(name)?;
                    if columns.contains(&column) {
                        return Err(NoColumn::Twice(name.to_owned()));
                    }
                    columns.push(column);
                }
                Ok(Self(columns))
            }
        }
    }

    /// Those that are taken when nobody chooses.
    pub fn usual() -> Self {
        let named = USUAL.iter().filter_map(|name| Column::named(name).ok());
        Self(named.collect())
    }

    /// Each, in order.
    pub fn iter(&self) -> impl Iterator<Item = Column> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Column::name).collect();
        f.write_str(&names.join(","))
    }
}

impl Column {
    /// Every column: first what the ledger says, last the whole event.
    pub fn all() -> impl Iterator<Item = Self> {
        let groups = |field: &Field| !matches!(field.kind(), Kind::Group(_));
        let fields = Field::ALL.iter().copied().filter(groups);
        let fields = fields.filter(|field| !NOT_OF_EVENTS.contains(field));
        [Self::Tenant, Self::Number, Self::IngestedAt]
            .into_iter()
            .chain(fields.map(Self::Field))
            .chain([
                Self::RecordHash,
                Self::PreviousHash,
                Self::Ledger,
                Self::Event,
            ])
    }

    fn named(name: &str) -> Result<Self, NoColumn> {
        let found = Self::all().find(|column| column.name() == name);
        found.ok_or_else(|| {
            let names = Self::all().map(Self::name);
            let near = names.map(|known| (strsim::osa_distance(name, &known), known));
            let near = near.min_by_key(|(distance, _)| *distance);
            NoColumn::Unknown {
                name: name.to_owned(),
                nearest: near.filter(|(far, _)| *far <= 3).map(|(_, known)| known),
            }
        })
    }

    /// Its name: that of the leaf, or the path of the field.
    pub fn name(self) -> String {
        match self {
            Self::Tenant => "tenant_id".to_owned(),
            Self::Number => "sequence_number".to_owned(),
            Self::IngestedAt => "ingested_at".to_owned(),
            Self::RecordHash => "record_hash".to_owned(),
            Self::PreviousHash => "previous_hash".to_owned(),
            Self::Ledger => "ledger".to_owned(),
            Self::Event => "event".to_owned(),
            Self::Field(field) => field.path(),
        }
    }

    /// What its cells are.
    pub fn shape(self) -> Shape {
        match self {
            Self::Tenant | Self::RecordHash | Self::PreviousHash => Shape::Text,
            Self::Number => Shape::Count,
            Self::IngestedAt => Shape::Time,
            Self::Ledger | Self::Event => Shape::Json,
            Self::Field(field) => match field.kind() {
                Kind::Text(_) | Kind::Word(_) | Kind::Date => Shape::Text,
                Kind::Time => Shape::Time,
                Kind::Count(_) => Shape::Count,
                Kind::Amount | Kind::Ratio => Shape::Amount,
                Kind::Flag => Shape::Flag,
                Kind::Texts | Kind::TextMap | Kind::Group(_) | Kind::Object | Kind::Any => {
                    Shape::Json
                }
            },
        }
    }

    /// What stands in it: text without quotes and escapes, anything else as JSON has it, `None` for
    /// what is not there or `null`.
    pub(crate) fn cell<'a>(
        self,
        leaf: &'a LeafView<'a>,
        event: &EventView<'a>,
    ) -> Option<Cow<'a, str>> {
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        match self {
            Self::Tenant => Some(leaf.tenant_id().into()),
            Self::Number => Some(leaf.sequence_number.to_string().into()),
            Self::IngestedAt => Some(leaf.ingested_at.to_rfc3339().into()),
            Self::RecordHash => Some(leaf_hash(leaf.bytes()).to_string().into()),
            Self::PreviousHash => Some(hex(&leaf.previous_hash).into()),
            Self::Ledger => text(leaf.ledger()),
            Self::Event => Some(event.as_str().into()),
            Self::Field(field) => {
                let token = event.raw(field).filter(|token| *token != "null")?;
                Some(match (self.shape(), string_content(token)) {
                    (Shape::Json, _) | (_, None) => token.into(),
                    (_, Some(content)) => unescape(content),
                })
            }
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    indelible_merkle::Hash::from_bytes(*bytes).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn columns_are_named_chosen_and_written_back() {
        assert_eq!(Columns::usual().iter().count(), USUAL.len());
        for text in ["actor.id", "sequence_number, ai.cost_usd,event", "all", ""] {
            let columns = Columns::parse(text).unwrap();
            assert_eq!(Columns::parse(&columns.to_string()).unwrap(), columns);
        }
        let all: Vec<_> = Column::all().map(Column::name).collect();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
        let wrong = Columns::parse("actor.id,actor.nmae").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "there is no column `actor.nmae`: did you mean `actor.name`?"
        );
        let twice = Columns::parse("event,event").unwrap_err();
        assert_eq!(twice.to_string(), "the column `event` is named twice");
        assert!(Columns::parse("actor").is_err(), "a group is no column");
    }
}
