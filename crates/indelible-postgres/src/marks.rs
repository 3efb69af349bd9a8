//! Marks: what was committed when somebody began to page, in one number.
//!
//! Transactions are numbered when they begin and commit in any order, so a number alone says what
//! was committed only while no transaction is under way. Otherwise the snapshot is kept, for
//! [`DAYS`]; a cursor that is older is refused, rather than answered with other records.

use indelible_store::{Error, Kind, Result};
use tokio_postgres::Client;

use crate::failure::failed;

const DOING: &str = "marking what is committed";

/// How long a snapshot is kept.
const DAYS: i32 = 7;

/// Set where the number is that of a snapshot in `indelible.marks`.
const STORED: u64 = 1 << 62;
/// Where the era stands; below it is room for a million transactions a second over eight years.
const ERA_AT: u32 = 48;

/// What was committed at some moment.
pub(crate) struct Mark {
    /// In which era: of earlier ones everything was.
    pub(crate) era: i16,
    /// And of this one.
    pub(crate) seen: Seen,
}

/// Which transactions of an era were committed.
pub(crate) enum Seen {
    /// Those below this number.
    Below(u64),
    /// Those visible in this snapshot, as PostgreSQL writes it.
    In(String),
}

/// A mark of all that is committed now.
pub(crate) async fn make(client: &Client, era: i16) -> Result<u64> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT pg_snapshot_xmax(seen)::text, \
         pg_snapshot_xmin(seen) = pg_snapshot_xmax(seen), seen::text \
         FROM pg_current_snapshot() AS seen";
    let row = client.query_one(select, &[]).await.map_err(oops)?;
    let (number, flag) = if row.get(1) {
        let text: &str = row.get(0);
        let number: u64 = text.parse().map_err(|_| corrupt(text))?;
        (number, 0)
    } else {
        let forget =
            "DELETE FROM indelible.marks WHERE made_at < now() - make_interval(days => $1)";
        client.execute(forget, &[&DAYS]).await.map_err(oops)?;
        let snapshot: &str = row.get(2);
        let insert = "INSERT INTO indelible.marks (snapshot) VALUES ($1::text::pg_snapshot) \
             RETURNING mark";
        let row = client.query_one(insert, &[&snapshot]).await;
        (row.map_err(oops)?.get::<_, i64>(0).cast_unsigned(), STORED)
    };
    if number >> ERA_AT != 0 {
        return Err(corrupt(&number.to_string()));
    }
    Ok(flag | u64::from(era.cast_unsigned()) << ERA_AT | number)
}

fn corrupt(text: &str) -> Error {
    Error::new(Kind::Corrupt, format!("{DOING}: the number {text}"))
}

/// What a mark says.
pub(crate) async fn read(client: &Client, mark: u64) -> Result<Mark> {
    let number = mark & ((1 << ERA_AT) - 1);
    let era = (mark & !STORED) >> ERA_AT;
    let old = || Error::new(Kind::NotFound, "this page is of too long ago: search anew");
    let era = i16::try_from(era).map_err(|_| old())?;
    if mark & STORED == 0 {
        let seen = Seen::Below(number);
        return Ok(Mark { era, seen });
    }
    let select = "SELECT snapshot::text FROM indelible.marks WHERE mark = $1";
    let row = client.query_opt(select, &[&number.cast_signed()]).await;
    let row = row.map_err(|error| failed(DOING, error))?.ok_or_else(old)?;
    let seen = Seen::In(row.get(0));
    Ok(Mark { era, seen })
}
