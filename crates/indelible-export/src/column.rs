//! The columns of a table of records: what only the ledger knows, the fields of the unified model
//! by their paths, and paths further into what applications put there. Reading a cell never fails:
//! what is not there is nothing.

use std::borrow::Cow;
use std::fmt;

use indelible_event::canonical::unescape;
use indelible_event::view::{EventView, string_content};
use indelible_event::{Field, Group, Kind, LeafView, dotted};
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

/// What no path leads into: there is a mark in it, and nothing of the application's.
const CLOSED: [Field; 1] = [Field::Sealed];

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What these keys lead to in a field.
    Path(Field, Vec<String>),
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
    /// Text as text, any other JSON value as JSON.
    Any,
}

/// What stands in a column of a row.
pub(crate) struct Cell<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Whether it is a number, and not a text of digits.
    pub(crate) is_number: bool,
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
    /// A path without one of its keys.
    #[error("a key is missing in `{0}`: write a path like `data.items.0.sku`")]
    KeyMissing(String),
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
            _ => {
                let mut columns = Vec::new();
                for name in names(text) {
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
    pub fn iter(&self) -> impl Iterator<Item = &Column> {
        self.0.iter()
    }
}

/// Names with commas between them; a comma behind a backslash is part of a key.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    let split = text.split(move |c| {
        let is_it = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        is_it
    });
    split.map(trimmed)
}

/// Without the white space around it; behind a backslash it is part of a key.
fn trimmed(name: &str) -> &str {
    let name = name.trim_start();
    let (short, rest) = name.split_at(name.trim_end().len());
    let backslashes = short.bytes().rev().take_while(|b| *b == b'\\').count();
    let kept = rest.chars().next().filter(|_| backslashes % 2 == 1);
    let end = short.len() + kept.map_or(0, char::len_utf8);
    name.get(..end).unwrap_or(short)
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
        if let Some(found) = Self::all().find(|column| column.name() == name) {
            return Ok(found);
        }
        let within = |field: &Field| name.strip_prefix(&field.path())?.strip_prefix('.');
        if let Some((field, keys)) = roots().find_map(|field| Some((field, within(&field)?))) {
            let steps = dotted::read(keys).ok_or_else(|| NoColumn::KeyMissing(name.to_owned()))?;
            return Ok(Self::Path(field, steps));
        }
        let near = Self::all().map(|known| known.name());
        let near = near.map(|known| (strsim::osa_distance(name, &known), known));
        let near = near.min_by_key(|(distance, _)| *distance);
        let near = near.filter(|(far, _)| *far <= 3).map(|(_, known)| known);
        Err(NoColumn::Unknown {
            name: name.to_owned(),
            nearest: near.or_else(|| nearest_path(name)),
        })
    }

    /// Its name: that of the leaf, or the path of the field.
    pub fn name(&self) -> String {
        match self {
            Self::Tenant => "tenant_id".to_owned(),
            Self::Number => "sequence_number".to_owned(),
            Self::IngestedAt => "ingested_at".to_owned(),
            Self::RecordHash => "record_hash".to_owned(),
            Self::PreviousHash => "previous_hash".to_owned(),
            Self::Ledger => "ledger".to_owned(),
            Self::Event => "event".to_owned(),
            Self::Field(field) => field.path(),
            Self::Path(field, steps) => {
                let mut name = field.path();
                dotted::write(steps, &mut name);
                name
            }
        }
    }

    /// What its cells are.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Path(..) => Shape::Any,
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
        &self,
        leaf: &'a LeafView<'a>,
        event: &EventView<'a>,
    ) -> Option<Cell<'a>> {
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        let token = match self {
            Self::Tenant => return Some(Cell::text(leaf.tenant_id())),
            Self::Number => Cow::Owned(leaf.sequence_number.to_string()),
            Self::IngestedAt => return Some(Cell::text(leaf.ingested_at.to_rfc3339())),
            Self::RecordHash => return Some(Cell::text(leaf_hash(leaf.bytes()).to_string())),
            Self::PreviousHash => return Some(Cell::text(hex(&leaf.previous_hash))),
            Self::Ledger => text(leaf.ledger())?,
            Self::Event => event.as_str().into(),
            Self::Field(field) => event.raw(*field)?.into(),
            Self::Path(field, steps) => dotted::value(event.raw(*field)?, steps)?,
        };
        if token == "null" {
            return None;
        }
        if self.shape() == Shape::Json {
            return Some(Cell::json(token));
        }
        Some(match token {
            Cow::Borrowed(token) => match string_content(token) {
                Some(content) => Cell::text(unescape(content)),
                None => Cell::json(token.into()),
            },
            // A list that was put together, or a number.
            Cow::Owned(token) => Cell::json(token.into()),
        })
    }
}

impl<'a> Cell<'a> {
    fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            text: text.into(),
            is_number: false,
        }
    }

    fn json(token: Cow<'a, str>) -> Self {
        let begins = token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        Self {
            is_number: begins && token.parse::<f64>().is_ok_and(f64::is_finite),
            text: token,
        }
    }
}

/// The fields that paths lead into: what takes any value, and before and after.
fn roots() -> impl Iterator<Item = Field> {
    let all = Field::ALL.iter().copied();
    let open = all.filter(|field| {
        matches!(
            field.kind(),
            Kind::Any | Kind::Object | Kind::TextMap | Kind::Group(Group::Changes)
        )
    });
    open.filter(|field| !NOT_OF_EVENTS.contains(field) && !CLOSED.contains(field))
}

/// The path that may have been meant where its first key is misspelt.
fn nearest_path(name: &str) -> Option<String> {
    let (first, rest) = name.split_once('.')?;
    let mut paths = roots().map(Field::path);
    let near = paths.find(|root| strsim::osa_distance(first, root) <= 1)?;
    Some(format!("{near}.{rest}"))
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
        let all: Vec<_> = Column::all().map(|column| column.name()).collect();
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
        for paths in [
            "data.amount",
            "actor.id,metadata.x,changes.status.new,changes.before.a.0",
            r"data.a\.b\,c,target.metadata.\ ,source_payload.x",
        ] {
            let columns = Columns::parse(paths).unwrap();
            assert_eq!(columns.to_string(), paths);
        }
        let before = Columns::parse("changes.before").unwrap();
        let field = Column::Field(Field::ChangesBefore);
        assert_eq!(before.iter().collect::<Vec<_>>(), [&field]);
        for (name, said) in [
            (
                "dta.amount",
                "there is no column `dta.amount`: did you mean `data.amount`?",
            ),
            (
                "data.",
                "a key is missing in `data.`: write a path like `data.items.0.sku`",
            ),
            ("people.x.y", "there is no column `people.x.y`"),
            (
                "sealed.0",
                "there is no column `sealed.0`: did you mean `sealed`?",
            ),
            ("data.a,data.a", "the column `data.a` is named twice"),
        ] {
            assert_eq!(Columns::parse(name).unwrap_err().to_string(), said);
        }
    }
}
