//! Small values with compare-and-swap, in one table; the key store is another table like it.
//!
//! A change set locks the names of what it changes, in order, so that two sets never wait for each
//! other in a circle, and checks what it has locked.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::{Object, Transaction};
use indelible_store::{Change, Entry, Error, Kind, Result, Version};
use sha2::{Digest, Sha256};
use tokio_postgres::types::ToSql;

use crate::failure::{commit_failed, failed};

const DOING: &str = "small state";

/// Which values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// The small state of the ledger.
    State,
    /// The key store.
    Keys,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::State => "indelible.state",
            Self::Keys => "indelible.keys",
        }
    }

    /// First of the pair that names a lock: "stat" and "keys" as numbers.
    fn lock(self) -> i32 {
        match self {
            Self::State => 0x7374_6174,
            Self::Keys => 0x6b65_7973,
        }
    }
}

fn version(stored: i64) -> Version {
    stored.cast_unsigned()
}

/// A value and its version.
pub(crate) async fn get(
    client: &Object,
    table: Table,
    space: &str,
    key: &[u8],
) -> Result<Option<(Vec<u8>, Version)>> {
    let table = table.name();
    let select = format!("SELECT value, version FROM {table} WHERE space = $1 AND key = $2");
    let select = client
        .prepare_cached(&select)
        .await
        .map_err(|error| failed(DOING, error))?;
    let row = client
        .query_opt(&select, &[&space, &key])
        .await
        .map_err(|error| failed(DOING, error))?;
    Ok(row.map(|row| (row.get(0), version(row.get(1)))))
}

/// Which entries are asked for.
pub(crate) struct Scan<'a> {
    pub(crate) space: &'a str,
    pub(crate) prefix: &'a [u8],
    pub(crate) after: Option<&'a [u8]>,
    pub(crate) limit: usize,
}

/// Entries by prefix, in order.
pub(crate) async fn scan(client: &Object, table: Table, scan: Scan<'_>) -> Result<Vec<Entry>> {
    let table = table.name();
    let select = format!(
        "SELECT key, value, version FROM {table} WHERE space = $1 AND key >= $2 \
         AND ($3::bytea IS NULL OR key > $3) AND ($4::bytea IS NULL OR key < $4) \
         ORDER BY key LIMIT $5"
    );
    let Scan {
        space,
        prefix,
        after,
        limit,
    } = scan;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client
        .query(&select, &[&space, &prefix, &after, &end_of(prefix), &limit])
        .await
        .map_err(|error| failed(DOING, error))?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), version(row.get(2))))
        .collect())
}

/// The first key behind all that start with the prefix, if there is one.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let at = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix.get(..=at)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// Applies all changes or none.
pub(crate) async fn apply(client: &mut Object, table: Table, changes: &[Change]) -> Result<()> {
    let transaction = client
        .transaction()
        .await
        .map_err(|error| failed(DOING, error))?;
    let mut values = locked(&transaction, table, changes).await?;
    for change in changes {
        let value = values
            .entry((change.space, change.key.as_slice()))
            .or_default();
        let version = match value {
            Value::Absent => 0,
            Value::Stored(version) | Value::New(_, version) => *version,
        };
        if change.expected.is_some_and(|expected| expected != version) {
            let said = format!("a value of {} has version {version}: read it", change.space);
            return Err(Error::new(Kind::Conflict, said));
        }
        *value = match &change.value {
            Some(bytes) => Value::New(bytes, version.wrapping_add(1)),
            None => Value::Absent,
        };
    }
    write(&transaction, table, &values).await?;
    transaction
        .commit()
        .await
        .map_err(|error| commit_failed(DOING, error))
}

/// What a value is, or is to become.
#[derive(Clone, Copy, Default)]
enum Value<'a> {
    #[default]
    Absent,
    Stored(Version),
    New(&'a [u8], Version),
}

type Values<'a> = BTreeMap<(&'static str, &'a [u8]), Value<'a>>;

/// Keeps other writers of these values away until the transaction ends, and reads their versions.
///
/// What is not there cannot be locked as a row, so names are, a few for all.
async fn locked<'a>(
    transaction: &Transaction<'_>,
    table: Table,
    changes: &'a [Change],
) -> Result<Values<'a>> {
    let oops = |error| failed(DOING, error);
    let names = changes
        .iter()
        .map(|change| (change.space, change.key.as_slice()));
    let mut values: Values<'a> = names.map(|name| (name, Value::Absent)).collect();
    let locks: BTreeSet<i32> = values
        .keys()
        .map(|(space, key)| stripe(space, key))
        .collect();
    let locks: Vec<i32> = locks.into_iter().collect();
    let lock = "SELECT pg_advisory_xact_lock($1, stripe) FROM unnest($2::int4[]) AS stripe";
    let lock = transaction.prepare_cached(lock).await.map_err(oops)?;
    transaction
        .query(&lock, &[&table.lock(), &locks])
        .await
        .map_err(oops)?;
    let (spaces, keys): (Vec<&str>, Vec<&[u8]>) = values.keys().copied().unzip();
    let name = table.name();
    let select = format!(
        "SELECT wanted.place, version FROM {name} JOIN \
         unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS wanted (space, key, place) \
         USING (space, key)"
    );
    let select = transaction.prepare_cached(&select).await.map_err(oops)?;
    let rows = transaction
        .query(&select, &[&spaces, &keys])
        .await
        .map_err(oops)?;
    let mut all: Vec<&mut Value<'a>> = values.values_mut().collect();
    for row in rows {
        let place = usize::try_from(row.get::<_, i64>(0) - 1).ok();
        if let Some(value) = place.and_then(|place| all.get_mut(place)) {
            **value = Value::Stored(version(row.get(1)));
        }
    }
    Ok(values)
}

/// Names that are locked for all values.
const STRIPES: u8 = 64;

fn stripe(space: &str, key: &[u8]) -> i32 {
    let hash = Sha256::new()
        .chain_update(space)
        .chain_update([0])
        .chain_update(key);
    i32::from(hash.finalize()[0] % STRIPES)
}

async fn write(transaction: &Transaction<'_>, table: Table, values: &Values<'_>) -> Result<()> {
    let (mut spaces, mut keys, mut bytes, mut versions) = (vec![], vec![], vec![], vec![]);
    let (mut gone_spaces, mut gone_keys) = (vec![], vec![]);
    for ((space, key), value) in values {
        match value {
            Value::New(value, version) => {
                spaces.push(*space);
                keys.push(*key);
                bytes.push(*value);
                versions.push(version.cast_signed());
            }
            Value::Absent => {
                gone_spaces.push(*space);
                gone_keys.push(*key);
            }
            Value::Stored(_) => {}
        }
    }
    let name = table.name();
    let insert = format!(
        "INSERT INTO {name} (space, key, value, version) \
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::int8[]) \
         ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, version = excluded.version"
    );
    let delete = format!(
        "DELETE FROM {name} AS kept USING unnest($1::text[], $2::bytea[]) \
         AS gone (space, key) WHERE kept.space = gone.space AND kept.key = gone.key"
    );
    let oops = |error| failed(DOING, error);
    if !spaces.is_empty() {
        let row: [&(dyn ToSql + Sync); 4] = [&spaces, &keys, &bytes, &versions];
        let insert = transaction.prepare_cached(&insert).await.map_err(oops)?;
        transaction.execute(&insert, &row).await.map_err(oops)?;
    }
    if !gone_spaces.is_empty() {
        transaction
            .execute(&delete, &[&gone_spaces, &gone_keys])
            .await
            .map_err(oops)?;
    }
    Ok(())
}
