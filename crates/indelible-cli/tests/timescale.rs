//! TimescaleDB, where a server offers it: what is asked of it, and that records have native
//! partitions where it refuses.
//!
//! The server is a real one, of an installation of the test's own. The extension is a small one of
//! the same name: its functions write down what they are asked, or refuse. What the real one does
//! with it is not tried here.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_testing::database::{rows, sql, with_database};
use support::own_postgres::{Installation, OwnPostgres};
use support::served::Serving;
use support::{Place, cloudtrail_file};

const CONTROL: &str = "default_version = '2.0'\nrelocatable = true\n";
/// Writes down what it is asked. A setting of the extension's own is one that only its library
/// would know, so that PostgreSQL refuses it; what was asked is in the server's log.
const ASKED: &str = "
CREATE TABLE asked (what text);
CREATE FUNCTION create_hypertable(relation regclass, time_column name,
    chunk_time_interval interval, create_default_indexes boolean) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r' THEN
        RAISE EXCEPTION 'table is already partitioned';
    END IF;
    IF EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisunique AND NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = relation AND attname = time_column
        AND attnum = ANY (indkey))) THEN
        RAISE EXCEPTION 'cannot create a unique index without the column';
    END IF;
    INSERT INTO asked VALUES (format('%s by %s every %s', relation, time_column,
        chunk_time_interval));
END $$;
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE LOG 'asked: %', current_query();
END $$;
CREATE EVENT TRIGGER tell ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION tell();
";
const REFUSES_TABLES: &str = "
CREATE FUNCTION create_hypertable(relation regclass, time_column name,
    chunk_time_interval interval, create_default_indexes boolean) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no licence'; END $$;
";
const REFUSES: &str =
    "DO $$ BEGIN RAISE EXCEPTION 'not today' USING HINT = 'ask tomorrow'; END $$;";
/// As the real one does where its library is not loaded when the server starts.
const ENDS_THE_CONNECTION: &str = "SELECT pg_terminate_backend(pg_backend_pid());";

/// A server with an installation of its own; nothing, and the skip declared, where there is none.
struct Stand {
    server: OwnPostgres,
    installation: Installation,
}

impl Stand {
    fn start(test: &str) -> Option<Self> {
        let Some(installation) = Installation::copy() else {
            indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
            return None;
        };
        let server = installation.start();
        Some(Self {
            server,
            installation,
        })
    }

    fn offer(&self, script: &str) {
        let folder = self.installation.extensions();
        std::fs::write(folder.join("timescaledb.control"), CONTROL).unwrap();
        std::fs::write(folder.join("timescaledb--2.0.sql"), script).unwrap();
    }

    fn database(&self, name: &str) -> String {
        sql(&self.server.url, &format!("CREATE DATABASE {name}"));
        with_database(&self.server.url, name)
    }
}

/// What a server says of the ledger when it starts, and to who asks for its health.
fn told(place: &Place) -> String {
    let server = Serving::start(place, "");
    let health = server.get("/health/ready").1;
    let said = server.said.join("\n");
    let partitions = health["ledger"].as_str().unwrap().to_owned();
    assert!(
        said.contains(": PostgreSQL 1") && said.contains(&partitions),
        "{said}"
    );
    partitions
}

/// Everything that touches the tables: import, query, verify, export.
fn works(place: &Place) {
    place.file("logs/a.json", cloudtrail_file(0..40));
    place.ok("import --format cloudtrail logs --tenant acme");
    let found = place.ok("query --json --limit 0 --tenant acme").json();
    assert_eq!(found.len(), 41);
    place.ok("verify --require-anchor");
    place.ok("export --tenant acme --out acme.ndjson");
}

fn texts(url: &str, query: &str) -> Vec<String> {
    rows(url, query).iter().map(|row| row.get(0)).collect()
}

const MONTHS: &str = "SELECT relname::text FROM pg_inherits JOIN pg_class ON oid = inhrelid \
     WHERE inhparent IN ('indelible.records'::regclass, 'indelible.ids'::regclass)";

