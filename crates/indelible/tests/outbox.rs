//! Events in a program's own transactions, and the relay that moves them, on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible::testing::{Emitted, Fault, Recorder};
use indelible::{Actor, Audit, EmitError, EmitInError, Event, Outbox, Relay, RelayMetrics, json};
use indelible::{InTransaction, Standing};
use indelible_testing::database::Database;
use tokio_postgres::{Client, NoTls};

const SOON: Duration = Duration::from_secs(20);

/// A program with a database of its own, in which it does business.
struct Program {
    // Before the database, which is dropped when nobody is connected.
    client: Client,
    runtime: tokio::runtime::Runtime,
    database: Database,
}

impl Program {
    /// With the outbox installed; nothing where there is no server.
    fn start(test: &str) -> Option<Self> {
        indelible_testing::postgres(test)?;
        let database = Database::make();
        Outbox::at(&database.url).unwrap().install().unwrap();
        database.sql("CREATE TABLE orders (n bigint PRIMARY KEY)");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(connect(&database.url));
        Some(Self {
            client,
            runtime,
            database,
        })
    }

    /// An order with its event, in one transaction, which is committed or rolled back.
    fn order(&mut self, audit: &Audit, (tenant, n): (&str, i64), commit: bool) {
        self.runtime.block_on(async {
            let mut transaction = self.client.transaction().await.unwrap();
            let insert = "INSERT INTO orders VALUES ($1)";
            transaction.execute(insert, &[&n]).await.unwrap();
            let event = placed(audit, tenant, n);
            event.emit_in(&mut transaction).await.unwrap();
            if commit {
                transaction.commit().await.unwrap();
            }
        });
    }

    fn count(&self, table: &str) -> i64 {
        let rows = self.database.rows(&format!("SELECT count(*) FROM {table}"));
        rows[0].get(0)
    }

    fn relay(&self, audit: &Audit) -> Relay {
        audit.relay(&self.database.url).unwrap()
    }

    /// Ends the sessions of relays in this database, and not those of the tests beside this one.
    fn end_sessions(&self) {
        self.database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'indelible'",
        );
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn placed<'a>(audit: &'a Audit, tenant: &str, n: i64) -> indelible::EventBuilder<'a> {
    audit
        .for_tenant(tenant)
        .action("order.placed")
        .actor(Actor::user("ada"))
        .target("order", n.to_string())
        .succeeded()
}

