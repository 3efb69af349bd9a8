//! Paths into an event, and what is asked of the values there: `data.amount>100`, `has:proof`,
//! `duration:100ms..2s`; each way to read them beside the way to write them.

use std::ops::Bound;

use indelible_event::{Field, dotted};
use indelible_store::terms::normalise;
use indelible_store::{Decimal, Path, Pattern, Test};

use crate::lex::{ROOTS, Sign, Value, quote, write_value};
use crate::qualifier::{Meaning, QUALIFIERS, Qualifier};
use crate::suggest::nearest;

/// What the numbers of a qualifier count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nothing that has units.
    One,
    /// Milliseconds; others are written behind the number.
    Milliseconds,
}

/// Units of time, in milliseconds; longer names before those that they end with.
const TIMES: [(&str, u32); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// What `has:` calls what no field does.
pub(crate) const ATTACHMENT: &str = "attachment";
/// What `has:` calls sealed values.
const PERSONAL: &str = "personal";

/// What stands in the envelope, or is the ledger's own: there is nothing to ask.
const NEVER_ASKED: [Field; 7] = [
    Field::TenantId,
    Field::SequenceNumber,
    Field::PreviousHash,
    Field::RecordHash,
    Field::IngestedAt,
    Field::Stream,
    Field::Sealed,
];

/// What is mostly sealed, and then not in the record.
const MOSTLY_SEALED: [Field; 6] = [
    Field::ActorName,
    Field::ActorEmail,
    Field::ActorIp,
    Field::ActorUserAgent,
    Field::TargetName,
    Field::TargetEmail,
];

/// What a name behind `has:` stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Something in the event.
    Path(Path),
    /// What the event names that is stored beside the log.
    Attachment,
    /// What is mostly sealed.
    Sealed,
    /// Nothing that is known; the name that may have been meant.
    Unknown(Option<String>),
}

impl Part {
    pub(crate) fn named(text: &str) -> Self {
        if let Some(path) = read_path(text) {
            return path.map_or(Self::Unknown(None), Self::Path);
        }
        let name = normalise(text);
        match &*name {
            ATTACHMENT => return Self::Attachment,
            PERSONAL => return Self::Path(Field::Sealed.into()),
            _ => {}
        }
        let of_path = || Field::ALL.iter().copied().find(|f| f.path() == *name);
        let of_qualifier = || Qualifier::named(&name).and_then(Qualifier::field);
        match of_path().or_else(of_qualifier) {
            Some(field) if MOSTLY_SEALED.contains(&field) => Self::Sealed,
            Some(field) if !NEVER_ASKED.contains(&field) => Self::Path(field.into()),
            _ => Self::Unknown(nearest_part(&name)),
        }
    }
}

fn nearest_part(name: &str) -> Option<String> {
    let asked = |f: &Field| !NEVER_ASKED.contains(f) && !MOSTLY_SEALED.contains(f);
    let fields = Field::ALL.iter().copied().filter(asked).map(Field::path);
    let qualifiers = QUALIFIERS
        .iter()
        .filter(|q| q.field().is_some_and(|f| asked(&f)));
    let own = [ATTACHMENT, PERSONAL].map(str::to_owned);
    let all: Vec<_> = own
        .into_iter()
        .chain(fields)
        .chain(qualifiers.map(|q| q.name.to_owned()))
        .collect();
    nearest(name, all.iter().map(String::as_str)).map(str::to_owned)
}

/// What `has:` calls a path.
pub(crate) fn part_text(path: &Path) -> String {
    if path.field == Field::Sealed {
        PERSONAL.to_owned()
    } else {
        path_text(path)
    }
}

/// A path without one of its keys.
#[derive(Debug)]
pub(crate) struct KeyMissing;

/// A path into `data` or `changes`, its keys with dots between them; `None` when the text is of
/// another kind.
pub(crate) fn read_path(text: &str) -> Option<Result<Path, KeyMissing>> {
    let (root, rest) = text.trim().split_once('.')?;
    let root = ROOTS.into_iter().find(|r| r.eq_ignore_ascii_case(root))?;
    let field = Field::ALL.iter().copied().find(|f| f.path() == root)?;
    let steps = dotted::read(rest).ok_or(KeyMissing);
    Some(steps.map(|steps| Path { field, steps }))
}

/// Writes a path so that it is read back; its signs with a backslash before them.
pub(crate) fn path_text(path: &Path) -> String {
    let mut text = path.field.path();
    dotted::write(&path.steps, &mut text);
    text
}

/// A number with its unit.
pub(crate) fn read_number(text: &str, unit: Unit) -> Option<Decimal> {
    if unit == Unit::Milliseconds {
        let text = text.to_ascii_lowercase();
        let with_unit = TIMES
            .iter()
            .find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
        if let Some((number, factor)) = with_unit {
            return Some(Decimal::parse(number)?.times(factor));
        }
    }
    Decimal::parse(text)
}