#[test]
fn a_server_that_offers_it_is_asked_for_chunks_and_compression() {
    let Some(stand) = Stand::start("a_server_that_offers_it_is_asked_for_chunks") else {
        return;
    };
    stand.offer(ASKED);
    let url = stand.database("offers");
    let place = Place::with_ledger(&url);
    let partitions = told(&place);
    assert!(
        partitions.starts_with("TimescaleDB 2.0: it is not compressed: "),
        "{partitions}"
    );
    let asked = texts(&url, "SELECT what FROM asked");
    assert_eq!(asked, ["indelible.records by ingested_at every 7 days"]);
    let log = stand.server.log();
    let compress = "SET (timescaledb.compress, timescaledb.compress_segmentby = 'tenant_id', \
         timescaledb.compress_orderby = 'sequence_number'); \
         SELECT public.add_compression_policy('indelible.records', INTERVAL '7 days')";
    assert!(log.contains(compress), "{log}");
    assert!(!log.contains("retention"), "{log}");
    works(&place);
    // Months of ids are still ours to make, and those of records not.
    let months = texts(&url, MONTHS);
    assert!(months.len() > 3, "{months:?}");
    assert!(
        months.iter().all(|name| name.starts_with("ids_")),
        "{months:?}"
    );
    let placed = texts(
        &url,
        "SELECT DISTINCT tableoid::regclass::text FROM indelible.records",
    );
    assert_eq!(placed, ["indelible.records"]);
    assert_eq!(told(&place), partitions, "also when it is opened again");
    assert_eq!(texts(&url, "SELECT what FROM asked").len(), 1);
    // What protects records stands on the table that took the place of the first.
    let triggers = texts(
        &url,
        "SELECT tgname::text FROM pg_trigger WHERE tgrelid = 'indelible.records'::regclass \
         AND NOT tgisinternal ORDER BY 1",
    );
    assert_eq!(triggers, ["never_emptied", "only_added"]);
}

#[test]
fn where_it_refuses_there_are_native_partitions_and_the_reason_is_told() {
    let Some(stand) = Stand::start("where_it_refuses_there_are_native_partitions") else {
        return;
    };
    for (name, script, reason) in [
        (
            "refuses",
            REFUSES,
            "native partitions: TimescaleDB cannot be created: not today (P0001): ask tomorrow",
        ),
        (
            "ends",
            ENDS_THE_CONNECTION,
            "native partitions: TimescaleDB cannot be created: terminating connection",
        ),
        (
            "refuses_tables",
            REFUSES_TABLES,
            "native partitions: TimescaleDB makes no hypertable: no licence (P0001)",
        ),
    ] {
        stand.offer(script);
        let url = stand.database(name);
        let place = Place::with_ledger(&url);
        let partitions = told(&place);
        assert!(partitions.starts_with(reason), "{partitions}");
        works(&place);
        let months = texts(&url, MONTHS);
        assert!(
            months.iter().any(|name| name.starts_with("records_")),
            "{months:?}"
        );
        assert_eq!(told(&place), partitions, "also when it is opened again");
    }
}

#[test]
fn tables_that_were_made_without_it_stay_as_they_are() {
    let Some(stand) = Stand::start("tables_that_were_made_without_it_stay_as_they_are") else {
        return;
    };
    let url = stand.database("plain");
    let place = Place::with_ledger(&url);
    let without = "native partitions: TimescaleDB is not installed on the server";
    assert_eq!(told(&place), without);
    stand.offer(ASKED);
    assert_eq!(told(&place), without);
    works(&place);
    let made = texts(
        &url,
        "SELECT extname::text FROM pg_extension WHERE extname = 'timescaledb'",
    );
    assert_eq!(made, [""; 0]);
    // As a program left them that did not look for it.
    sql(
        &url,
        "DROP TABLE indelible.partitioning; DELETE FROM indelible.versions WHERE version >= 4",
    );
    let before = "native partitions: the tables were made without TimescaleDB";
    assert_eq!(told(&place), before);
    place.ok("verify --require-anchor");
}