/// Waits until a relay's figures are such.
#[track_caller]
fn until(relay: &Relay, what: impl Fn(&RelayMetrics) -> bool) -> RelayMetrics {
    let by = Instant::now() + SOON;
    loop {
        let metrics = relay.metrics();
        if what(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < by, "{metrics:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn targets(events: &[Emitted], tenant: &str) -> Vec<String> {
    let of_tenant = events.iter().filter(|event| event.tenant == tenant);
    let id = |emitted: &Emitted| emitted.event.target.as_ref().unwrap().id.clone().unwrap();
    of_tenant.map(id).collect()
}

/// What was said of the stream: type and `data`, in order.
fn said(recorder: &Recorder) -> Vec<(String, String)> {
    let all = recorder.statements().into_iter();
    let of_relay = all.filter(|it| {
        let actor = it.event.actor.as_ref().unwrap();
        actor.id.as_ref().unwrap().starts_with("outbox-")
    });
    of_relay
        .map(|it| {
            let data = it.event.data.unwrap();
            let at = |pointer| {
                data.pointer(pointer)
                    .map_or(String::new(), ToString::to_string)
            };
            let told = [at("/first"), at("/reason"), at("/next_number")].concat();
            (it.event.event_type.unwrap(), told)
        })
        .collect()
}

#[test]
fn an_event_is_there_if_what_it_tells_of_is() {
    let Some(mut program) = Program::start("an_event_is_there_if_what_it_tells_of_is") else {
        return;
    };
    let recorder = Recorder::start();
    let audit = recorder.audit();
    for n in 0..20 {
        program.order(audit, ("acme", n), n % 3 != 0);
    }
    assert_eq!(program.count("indelible_outbox"), program.count("orders"));
    let relay = program.relay(audit);
    let metrics = until(&relay, |it| it.relayed == 13);
    assert_eq!(
        (metrics.standing, metrics.trouble),
        (Standing::Working, None)
    );
    let committed: Vec<_> = (0..20)
        .filter(|n| n % 3 != 0)
        .map(|n| n.to_string())
        .collect();
    assert_eq!(targets(&recorder.events(), "acme"), committed);
    // What comes while it works is there within a second.
    let began = Instant::now();
    program.order(audit, ("acme", 20), true);
    until(&relay, |it| it.relayed == 14);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(relay.stop(SOON));
    assert_eq!(relay.metrics().standing, Standing::Ended);
    assert_eq!(program.count("indelible_outbox"), 0);
    assert_eq!(
        said(&recorder),
        [
            ("stream.opened".to_owned(), String::new()),
            ("stream.ended".to_owned(), "14".to_owned())
        ]
    );
}

#[test]
fn every_driver_writes_a_row_that_goes_with_its_transaction() {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection};
    use sqlx_core::connection::Connection as _;
    use sqlx_postgres::PgConnection;

    let test = "every_driver_writes_a_row_that_goes_with_its_transaction";
    let Some(program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = recorder.audit();
    program.runtime.block_on(async {
        let url = &program.database.url;
        let mut sqlx = PgConnection::connect(url).await.unwrap();
        for (n, commit) in [(0, true), (1, false)] {
            let mut transaction = sqlx.begin().await.unwrap();
            placed(audit, "acme", n)
                .emit_in(&mut *transaction)
                .await
                .unwrap();
            if commit {
                transaction.commit().await.unwrap();
            }
        }
        let mut diesel = AsyncPgConnection::establish(url).await.unwrap();
        for (n, commit) in [(2, true), (3, false)] {
            let done = diesel
                .transaction(async |connection| {
                    placed(audit, "acme", n).emit_in(connection).await.unwrap();
                    if commit {
                        Ok(())
                    } else {
                        Err(diesel::result::Error::RollbackTransaction)
                    }
                })
                .await;
            assert_eq!(done.is_ok(), commit);
        }
        sqlx.close().await.unwrap();
    });
    let relay = program.relay(audit);
    until(&relay, |it| it.relayed == 2);
    assert!(relay.stop(SOON));
    assert_eq!(targets(&recorder.events(), "acme"), ["0", "2"]);
}

#[test]
fn what_the_ledger_would_refuse_is_an_error_before_anything_is_written() {
    let test = "what_the_ledger_would_refuse_is_an_error_before_anything_is_written";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = recorder.audit();
    program.runtime.block_on(async {
        let mut transaction = program.client.transaction().await.unwrap();
        let told = |error: EmitInError<_>| {
            let EmitInError::Refused(EmitError::Refused(problems)) = error else {
                panic!("{error}")
            };
            (problems[0].pointer.clone(), problems[0].code.as_str())
        };
        let event = |tenant: &str, action: &str| {
            let event = audit.for_tenant(tenant).action(action);
            event
                .actor(Actor::user("ada"))
                .target("order", "1")
                .succeeded()
        };
        let bad_type = event("acme", "no type").emit_in(&mut transaction).await;
        assert_eq!(told(bad_type.unwrap_err()).0, "/event_type");
        let bad_tenant = event("no tenant", "a.b").emit_in(&mut transaction).await;
        assert_eq!(told(bad_tenant.unwrap_err()).0, "/tenant_id");
        let long = event("acme", "a.b").data(json!({ "long": "x".repeat(100_000) }));
        let long = long.emit_in(&mut transaction).await;
        assert_eq!(told(long.unwrap_err()).1, "too-large");
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let deep = event("acme", "a.b")
            .data(deep)
            .emit_in(&mut transaction)
            .await;
        assert_eq!(told(deep.unwrap_err()).1, "too-deep");
        // The transaction is as it was: the caller may go on.
        let id = event("acme", "a.b").data(json!({ "password": "hunter2" }));
        let id = id.emit_in(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let select = "SELECT audit_id::text, convert_from(event, 'UTF8') FROM indelible_outbox";
        let rows = program.client.query(select, &[]).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].get::<_, String>(0), id.to_string());
        assert!(
            !rows[0].get::<_, String>(1).contains("hunter2"),
            "secrets are replaced"
        );
    });
}

#[test]
fn every_tenants_events_keep_their_order_and_a_late_commit_is_not_passed_over() {
    let test = "every_tenants_events_keep_their_order_and_a_late_commit_is_not_passed_over";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    let mut late = program.runtime.block_on(connect(&program.database.url));
    let mut transaction = program.runtime.block_on(late.transaction()).unwrap();
    let row = placed(&audit, "acme", -1).row().unwrap();
    program.runtime.block_on(transaction.insert(&row)).unwrap();
    // Its place is before all of these, more than a batch of them.
    for n in 0..2_500 {
        program.order(
            &audit,
            (["acme", "globex"][usize::from(n % 5 == 0)], n),
            true,
        );
    }
    let relay = program.relay(&audit);
    until(&relay, |it| it.relayed == 2_500);
    program.runtime.block_on(transaction.commit()).unwrap();
    until(&relay, |it| it.relayed == 2_501);
    let events = recorder.events();
    let mut acme: Vec<_> = (0..2_500)
        .filter(|n| n % 5 != 0)
        .map(|n| n.to_string())
        .collect();
    acme.push("-1".to_owned());
    assert_eq!(targets(&events, "acme"), acme);
    let globex: Vec<_> = (0..2_500)
        .filter(|n| n % 5 == 0)
        .map(|n| n.to_string())
        .collect();
    assert_eq!(targets(&events, "globex"), globex);
    // However long it is, a batch costs what is in it.
    assert!(relay.stop(SOON));
    let read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'indelible_outbox'";
    assert!(program.database.rows(read)[0].get::<_, i64>(0) < 2_500);
}

#[test]
fn what_is_refused_is_put_aside_with_its_reason_and_holds_up_nobody() {
    let test = "what_is_refused_is_put_aside_with_its_reason_and_holds_up_nobody";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    program.order(&audit, ("acme", 0), true);
    // As a trigger of theirs may: no event, one of another id, and one that is right.
    let insert = "INSERT INTO indelible_outbox (tenant_id, event) VALUES ('acme', convert_to(";
    program
        .database
        .sql(&format!("{insert}'no json', 'UTF8'))"));
    program
        .database
        .sql(&format!("{insert}'{{\"audit_id\":\"4711\"}}', 'UTF8'))"));
    program.database.sql(&format!(
        "{insert}jsonb_build_object('event_type', 'order.shipped', 'outcome', 'success', \
         'actor', jsonb_build_object('type', 'user', 'id', 'ada'), \
         'target', jsonb_build_object('type', 'order', 'id', 'shipped'))::text, 'UTF8'))"
    ));
    program.order(&audit, ("acme", 1), true);
    let relay = program.relay(&audit);
    let metrics = until(&relay, |it| it.relayed == 3);
    assert_eq!(metrics.refused, 2);
    assert!(relay.stop(SOON));
    assert_eq!(targets(&recorder.events(), "acme"), ["0", "shipped", "1"]);
    let lost: Vec<_> = said(&recorder)
        .into_iter()
        .filter(|(kind, _)| kind == "stream.lost")
        .map(|(_, told)| told)
        .collect();
    assert_eq!(lost, ["1\"refused\"", "2\"refused\""]);
    assert_eq!(program.count("indelible_outbox"), 0);
    let kept = "SELECT problem FROM indelible_outbox_refused ORDER BY place";
    let rows = program.database.rows(kept);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].get::<_, String>(0).contains("/audit_id"));
}

