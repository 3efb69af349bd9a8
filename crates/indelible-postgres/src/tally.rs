//! Counting what a query finds, in SQL: over the same condition as a search.
//!
//! Exact where terms and places decide. The typed numbers of events are no columns of this
//! database, so none are counted here: the caller reads them from bodies.

use indelible_store::{Error, Expr, Kind, Query, Result, Tallied, Tally, TermKey};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::append::Terms as Filing;
use crate::failure::failed;
use crate::marks::{self, Mark};
use crate::read::column;
use crate::search::{Sql, hashes, joined};
use crate::times::Time;

const DOING: &str = "counting";

/// Counts.
pub(crate) async fn tally(
    client: &Client,
    query: &Query,
    wanted: &Tally,
    terms: Filing,
) -> Result<Tallied> {
    let mark = match query.as_of {
        Some(mark) => Some(marks::read(client, mark).await?),
        None => None,
    };
    let counting = Counting {
        client,
        query,
        mark: mark.as_ref(),
        terms,
    };
    let mut tallied = wanted.begin();
    tallied.numbers = None;
    tallied.exact = counting.total(&mut tallied).await?;
    if !tallied.exact || tallied.total == 0 {
        if wanted.columns.is_empty() || tallied.total == 0 {
            tallied.numbers = wanted.begin().numbers;
        }
        return Ok(tallied);
    }
    if wanted.columns.is_empty() {
        tallied.numbers = Some(Vec::new());
    }
    if wanted.borders.len() > 1 {
        counting.bars(wanted, &mut tallied).await?;
    }
    if !wanted.groups.is_empty() {
        counting.groups(wanted, &mut tallied).await?;
    }
    Ok(tallied)
}

struct Counting<'a> {
    client: &'a Client,
    query: &'a Query,
    mark: Option<&'a Mark>,
    terms: Filing,
}

