//! Counting what a query finds, in SQL: over the same condition as a search.
//!
//! Exact where terms and places decide. The typed numbers of events are no columns of this
//! database, so none are counted here: the caller reads them from bodies.

use indelible_store::{Error, Kind, Query, Result, Tallied, Tally};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::append::Terms as Filing;
use crate::failure::failed;
use crate::marks::{self, Mark};
use crate::read::column;
use crate::search::{Sql, joined};
use crate::times::Time;

const DOING: &str = "counting";

/// Conditions that one statement counts; of more there are several.
const CONDITIONS_MAX: usize = 64;

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
    for (group, of) in wanted.groups.iter().zip(&mut tallied.groups) {
        of.none = counting.none(group).await?;
        let counts = of.counts.chunks_mut(CONDITIONS_MAX);
        for (some, counts) in group.chunks(CONDITIONS_MAX).zip(counts) {
            let found = counting.each(some).await?;
            for (count, found) in counts.iter_mut().zip(found) {
                *count = unsigned(found)?;
            }
        }
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

    /// For how many each of the conditions holds.
    async fn each(&self, group: &[indelible_store::Expr]) -> Result<Vec<i64>> {
        let mut sql = Sql::new(self.terms.key);
        let counts = group.iter().map(|expr| {
            let (condition, _) = sql.condition(expr);
            format!("count(*) FILTER (WHERE {condition})")
        });
        let select = format!("ARRAY[{}]::int8[]", counts.collect::<Vec<_>>().join(", "));
        let (parts, _) = sql.wanted(self.query, self.mark);
        let rows = self.select(&select, &parts, "", sql).await?;
        rows.first()
            .map_or_else(|| Ok(Vec::new()), |row| column(row, 0))
    }

    /// For how many none of the conditions holds.
    async fn none(&self, group: &[indelible_store::Expr]) -> Result<u64> {
        let mut sql = Sql::new(self.terms.key);
        let none = indelible_store::Expr::Or(group.to_vec());
        let (none, _) = sql.condition(&indelible_store::Expr::Not(Box::new(none)));
        let (mut parts, _) = sql.wanted(self.query, self.mark);
        parts.push(none);
        let rows = self.select("count(*)", &parts, "", sql).await?;
        rows.first().map_or(Ok(0), |row| unsigned(column(row, 0)?))
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
        let values: Vec<&(dyn ToSql + Sync)> = sql.values.iter().map(|v| &**v as _).collect();
        let rows = self.client.query(&text, &values).await;
        rows.map_err(|error| failed(DOING, error))
    }
}

fn unsigned(count: i64) -> Result<u64> {
    let text = || format!("{DOING}: the number {count}");
    u64::try_from(count).map_err(|_| Error::new(Kind::Unavailable, text()))
}
