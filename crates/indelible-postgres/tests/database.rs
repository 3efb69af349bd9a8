//! The tables: versions, partitions, what a mark lets in, and what is said when something is wrong.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use indelible_event::ids::TenantId;
use indelible_postgres::{Options, Postgres};
use indelible_store::conformance::{Generator, Mix};
use indelible_store::{Change, Commit, Expr, Index, Kind, Ledger, Query, State};

use support::{Place, available, fresh, options, with_database};

fn one(generator: &mut Generator, records: usize) -> Commit {
    Commit {
        appends: vec![generator.append(0, records)],
    }
}

fn refused(options: &Options) -> (Kind, String) {
    let error = Postgres::open(options, || Ok(fresh(1)))
        .map(drop)
        .unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn programs_that_come_at_once_make_one_set_of_tables() {
    if !available("programs_that_come_at_once_make_one_set_of_tables") {
        return;
    }
    let place = Place::make();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| place.open());
        }
    });
    let versions = place.rows("SELECT version FROM indelible.versions ORDER BY version");
    assert_eq!(
        versions.iter().map(|row| row.get(0)).collect::<Vec<i32>>(),
        [1, 2, 3, 4, 5]
    );
    let key = |n: u8| {
        Postgres::open(&options(&place.url), || Ok(fresh(n)))
            .unwrap()
            .term_key()
    };
    let hash = |n: u8| key(n).unwrap().hash(200, b"x");
    assert_eq!(hash(1), hash(2), "the first to come gave the key of terms");
}

#[test]
fn who_only_looks_makes_no_ledger() {
    if !available("who_only_looks_makes_no_ledger") {
        return;
    }
    let place = Place::make();
    let found = || Postgres::find(&options(&place.url));
    assert!(found().unwrap().is_none());
    assert_eq!(
        place
            .rows("SELECT FROM pg_namespace WHERE nspname = 'indelible'")
            .len(),
        0
    );
    drop(place.open());
    assert_eq!(found().unwrap().unwrap().id(), [7; 16]);
    place.sql("DELETE FROM indelible.versions WHERE version = 5");
    let error = found().map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Format);
    assert!(
        error.to_string().contains("start a server of this program"),
        "{error}"
    );
}

#[test]
fn names_of_state_and_of_keys_are_apart() {
    if !available("names_of_state_and_of_keys_are_apart") {
        return;
    }
    let place = Place::make();
    let postgres = Arc::new(place.open());
    let change = |value: &[u8]| Change {
        space: "x",
        key: vec![1],
        expected: Some(0),
        value: Some(value.to_vec()),
    };
    postgres.apply(&[change(b"small")]).unwrap();
    let keys = postgres.key_store();
    assert_eq!(keys.get("x", &[1]).unwrap(), None);
    keys.apply(&[change(b"key")]).unwrap();
    assert_eq!(
        postgres.get("x", &[1]).unwrap(),
        Some((b"small".to_vec(), 1))
    );
}