/// A number, or a range of them with both ends; `None` if the text is neither.
pub(crate) fn read_range(text: &str, unit: Unit) -> Option<Test> {
    let end = |text: &str| match text {
        "" => Some(Bound::Unbounded),
        text => read_number(text, unit).map(Bound::Included),
    };
    Some(match text.split_once("..") {
        Some(("", "")) => return None,
        Some((from, to)) => Test::Number(end(from)?, end(to)?),
        None => {
            let number = read_number(text, unit)?;
            Test::Number(Bound::Included(number.clone()), Bound::Included(number))
        }
    })
}

/// Whether a range ends before it begins.
pub(crate) fn is_backwards(test: &Test) -> bool {
    let Test::Number(Bound::Included(from), Bound::Included(to)) = test else {
        return false;
    };
    from > to
}

/// A value as it is written behind the colon of a path: a number, a range, `true`, `false`, `null`,
/// else a text; in quotes always a text.
pub(crate) fn read_value(value: &Value) -> Test {
    let text = normalise(&value.text);
    if value.quoted {
        return Test::Text(text.into_owned());
    }
    match &*text {
        "true" => Test::Flag(true),
        "false" => Test::Flag(false),
        "null" => Test::Null,
        _ => read_range(&text, Unit::One).unwrap_or_else(|| {
            let pattern = Pattern::parse(&text);
            pattern.literal().map_or(Test::Like(pattern), Test::Text)
        }),
    }
}

/// The test that a sign and a number are.
pub(crate) fn compared(sign: Sign, number: Decimal) -> Test {
    match sign {
        Sign::Above => Test::Number(Bound::Excluded(number), Bound::Unbounded),
        Sign::From => Test::Number(Bound::Included(number), Bound::Unbounded),
        Sign::Below => Test::Number(Bound::Unbounded, Bound::Excluded(number)),
        Sign::UpTo => Test::Number(Bound::Unbounded, Bound::Included(number)),
        Sign::Is | Sign::IsNot | Sign::Instead(_) => {
            Test::Number(Bound::Included(number.clone()), Bound::Included(number))
        }
    }
}

/// The name before the sign.
fn name(path: &Path) -> String {
    let is_it = |q: &&Qualifier| match q.meaning {
        Meaning::Number(field, _) => path.steps.is_empty() && field == path.field,
        _ => false,
    };
    let counted = QUALIFIERS.iter().find(is_it);
    counted.map_or_else(|| path_text(path), |q| q.name.to_owned())
}

/// The name under which it can stand in a list of values, if it can.
pub(crate) fn list_name(path: &Path, test: &Test) -> Option<String> {
    match test {
        Test::There => Some("has".to_owned()),
        Test::Number(Bound::Excluded(_), _) | Test::Number(_, Bound::Excluded(_)) => None,
        _ => Some(name(path)),
    }
}

/// Writes the value alone, as it stands behind the colon.
pub(crate) fn write_listed(path: &Path, test: &Test, out: &mut String) {
    let end = |bound: &Bound<Decimal>| match bound {
        Bound::Included(number) | Bound::Excluded(number) => number.to_string(),
        Bound::Unbounded => String::new(),
    };
    match test {
        Test::There => write_value(&part_text(path), out),
        Test::Null => out.push_str("null"),
        Test::Flag(true) => out.push_str("true"),
        Test::Flag(false) => out.push_str("false"),
        Test::Text(text) => write_text(text, out),
        Test::Like(pattern) => out.push_str(&pattern.to_string()),
        Test::Number(from, to) if from == to => out.push_str(&end(from)),
        Test::Number(from, to) => {
            out.push_str(&end(from));
            out.push_str("..");
            out.push_str(&end(to));
        }
    }
}

/// In quotes where it would be read as something else than a text.
fn write_text(text: &str, out: &mut String) {
    let bare = Value {
        text: text.to_owned(),
        quoted: false,
        place: crate::error::Place {
            column: 1,
            length: 0,
        },
    };
    let says_itself = read_value(&bare) == Test::Text(text.to_owned());
    if says_itself && !begins_with_sign(text) {
        write_value(text, out);
    } else {
        quote(text, out);
    }
}

/// Whether somebody wrote a sign behind the colon, instead of in its place.
pub(crate) fn begins_with_sign(text: &str) -> bool {
    text.starts_with(['<', '>', '='])
}

/// Writes it alone.
pub(crate) fn write(path: &Path, test: &Test, out: &mut String) {
    let signed = match test {
        Test::Number(Bound::Excluded(number), _) => Some((">", number)),
        Test::Number(_, Bound::Excluded(number)) => Some(("<", number)),
        Test::Number(Bound::Included(number), Bound::Unbounded) => Some((">=", number)),
        Test::Number(Bound::Unbounded, Bound::Included(number)) => Some(("<=", number)),
        _ => None,
    };
    if let Some((sign, number)) = signed {
        out.push_str(&name(path));
        out.push_str(sign);
        out.push_str(&number.to_string());
        return;
    }
    out.push_str(&list_name(path, test).unwrap_or_default());
    out.push(':');
    write_listed(path, test, out);
}
