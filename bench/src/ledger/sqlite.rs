//! The peer everybody has: SQLite with the same records and equivalent indices.
//!
//! It gets what makes it fast and still honest: one connection, prepared statements, 1,000 records
//! to a transaction, tenants as numbers, ids and hashes as bytes, a 256 MiB cache; write-ahead log
//! with `synchronous=FULL`, because a receipt means durable. It chains records as we do, and makes
//! no index of words, which ours does.

use std::path::Path;
use std::time::{Duration, Instant};

use indelible_bench::event::Asked;
use indelible_bench::sample::Sample;
use indelible_bench::usage::{Meter, Used};
use indelible_event::{EventView, Field, LeafHead, Micros, TenantId, write_leaf};
use indelible_merkle::{Hash, leaf_hash};
use rusqlite::{Connection, Statement, params};

use crate::Fault;
use crate::load::{Load, Made, now, tenants};
use crate::question::{Kind, PAGE_RECORDS};

const SCHEMA: &str = "
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA cache_size=-262144;
CREATE TABLE record (
  tenant INTEGER NOT NULL, sequence INTEGER NOT NULL, audit_id BLOB NOT NULL,
  occurred_at INTEGER NOT NULL, event_type TEXT NOT NULL, actor TEXT NOT NULL,
  target TEXT NOT NULL, correlation TEXT NOT NULL, record_hash BLOB NOT NULL, leaf BLOB NOT NULL
);
CREATE INDEX by_actor ON record (tenant, actor, occurred_at);
CREATE INDEX by_type ON record (tenant, event_type, occurred_at);
CREATE INDEX by_target ON record (tenant, target, occurred_at);
CREATE INDEX by_correlation ON record (tenant, correlation);
CREATE INDEX by_time ON record (tenant, occurred_at);
CREATE UNIQUE INDEX by_audit_id ON record (tenant, audit_id);
";
const INSERT: &str = "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?)";

/// A database with records.
pub struct Peer {
    connection: Connection,
    tenants: Vec<TenantId>,
    heads: Vec<(u64, Hash)>,
}

/// What an append took.
#[derive(Debug)]
pub struct Appended {
    /// How many events.
    pub events: u64,
    /// Time and CPU.
    pub used: Used,
    /// Time of each transaction.
    pub batches: Sample,
    /// Bytes of the database, its log put away.
    pub bytes: u64,
}

impl Peer {
    /// A new database.
    pub fn create(file: &Path, tenant_count: u32) -> Result<Self, Fault> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        let tenants = tenants(tenant_count)?;
        let heads = vec![(0, Hash::ZERO); tenants.len()];
        Ok(Self {
            connection,
            tenants,
            heads,
        })
    }

    /// Appends at most `events` events of `load`, durably.
    pub fn append(&mut self, load: &Load, events: u64, file: &Path) -> Result<Appended, Fault> {
        let mut batches = Sample::default();
        let mut count = 0;
        let meter = Meter::start();
        for batch in &load.batches {
            if count >= events {
                break;
            }
            let started = Instant::now();
            self.insert(batch)?;
            batches.push(started.elapsed());
            count += batch.len() as u64;
        }
        let used = meter.used();
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(Appended {
            events: count,
            used,
            batches,
            bytes: file.metadata()?.len(),
        })
    }

    /// Gathers what the planner needs, before questions.
    pub fn analyze(&self) -> Result<(), Fault> {
        Ok(self.connection.execute_batch("ANALYZE")?)
    }

    /// Fills the database for questions: as fast as it goes, not durable, nothing is timed.
    pub fn fill(&mut self, load: &Load, from: u64) -> Result<(), Fault> {
        self.connection.execute_batch("PRAGMA synchronous=OFF")?;
        let first = usize::try_from(from)? / crate::load::BATCH_EVENTS;
        for batch in load.batches.iter().skip(first) {
            self.insert(batch)?;
        }
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn insert(&mut self, batch: &[Made]) -> Result<(), Fault> {
        let ingested_at = now();
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            let mut leaf = Vec::new();
            for made in batch {
                let place = usize::try_from(made.tenant)?;
                let (Some(tenant), Some(head)) =
                    (self.tenants.get(place), self.heads.get_mut(place))
                else {
                    return Err("an event of a tenant that is not there".into());
                };
                leaf.clear();
                let leaf_head = LeafHead {
                    ingested_at,
                    ledger: b"{}",
                    previous_hash: head.1.as_bytes(),
                    sequence_number: head.0,
                    tenant_id: tenant,
                };
                write_leaf(&mut leaf, &made.event, &leaf_head)?;
                *head = (head.0 + 1, leaf_hash(&leaf));
                bind(&mut insert, made, head, &leaf)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Asks for the first page of everything asked, in one way; how long each took and how many
    /// had an answer. With `bodies` the leaves are read too.
    pub fn ask(&self, kind: Kind, asked: &[Asked], bodies: bool) -> Result<Answers, Fault> {
        let Some(condition) = condition(kind) else {
            return Ok(Answers::default());
        };
        let columns = if bodies { "leaf" } else { "sequence" };
        let sql = format!(
            "SELECT {columns} FROM record WHERE tenant = ?1 {condition} \
             ORDER BY occurred_at DESC LIMIT {PAGE_RECORDS}"
        );
        let mut select = self.connection.prepare(&sql)?;
        let mut answers = Answers::default();
        for asked in asked {
            let started = Instant::now();
            let rows = run(&mut select, kind, asked, bodies)?;
            answers.note(started.elapsed(), rows);
        }
        Ok(answers)
    }
}

fn bind(
    insert: &mut Statement<'_>,
    made: &Made,
    head: &(u64, Hash),
    leaf: &[u8],
) -> Result<(), Fault> {
    let view = EventView::parse(&made.event).map_err(|_| "an event is not canonical")?;
    let text = |field| view.text(field).unwrap_or_default();
    let id = indelible_event::AuditId::parse(&text(Field::AuditId))?;
    let occurred_at = Micros::parse(&text(Field::OccurredAt))?;
    insert.execute(params![
        made.tenant,
        i64::try_from(head.0)?,
        id.bytes(),
        occurred_at.0,
        text(Field::EventType),
        text(Field::ActorId),
        text(Field::TargetId),
        text(Field::CorrelationId),
        head.1.as_bytes(),
        leaf,
    ])?;
    Ok(())
}

fn condition(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Actor => Some("AND actor = ?2"),
        Kind::Type => Some("AND event_type = ?2"),
        Kind::Target => Some("AND target = ?2"),
        Kind::Correlation => Some("AND correlation = ?2"),
        Kind::Word => None,
        Kind::Newest => Some(""),
    }
}

fn run(
    select: &mut Statement<'_>,
    kind: Kind,
    asked: &Asked,
    bodies: bool,
) -> Result<usize, Fault> {
    let mut rows = match kind.text(asked) {
        Some(text) => select.query(params![asked.tenant, text])?,
        None => select.query(params![asked.tenant])?,
    };
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let read = if bodies {
            row.get_ref(0)?.as_blob()?.len()
        } else {
            usize::try_from(row.get_ref(0)?.as_i64()?)?
        };
        std::hint::black_box(read);
        count += 1;
    }
    Ok(count)
}

/// Times of questions and how many had an answer.
#[derive(Debug, Default)]
pub struct Answers {
    /// Times.
    pub times: Sample,
    /// How many had at least one record.
    pub found: usize,
}

impl Answers {
    /// Notes one.
    pub fn note(&mut self, time: Duration, rows: usize) {
        self.times.push(time);
        self.found += usize::from(rows > 0);
    }
}
