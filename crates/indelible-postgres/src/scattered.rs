//! Reading records that lie apart: many ranges of many logs in one statement.
//!
//! What a query finds are mostly single records, and each statement is a way to the server and
//! back. A range that reaches behind its head, or is long, is left to whoever reads one log.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use deadpool_postgres::Object;
use indelible_event::ids::TenantId;
use indelible_store::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::failure::failed;
use crate::read::{CHUNK, Chunk, SELECT_PERSONAL, column, number, personal_rows};
use crate::times::Time;

const DOING: &str = "reading";

/// Some records of a log.
pub(crate) type Wanted<'a> = (&'a TenantId, Range<u64>);

/// As many of the first ranges as are read at once, one at least, and the others.
pub(crate) fn group<'w, 'a>(wanted: &'w [Wanted<'a>]) -> (&'w [Wanted<'a>], &'w [Wanted<'a>]) {
    let mut records = 0_u64;
    let mut fits = |(_, range): &Wanted<'_>| {
        records = records.saturating_add(range.end.saturating_sub(range.start));
        records <= CHUNK.cast_unsigned()
    };
    let count = wanted.iter().take_while(|one| fits(one)).count();
    wanted.split_at(count.max(1).min(wanted.len()))
}

/// What is there of each range, in the order asked; `None` where it reaches behind the head.
pub(crate) async fn chunks(client: &Object, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Chunk>>> {
    let oops = |error| failed(DOING, error);
    // Number by number: what a range has, the planner guesses, and reads the whole table for it.
    let select = "SELECT record.sequence_number, record.leaf, record.personal, \
         record.ingested_at, wanted.at, head.size \
         FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[]) \
         AS wanted (tenant, number, behind, at) \
         LEFT JOIN indelible.heads AS head ON head.tenant_id = wanted.tenant \
         LEFT JOIN indelible.records AS record ON record.tenant_id = wanted.tenant \
         AND record.sequence_number = wanted.number AND wanted.behind <= head.size";
    let select = client.prepare_cached(select).await.map_err(oops)?;
    let (mut tenants, mut numbers) = (Vec::new(), Vec::new());
    let (mut behind, mut places) = (Vec::new(), Vec::new());
    for (at, (tenant, range)) in wanted.iter().enumerate() {
        for one in range.clone() {
            tenants.push(tenant.as_str());
            numbers.push(number(one));
            behind.push(number(range.end));
            places.push(i64::try_from(at).unwrap_or(i64::MAX));
        }
    }
    let values: [&(dyn ToSql + Sync); 4] = [&tenants, &numbers, &behind, &places];
    let rows = client.query(&select, &values).await.map_err(oops)?;
    let mut runs: Vec<Option<Vec<Row>>> = wanted.iter().map(|_| None).collect();
    for row in rows {
        let at = usize::try_from(column::<i64>(&row, 4)?).unwrap_or(usize::MAX);
        let size = column::<Option<i64>>(&row, 5)?.unwrap_or(0);
        let (Some(run), Some((_, range))) = (runs.get_mut(at), wanted.get(at)) else {
            continue;
        };
        if number(range.end) <= size {
            let is_there = column::<Option<i64>>(&row, 0)?.is_some();
            run.get_or_insert_default()
                .extend(Some(row).filter(|_| is_there));
        }
    }
    let runs = runs.into_iter().map(|run| run.map(in_order).transpose());
    let runs = runs.collect::<Result<Vec<_>>>()?;
    let select = client.prepare_cached(SELECT_PERSONAL).await.map_err(oops)?;
    let records = wanted.iter().zip(&runs).flat_map(|((tenant, _), run)| {
        let rows = run.iter().flatten();
        rows.map(|row| (tenant.as_str(), row))
    });
    let personal = personal_rows(client, &select, records).await?;
    let personal = personal
        .into_iter()
        .map(|(tenant, rows)| (tenant, Arc::new(rows)));
    let personal: HashMap<_, _> = personal.collect();
    let chunk = |(tenant, rows): (&TenantId, Vec<Row>)| Chunk {
        rows,
        personal: personal
            .get(tenant.as_str())
            .map(Arc::clone)
            .unwrap_or_default(),
    };
    let runs = wanted.iter().zip(runs);
    let chunks = runs.map(|((tenant, _), run)| Some(chunk((tenant, run?))));
    Ok(chunks.collect())
}

/// In the order of a log. Sorted here, since there it would be done with the leaves.
fn in_order(rows: Vec<Row>) -> Result<Vec<Row>> {
    let keyed = |row: Row| Ok((column::<i64>(&row, 0)?, column::<Time>(&row, 3)?.0, row));
    let mut keyed = rows.into_iter().map(keyed).collect::<Result<Vec<_>>>()?;
    keyed.sort_by_key(|(number, time, _)| (*number, *time));
    Ok(keyed.into_iter().map(|(_, _, row)| row).collect())
}
