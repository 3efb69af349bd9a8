//! The rows of a part that a condition may hold for: a superset, and whether it is exact.

use std::ops::{Bound, Range};

use indelible_store::{Column, Decimal, Expr, Key, Pattern, Result, Terms, Test};
use roaring::{MultiOps as _, RoaringBitmap};

use super::marks::Union;
use crate::hashing::Hashing;
use crate::part::Part;
use crate::segment::ids::IdKey;

/// Some rows of a part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rows {
    /// All of them.
    All,
    /// These.
    Some(RoaringBitmap),
}

impl Rows {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(rows) if rows.is_empty())
    }

    /// Those that are in both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, rows) | (rows, Self::All) => rows,
            (Self::Some(a), Self::Some(b)) => Self::Some(a & b),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Some(a), Self::Some(b)) => Self::Some(a | b),
        }
    }

    fn not(self, rows: u32) -> Self {
        let mut all = RoaringBitmap::new();
        if let Self::Some(these) = self {
            all.insert_range(0..rows);
            all -= these;
        }
        Self::Some(all)
    }
}

/// The rows the condition may hold for; the flag says that it holds for all of them. What a part
/// has not filed may match anything that is looked up.
pub(crate) fn eval(part: &dyn Part, hashing: &Hashing, expr: &Expr) -> Result<(Rows, bool)> {
    let sure = part.unfiled().is_none();
    Ok(match expr {
        Expr::All => (Rows::All, true),
        Expr::Is(key, text) => (Rows::Some(term(part, hashing, *key, text)?), sure),
        Expr::Sealed(finds) => {
            let mut rows = unfiled(part);
            for find in finds {
                for personal in part.personal_with(find)? {
                    rows |= part.term(hashing.personal(personal))?;
                }
            }
            (Rows::Some(rows), sure)
        }
        Expr::Phrase(words) => {
            let exact = sure && Expr::is_word(words);
            (with_words(part, hashing, words)?, exact)
        }
        Expr::PhraseLike(words) => {
            let whole: Vec<_> = words.iter().filter_map(Pattern::literal).collect();
            (with_words(part, hashing, &whole)?, false)
        }
        // The words of an event's type are filed; of what else is like a pattern nothing is known.
        Expr::Like(Key::Type, pattern) => (with_words(part, hashing, &pattern.words())?, false),
        Expr::Id(id) => {
            let mut rows = Vec::new();
            part.with_id(&IdKey::of(hashing, id), &mut rows)?;
            (
                Rows::Some(unfiled(part) | rows.into_iter().collect::<RoaringBitmap>()),
                sure,
            )
        }
        Expr::Sequence(range) => (Rows::Some(numbered(part, range)?), true),
        Expr::At(path, Test::Number(from, to)) => match path.column() {
            Some(column) => (numbers(part, column, (from, to))?, false),
            None => (Rows::All, false),
        },
        Expr::Within(network) => match network.few() {
            Some(addresses) => {
                let rows = addresses.map(|address| term(part, hashing, Key::Ip, &address));
                let rows = rows.collect::<Result<Vec<_>>>()?;
                (Rows::Some(rows.union()), sure)
            }
            None => (Rows::All, false),
        },
        // Stands in the bodies alone.
        Expr::Like(..) | Expr::At(..) | Expr::Attachment => (Rows::All, false),
        Expr::Not(inner) => match eval(part, hashing, inner)? {
            (rows, true) => (rows.not(part.directory()?.rows), true),
            // Some of these rows may not match, so none may be left out.
            (_, false) => (Rows::All, false),
        },
        Expr::And(all) => {
            let (mut rows, mut exact) = (Rows::All, true);
            for inner in all {
                let (those, sure) = eval(part, hashing, inner)?;
                rows = rows.and(those);
                exact &= sure;
                if rows.is_empty() {
                    return Ok((rows, true));
                }
            }
            (rows, exact)
        }
        Expr::Or(any) => any_of(part, hashing, any)?,
    })
}

/// The rows that any of the conditions may hold for; terms are put together at once.
fn any_of(part: &dyn Part, hashing: &Hashing, any: &[Expr]) -> Result<(Rows, bool)> {
    let (mut rows, mut exact) = (Rows::Some(RoaringBitmap::new()), true);
    let mut terms = Union::of(part)?;
    for inner in any {
        if let Expr::Is(key, text) = inner {
            if let Some(hash) = hash_of(hashing, *key, text) {
                terms.add(part.filed(hash)?);
            }
            rows = rows.or(Rows::Some(unfiled(part)));
            exact &= part.unfiled().is_none();
            continue;
        }
        let (those, sure) = eval(part, hashing, inner)?;
        rows = rows.or(those);
        exact &= sure;
    }
    Ok((rows.or(Rows::Some(terms.set())), exact))
}

/// The rows with these sequence numbers, of any tenant.
fn numbered(part: &dyn Part, range: &Range<u64>) -> Result<RoaringBitmap> {
    let directory = part.directory()?;
    let mut rows = RoaringBitmap::new();
    for (number, _) in (0_u32..).zip(&directory.tenants) {
        for (run, _) in directory.rows_between(number, range.clone()) {
            rows.insert_range(run);
        }
    }
    Ok(rows)
}

/// The rows with all of the words.
fn with_words(part: &dyn Part, hashing: &Hashing, words: &[String]) -> Result<Rows> {
    let mut rows = Rows::All;
    for word in words {
        if rows.is_empty() {
            break;
        }
        rows = rows.and(Rows::Some(term(part, hashing, Key::Word, word)?));
    }
    Ok(rows)
}

/// What a text is filed under, if under anything.
pub(crate) fn hash_of(hashing: &Hashing, key: Key, text: &str) -> Option<u64> {
    // Filed terms are cut to a length; cutting is done where they are made.
    let mut terms = Terms::default();
    terms.push(key, text);
    let filed = terms.iter().next();
    filed.map(|(key, text)| hashing.term(key, text.as_bytes()))
}

fn term(part: &dyn Part, hashing: &Hashing, key: Key, text: &str) -> Result<RoaringBitmap> {
    let hash = hash_of(hashing, key, text);
    let rows = hash.map_or_else(|| Ok(RoaringBitmap::new()), |hash| part.term(hash))?;
    Ok(rows | unfiled(part))
}

/// The rows whose number may lie in the range: the nearest doubles of two numbers are in the order
/// of the numbers, or the same.
fn numbers(
    part: &dyn Part,
    column: Column,
    (from, to): (&Bound<Decimal>, &Bound<Decimal>),
) -> Result<Rows> {
    let nearest = |bound: &Bound<Decimal>, open: f64| match bound {
        Bound::Included(number) | Bound::Excluded(number) => number.nearest(),
        Bound::Unbounded => open,
    };
    let range = nearest(from, f64::NEG_INFINITY)..=nearest(to, f64::INFINITY);
    let mut rows = unfiled(part);
    part.numbers(column, &mut |row, value| {
        if range.contains(&value) {
            rows.insert(row);
        }
    })?;
    Ok(Rows::Some(rows))
}

fn unfiled(part: &dyn Part) -> RoaringBitmap {
    part.unfiled().cloned().unwrap_or_default()
}