impl Counting<'_> {
    /// How many there are, and their first and last time; whether that is exact.
    async fn total(&self, tallied: &mut Tallied) -> Result<bool> {
        let mut sql = Sql::new(self.terms.key);
        let (parts, exact) = sql.wanted(self.query, self.mark);
        let select = "count(*), min(occurred_at), max(occurred_at)";
        let rows = self.select(select, &parts, "", sql).await?;
        let row = rows
            .first()
            .ok_or_else(|| Error::new(Kind::Unavailable, DOING))?;
        tallied.total = unsigned(column(row, 0)?)?;
        let (from, to): (Option<Time>, Option<Time>) = (column(row, 1)?, column(row, 2)?);
        tallied.span = from.map(|time| time.0).zip(to.map(|time| time.0));
        Ok(exact)
    }

    async fn bars(&self, wanted: &Tally, tallied: &mut Tallied) -> Result<()> {
        let mut sql = Sql::new(self.terms.key);
        let borders: Vec<Time> = wanted.borders.iter().copied().map(Time).collect();
        let borders = sql.value(borders);
        let select = format!("width_bucket(occurred_at, {borders}::timestamptz[]), count(*)");
        let (parts, _) = sql.wanted(self.query, self.mark);
        for row in self.select(&select, &parts, "GROUP BY 1", sql).await? {
            // Before the first border is 0, behind the last one more than there are bars.
            let bar: i32 = column(&row, 0)?;
            let bar = usize::try_from(bar).ok().and_then(|bar| bar.checked_sub(1));
            if let Some(bar) = bar.and_then(|bar| tallied.bars.get_mut(bar)) {
                *bar = unsigned(column(&row, 1)?)?;
            }
        }
        Ok(())
    }

    /// For how many each of the conditions of each group holds, and for how many none does.
    async fn groups(&self, wanted: &Tally, tallied: &mut Tallied) -> Result<()> {
        let mut filed = Filed::default();
        let mut sql = Sql::new(self.terms.key);
        let mut none = Vec::new();
        for group in &wanted.groups {
            let any = filed.add(group, self.terms.key)?;
            none.push(format!("count(*) FILTER (WHERE {})", sql.lacks(any)));
        }
        let select = format!("ARRAY[{}]::int8[]", none.join(", "));
        let (parts, _) = sql.wanted(self.query, self.mark);
        let rows = self.select(&select, &parts, "", sql).await?;
        let none: Vec<i64> = rows
            .first()
            .map_or_else(|| Ok(Vec::new()), |r| column(r, 0))?;
        let found = self.each(&filed).await?;
        let mut found = found.into_iter();
        for (of, none) in tallied.groups.iter_mut().zip(none) {
            of.none = unsigned(none)?;
            for (count, found) in of.counts.iter_mut().zip(&mut found) {
                *count = unsigned(found)?;
            }
        }
        Ok(())
    }

    /// How many records each condition holds for: the terms of all records are looked through once,
    /// however many conditions there are.
    async fn each(&self, filed: &Filed) -> Result<Vec<i64>> {
        let mut sql = Sql::new(self.terms.key);
        let (parts, _) = sql.wanted(self.query, self.mark);
        let condition = joined(&parts, " AND ", "true");
        let (hashes, at) = (sql.value(filed.hashes.clone()), sql.value(filed.at.clone()));
        // What a record is found by in two ways counts once.
        let record = "tenant_id, sequence_number, ";
        let (once, record) = if filed.several {
            (format!("DISTINCT {record}"), record)
        } else {
            (String::new(), "")
        };
        let text = format!(
            "SELECT at, count(*) FROM (SELECT {once}at FROM \
             (SELECT {record}unnest(terms) AS term FROM indelible.records WHERE {condition}) \
             AS filed JOIN unnest({hashes}::int8[], {at}::int4[]) AS wanted (term, at) \
             USING (term)) AS found GROUP BY at"
        );
        let mut counts = vec![0; filed.conditions];
        for row in self.rows(&text, &sql).await? {
            let at: i32 = column(&row, 0)?;
            if let Some(count) = usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
                *count = column(&row, 1)?;
            }
        }
        Ok(counts)
    }

    async fn select(
        &self,
        what: &str,
        parts: &[String],
        behind: &str,
        sql: Sql,
    ) -> Result<Vec<Row>> {
        let condition = joined(parts, " AND ", "true");
        let text = format!("SELECT {what} FROM indelible.records WHERE {condition} {behind}");
        self.rows(&text, &sql).await
    }

    async fn rows(&self, text: &str, sql: &Sql) -> Result<Vec<Row>> {
        let values: Vec<&(dyn ToSql + Sync)> = sql.values.iter().map(|v| &**v as _).collect();
        let rows = self.client.query(text, &values).await;
        rows.map_err(|error| failed(DOING, error))
    }
}

/// What conditions are found by.
#[derive(Default)]
struct Filed {
    conditions: usize,
    /// Each hash, and beside it the number of the condition that it belongs to.
    hashes: Vec<i64>,
    at: Vec<i32>,
    /// Whether one condition has several.
    several: bool,
}

impl Filed {
    /// Numbers the conditions of a group on; all that they are found by.
    fn add(&mut self, group: &[Expr], key: TermKey) -> Result<Vec<i64>> {
        let from = self.hashes.len();
        for expr in group {
            let hashes = hashes(key, expr).ok_or_else(|| {
                let text = "only terms and personal values can be counted in groups";
                Error::new(Kind::Invalid, text)
            })?;
            let at = i32::try_from(self.conditions).unwrap_or(i32::MAX);
            self.several |= hashes.len() > 1;
            self.at.extend(hashes.iter().map(|_| at));
            self.hashes.extend(hashes);
            self.conditions += 1;
        }
        Ok(self.hashes.get(from..).unwrap_or_default().to_vec())
    }
}

fn unsigned(count: i64) -> Result<u64> {
    let text = || format!("{DOING}: the number {count}");
    u64::try_from(count).map_err(|_| Error::new(Kind::Unavailable, text()))
}