#[test]
fn a_task_of_a_runtime_with_many_threads_may_ask() {
    if !available("a_task_of_a_runtime_with_many_threads_may_ask") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let asked = tokio::spawn(async move { postgres.tenants().map(|all| all.len()) });
        assert_eq!(asked.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn an_older_database_is_brought_up_and_a_newer_one_is_refused() {
    if !available("an_older_database_is_brought_up_and_a_newer_one_is_refused") {
        return;
    }
    let place = Place::make();
    place.sql(include_str!("../schema/0001.sql"));
    place.sql("INSERT INTO indelible.versions (version) VALUES (1)");
    let mut generator = Generator::new(1, Mix::default());
    place.open().append(&one(&mut generator, 2)).unwrap();
    place.sql("INSERT INTO indelible.versions (version) VALUES (99)");
    let (kind, said) = refused(&options(&place.url));
    assert_eq!(kind, Kind::Format);
    assert!(
        said.contains("version 99") && said.contains("use a newer one"),
        "{said}"
    );
}

#[test]
fn months_are_made_ahead_and_ids_of_other_times_are_found() {
    if !available("months_are_made_ahead_and_ids_of_other_times_are_found") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let mut generator = Generator::new(1, Mix::default());
    let mut commit = one(&mut generator, 3);
    // Two ids that tell another time than any month that was made.
    commit.appends[0].records[1].audit_id.0[..6].fill(0);
    commit.appends[0].records[2].audit_id.0[..6].fill(0xff);
    let ids: Vec<_> = commit.appends[0]
        .records
        .iter()
        .map(|r| r.audit_id)
        .collect();
    postgres.append(&commit).unwrap();
    let tenant = commit.appends[0].tenant.clone();
    assert_eq!(
        postgres.find(&tenant, &ids).unwrap(),
        [Some(0), Some(1), Some(2)]
    );
    let text =
        |query: &str| -> Vec<String> { place.rows(query).iter().map(|row| row.get(0)).collect() };
    let partitions = |of: &str| {
        text(&format!(
            "SELECT inhrelid::regclass::text FROM pg_inherits \
             WHERE inhparent = 'indelible.{of}'::regclass ORDER BY 1"
        ))
    };
    // The generator begins in September 2026.
    let months = ["2026_09", "2026_10", "2026_11", "2026_12"];
    assert_eq!(
        partitions("records"),
        months.map(|month| format!("indelible.records_{month}"))
    );
    let mut expected: Vec<_> = months.map(|month| format!("indelible.ids_{month}")).into();
    expected.push("indelible.ids_other".into());
    assert_eq!(partitions("ids"), expected);
    let placed =
        text("SELECT tableoid::regclass::text FROM indelible.ids ORDER BY sequence_number");
    assert_eq!(placed[1..], ["indelible.ids_other", "indelible.ids_other"]);
    assert_eq!(placed[0], "indelible.ids_2026_09");
    // A month whose ids stand elsewhere already gets no partition of its own for them.
    place.sql("SELECT indelible.make_month('1970-01-01')");
    assert_eq!(partitions("ids"), expected);
    assert_eq!(partitions("records").len(), 5);
    assert_eq!(postgres.find(&tenant, &ids).unwrap()[1], Some(1));
}

#[test]
fn what_was_under_way_when_paging_began_does_not_enter() {
    if !available("what_was_under_way_when_paging_began_does_not_enter") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let mut generator = Generator::new(1, Mix::default());
    postgres.append(&one(&mut generator, 5)).unwrap();
    let count = |as_of: Option<u64>| {
        let query = Query {
            as_of,
            ..Query::default()
        };
        postgres
            .search(&query, None, 100)
            .map(|hits| hits.hits.len())
    };
    // A transaction that began and ended meanwhile: what is under way is no longer the newest.
    let marked = || {
        place.sql("SELECT pg_current_xact_id()");
        postgres.mark().unwrap()
    };
    // Another server's commit: begun before the mark, ended after it.
    let insert = "INSERT INTO indelible.records (tenant_id, sequence_number, ingested_at, \
         occurred_at, audit_id, record_hash, leaf, terms, era) \
         SELECT 'other', sequence_number, ingested_at, occurred_at, audit_id, record_hash, leaf, \
         terms, era FROM indelible.records";
    let mut mark = 0;
    place.held(insert, || mark = marked());
    assert_eq!(count(None).unwrap(), 10);
    assert_eq!(count(Some(mark)).unwrap(), 5, "it was not committed then");
    // What is too old is refused, rather than answered with other records.
    place.sql("UPDATE indelible.marks SET made_at = now() - interval '8 days'");
    let again = || assert_ne!(marked(), mark);
    place.held("SELECT pg_current_xact_id()", again);
    let forgotten = count(Some(mark)).unwrap_err();
    assert_eq!(forgotten.kind(), Kind::NotFound, "{forgotten}");
}

#[test]
fn marks_outlive_a_move_to_another_cluster() {
    if !available("marks_outlive_a_move_to_another_cluster") {
        return;
    }
    let place = Place::make();
    let mut generator = Generator::new(1, Mix::default());
    let before = place.open();
    before.append(&one(&mut generator, 4)).unwrap();
    let mark = before.mark().unwrap();
    drop(before);
    // As after pg_restore elsewhere: transactions are numbered anew, from below.
    place.sql("UPDATE indelible.ledger SET cluster = cluster + 1");
    let after = place.open();
    after.append(&one(&mut generator, 3)).unwrap();
    let count = |as_of: Option<u64>| {
        let query = Query {
            as_of,
            ..Query::default()
        };
        after.search(&query, None, 100).unwrap().hits.len()
    };
    assert_eq!((count(Some(mark)), count(None)), (4, 7));
    assert_eq!(count(Some(after.mark().unwrap())), 7);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    if !available("what_is_wrong_is_said_with_what_to_do") {
        return;
    }
    let place = Place::make();
    place.sql(
        "DO $$ BEGIN CREATE ROLE with_password LOGIN PASSWORD 'right'; \
         EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let cases = [
        (
            place.url_of("with_password", "wrong"),
            Kind::Invalid,
            "the right password",
        ),
        (
            place.url_of("nobody_such", ""),
            Kind::Invalid,
            "make the role",
        ),
        (
            with_database(&place.url, "no_such_database"),
            Kind::Invalid,
            "make the database",
        ),
        (
            "postgres://a@127.0.0.1:1/x".into(),
            Kind::Unavailable,
            "user a: error connecting to server: Connection refused",
        ),
        (
            "mysql://a@b/c".into(),
            Kind::Invalid,
            "the URL of PostgreSQL",
        ),
    ];
    for (url, kind, said) in cases {
        let (found, error) = refused(&options(&url));
        assert_eq!(found, kind, "{url}: {error}");
        assert!(error.contains(said), "{url}: {error}");
        assert!(
            !error.contains("wrong@") && !error.contains(":wrong"),
            "{error}"
        );
    }
}

#[test]
fn too_many_connections_and_statements_that_take_too_long_are_told() {
    if !available("too_many_connections_and_statements_that_take_too_long_are_told") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let role = format!("{}_one", place.name);
    place.sql(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"));
    let (kind, said) = refused(&options(&place.url_of(&role, "")));
    place.sql(&format!("DROP ROLE {role}"));
    assert_eq!(kind, Kind::Unavailable, "{said}");
    assert!(said.contains("(53300): raise max_connections"), "{said}");

    let mut generator = Generator::new(1, Mix::default());
    postgres.append(&one(&mut generator, 2)).unwrap();
    let hasty = Options {
        statement_timeout: Duration::from_millis(300),
        ..options(&place.url)
    };
    let hasty = Postgres::open(&hasty, || Ok(fresh(1))).unwrap();
    let commit = one(&mut generator, 2);
    place.held("SELECT 1 FROM indelible.heads FOR UPDATE", || {
        let error = hasty.append(&commit).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("than the statement timeout"),
            "{error}"
        );
    });
    hasty.append(&commit).unwrap();
}

#[test]
fn who_accepts_and_never_answers_is_waited_for_as_long_as_was_said() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = Options {
        connect_timeout: Duration::from_millis(300),
        ..options(&format!("postgres://a@127.0.0.1:{port}/x"))
    };
    let since = std::time::Instant::now();
    let (kind, said) = refused(&options);
    assert_eq!(kind, Kind::Unavailable, "{said}");
    assert!(said.contains("user a: no answer within 300 ms"), "{said}");
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_full_disk_keeps_nothing_and_says_so() {
    if !available("a_full_disk_keeps_nothing_and_says_so") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let mut generator = Generator::new(1, Mix::default());
    // The server's own error, raised where the first byte would be written.
    place.sql(
        "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON indelible.ids \
         FOR EACH ROW EXECUTE FUNCTION public.full()",
    );
    let commit = one(&mut generator, 3);
    let error = postgres.append(&commit).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    let tenant = &commit.appends[0].tenant;
    assert_eq!(postgres.head(tenant).unwrap(), None);
    place.sql("DROP TRIGGER full_disk ON indelible.ids");
    postgres.append(&commit).unwrap();
}

#[test]
fn an_answer_that_was_lost_is_told_from_a_commit_that_never_was() {
    if !available("an_answer_that_was_lost_is_told_from_a_commit_that_never_was") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let mut generator = Generator::new(1, Mix::default());
    place.sql(
        "CREATE FUNCTION public.cut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ \
         BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
    );
    let commit = one(&mut generator, 3);
    for (when, kind) in [
        ("NOT DEFERRABLE", Kind::Unavailable),
        ("DEFERRABLE INITIALLY DEFERRED", Kind::UnknownOutcome),
    ] {
        // The connection ends while heads are moved, or when COMMIT was sent.
        place.sql(&format!(
            "CREATE CONSTRAINT TRIGGER cut AFTER UPDATE ON indelible.heads {when} \
             FOR EACH ROW EXECUTE FUNCTION public.cut()"
        ));
        let error = postgres.append(&commit).unwrap_err();
        assert_eq!(error.kind(), kind, "{when}: {error}");
        place.sql("DROP TRIGGER cut ON indelible.heads");
    }
    postgres.append(&commit).unwrap();
}

#[test]
fn a_log_that_another_holds_is_waited_for_and_no_longer_than_said() {
    if !available("a_log_that_another_holds_is_waited_for_and_no_longer_than_said") {
        return;
    }
    let place = Place::make();
    let options = Options {
        connections_max: 1,
        connect_timeout: Duration::from_millis(400),
        lock_timeout: Duration::from_secs(2),
        ..options(&place.url)
    };
    let postgres = Postgres::open(&options, || Ok(fresh(1))).unwrap();
    let mut generator = Generator::new(1, Mix::default());
    postgres.append(&one(&mut generator, 2)).unwrap();
    let commit = one(&mut generator, 2);
    let tenant: TenantId = commit.appends[0].tenant.clone();
    place.held("SELECT 1 FROM indelible.heads FOR UPDATE", || {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| postgres.append(&commit).unwrap_err());
            std::thread::sleep(Duration::from_millis(300));
            let busy = postgres.head(&tenant).unwrap_err();
            assert_eq!(busy.kind(), Kind::Unavailable, "{busy}");
            assert!(busy.to_string().contains("every connection"), "{busy}");
            let waited = waiting.join().unwrap();
            assert_eq!(waited.kind(), Kind::Unavailable, "{waited}");
            assert!(waited.to_string().contains("holds the log"), "{waited}");
        });
    });
    postgres.append(&commit).unwrap();
}

#[test]
fn the_server_is_told_of() {
    if !available("the_server_is_told_of") {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    let setting = |name: &str| -> String { place.rows(&format!("SHOW {name}"))[0].get(0) };
    assert!(setting("server_version").starts_with(&postgres.about().version));
    assert_eq!(postgres.about().durable, setting("fsync") == "on");
    let offered = "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'";
    if place.rows(offered).is_empty() {
        let said = postgres.about().partitions.to_string();
        let wanted = "native partitions: TimescaleDB is not installed on the server";
        assert_eq!(said, wanted);
    }
    let none = Query {
        expr: Expr::Sequence(0..1),
        ..Query::default()
    };
    assert!(postgres.search(&none, None, 1).unwrap().exhausted);
}