#[test]
fn an_event_that_is_too_large_is_put_aside_or_fails_its_transaction() {
    let test = "an_event_that_is_too_large_is_put_aside_or_fails_its_transaction";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    // Such as a trigger of theirs writes, with an event of so many bytes.
    let insert = |bytes: usize| {
        format!(
            "WITH event AS (SELECT jsonb_build_object('event_type', 'order.placed', \
             'outcome', 'success', 'actor', jsonb_build_object('type', 'user', 'id', 'ada'), \
             'target', jsonb_build_object('type', 'order', 'id', '1'), \
             'data', jsonb_build_object('long', '')) AS event) \
             INSERT INTO indelible_outbox (tenant_id, event) \
             SELECT 'acme', convert_to(jsonb_set(event, '{{data,long}}', \
             to_jsonb(repeat('x', {bytes} - octet_length(event::text))))::text, 'UTF8') FROM event"
        )
    };
    program.database.sql(&insert(55_000));
    program.database.sql(&insert(61_000));
    program.database.sql(&insert(262_144));
    let refused = program.database.refusal(&insert(262_145));
    assert!(refused.contains("check constraint"), "{refused}");
    program.order(&audit, ("acme", 1), true);
    let relay = program.relay(&audit);
    let metrics = until(&relay, |it| it.relayed == 2);
    assert_eq!(metrics.refused, 2);
    assert!(relay.stop(SOON));
    let kept = "SELECT problem FROM indelible_outbox_refused ORDER BY place";
    for row in program.database.rows(kept) {
        let problem = row.get::<_, String>(0);
        assert!(problem.contains("too-large"), "{problem}");
    }
}

