//! What names the ledger of a database: its id, the key of its terms, the era in force.
//!
//! It is one row, made once. Numbers of transactions mean something in one cluster only, so that
//! tables which come into another, from a backup say, begin a new era there.

use indelible_store::{Error, Kind, Result, TermKey};
use tokio_postgres::Client;

use crate::append::Terms;
use crate::failure::failed;
use crate::postgres::Fresh;

const DOING: &str = "reading what names the ledger";

/// What a ledger is known by.
pub(crate) struct Name {
    pub(crate) id: [u8; 16],
    pub(crate) terms: Terms,
}

/// Whether there is a ledger.
pub(crate) async fn is_there(client: &Client) -> Result<bool> {
    let select = "SELECT EXISTS (SELECT FROM indelible.ledger)";
    let row = client.query_one(select, &[]).await;
    Ok(row.map_err(|error| failed(DOING, error))?.get(0))
}

/// Makes the ledger, unless another was faster.
pub(crate) async fn make(client: &Client, fresh: &Fresh) -> Result<()> {
    let insert = "INSERT INTO indelible.ledger (id, term_key, era, cluster) \
         SELECT $1, $2, 1, system_identifier FROM pg_control_system() \
         ON CONFLICT (one) DO NOTHING";
    let (id, key) = (fresh.id.as_slice(), fresh.term_key.as_slice());
    let made = client.execute(insert, &[&id, &key]).await;
    made.map(drop).map_err(|error| failed(DOING, error))
}

/// Reads it, after a new era has begun if the tables are in another cluster than before.
pub(crate) async fn read(client: &Client) -> Result<Name> {
    let oops = |error| failed(DOING, error);
    let update = "UPDATE indelible.ledger SET era = era + 1, cluster = system_identifier \
         FROM pg_control_system() WHERE cluster <> system_identifier";
    client.execute(update, &[]).await.map_err(oops)?;
    let select = "SELECT id, term_key, era FROM indelible.ledger";
    let row = client.query_one(select, &[]).await.map_err(oops)?;
    let bytes = |column: usize| {
        let corrupt = |_| Error::new(Kind::Corrupt, "what names the ledger is not 16 bytes long");
        <[u8; 16]>::try_from(row.get::<_, &[u8]>(column)).map_err(corrupt)
    };
    Ok(Name {
        id: bytes(0)?,
        terms: Terms {
            key: TermKey::new(&bytes(1)?),
            era: row.get(2),
        },
    })
}
