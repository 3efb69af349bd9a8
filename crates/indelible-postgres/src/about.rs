//! What is worth saying of the database when it is first reached.

use std::fmt;

use indelible_store::Result;
use tokio_postgres::Client;

use crate::failure::failed;

/// What is worth saying of the server, and of the tables in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its version, as it writes it: `15.13`.
    pub version: String,
    /// Whether what it says is committed survives a power loss; not so with `fsync` off.
    pub durable: bool,
    /// Who partitions the records.
    pub partitions: Partitions,
}

/// Who partitions the records: decided when the tables are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// PostgreSQL itself, by month.
    Native {
        /// Why TimescaleDB does not.
        because: String,
    },
    /// TimescaleDB.
    Timescale {
        /// Its version, as it writes it: `2.17.2`.
        version: String,
        /// Why nothing is compressed, if nothing is.
        uncompressed: Option<String>,
    },
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native { because } => write!(f, "native partitions: {because}"),
            Self::Timescale {
                version,
                uncompressed: None,
            } => write!(f, "TimescaleDB {version}"),
            Self::Timescale {
                version,
                uncompressed: Some(why),
            } => write!(f, "TimescaleDB {version}: {why}"),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {}, {}", self.version, self.partitions)?;
        if !self.durable {
            f.write_str("; fsync is off, so nothing survives a power loss")?;
        }
        Ok(())
    }
}

/// Asks the server.
pub(crate) async fn about(client: &Client) -> Result<About> {
    let select = "SELECT split_part(current_setting('server_version'), ' ', 1), \
         current_setting('fsync')::bool, timescale, coalesce(because, ''), \
         coalesce((SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), '') \
         FROM indelible.partitioning";
    let row = client.query_one(select, &[]).await;
    let row = row.map_err(|error| failed("reading the server's version", error))?;
    let because: String = row.get(3);
    Ok(About {
        version: row.get(0),
        durable: row.get(1),
        partitions: if row.get(2) {
            Partitions::Timescale {
                version: row.get(4),
                uncompressed: Some(because).filter(|why| !why.is_empty()),
            }
        } else {
            Partitions::Native { because }
        },
    })
}