#[test]
fn an_outage_loses_nothing_and_says_why_it_waits() {
    let Some(mut program) = Program::start("an_outage_loses_nothing_and_says_why_it_waits") else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    recorder.fault(Fault::Outage);
    let relay = program.relay(&audit);
    for n in 0..5 {
        program.order(&audit, ("acme", n), true);
    }
    let metrics = until(&relay, |it| it.attempts_failed >= 2 && it.waiting > 0);
    assert!(metrics.trouble.unwrap().contains("an outage, on purpose"));
    assert_eq!(metrics.relayed, 0);
    // Its session is cut off as well, so that an epoch ends in between.
    program.end_sessions();
    until(&relay, |it| it.database_failures >= 1);
    recorder.heal();
    until(&relay, |it| it.relayed == 5 && it.trouble.is_none());
    assert!(relay.stop(SOON));
    assert_eq!(
        targets(&recorder.events(), "acme"),
        ["0", "1", "2", "3", "4"]
    );
    let kinds: Vec<_> = said(&recorder).into_iter().map(|(kind, _)| kind).collect();
    assert!(!kinds.contains(&"stream.lost".to_owned()), "{kinds:?}");
}

#[test]
fn one_of_two_relays_works_and_the_other_takes_over() {
    let Some(mut program) = Program::start("one_of_two_relays_works_and_the_other_takes_over")
    else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    let first = program.relay(&audit);
    until(&first, |it| it.standing == Standing::Working);
    let second = program.relay(&audit);
    until(&second, |it| it.standing == Standing::StandingBy);
    program.order(&audit, ("acme", 0), true);
    until(&first, |it| it.relayed == 1);
    drop(first);
    program.order(&audit, ("acme", 1), true);
    until(&second, |it| {
        it.standing == Standing::Working && it.relayed == 1
    });
    assert!(second.stop(SOON));
    assert_eq!(targets(&recorder.events(), "acme"), ["0", "1"]);
    let kinds: Vec<_> = said(&recorder).into_iter().map(|(kind, _)| kind).collect();
    let epoch = ["stream.opened", "stream.ended"];
    assert_eq!(kinds, [epoch, epoch].concat());
}

/// A relay that stands still in the middle of sending is taken over from, and does no harm when it
/// goes on.
#[test]
fn a_relay_that_stood_still_sends_nothing_under_anothers_number() {
    let test = "a_relay_that_stood_still_sends_nothing_under_anothers_number";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let (recorder, other) = (Recorder::start(), Recorder::start());
    let audit = Arc::clone(recorder.audit());
    recorder.fault(Fault::Hold);
    let still = program.relay(&audit);
    until(&still, |it| it.standing == Standing::Working);
    program.order(&audit, ("acme", 0), true);
    // It has given its numbers, and waits for the ledger, alive; now its session ends.
    let by = Instant::now() + SOON;
    let numbered = "SELECT FROM indelible_outbox WHERE number IS NOT NULL";
    while program.database.rows(numbered).is_empty() {
        assert!(Instant::now() < by);
        std::thread::sleep(Duration::from_millis(5));
    }
    program.end_sessions();
    let next = program.relay(other.audit());
    program.order(&audit, ("acme", 1), true);
    until(&next, |it| it.relayed == 2);
    recorder.heal();
    until(&still, |it| it.database_failures >= 1);
    assert_eq!(still.metrics().relayed, 0, "it could not keep what it did");
    // Both sent the first, under one number; only the one that took over sent the second.
    assert_eq!(targets(&recorder.events(), "acme"), ["0"]);
    assert_eq!(targets(&other.events(), "acme"), ["0", "1"]);
}

#[test]
fn a_whole_event_has_a_row_and_a_foreign_id_becomes_ours() {
    let test = "a_whole_event_has_a_row_and_a_foreign_id_becomes_ours";
    let Some(mut program) = Program::start(test) else {
        return;
    };
    let recorder = Recorder::start();
    let audit = Arc::clone(recorder.audit());
    let event = Event::parse(
        br#"{"audit_id":"order-4711","event_type":"order.placed","outcome":"success",
            "occurred_at":"2026-11-20T09:00:00Z","actor":{"type":"user","id":"ada"},
            "target":{"type":"order","id":"4711"}}"#,
    )
    .unwrap();
    let row = audit.row("acme", event).unwrap();
    program.runtime.block_on(async {
        let mut transaction = program.client.transaction().await.unwrap();
        transaction.insert(&row).await.unwrap();
        transaction.commit().await.unwrap();
    });
    let relay = program.relay(&audit);
    until(&relay, |it| it.relayed == 1);
    let events = recorder.events();
    let id = events[0].event.audit_id.as_deref();
    assert_eq!(id, Some(row.audit_id.to_string().as_str()));
}
