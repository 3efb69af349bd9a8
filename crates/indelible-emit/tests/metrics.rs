//! What Prometheus scrapes of a program: the names and labels that dashboards rely on, and figures
//! that are what happened.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indelible_disk::RealDisk;
use indelible_emit::{
    Actor, Class, Emitter, METRICS, Options, SpoolBounds, SpoolOptions, Ticket, prometheus,
};
use support::book::{Book, Way};
use support::{Memory, Stuck, quick, start};

const SOON: Duration = Duration::from_secs(20);

/// Options of a service. Each test has its own, for they share a process.
fn of(service: &str) -> Options {
    Options {
        service: Some(service.to_owned()),
        ..quick()
    }
}

fn emit(emitter: &Emitter, event_type: &str) -> Ticket {
    let event = emitter.for_tenant("acme").action(event_type);
    let event = event.actor(Actor::user("ada")).target("post", "1");
    event.succeeded().emit()
}

/// The value of a metric of a service, by the labels behind it.
fn value(service: &str, metric: &str, labels: &str) -> Option<f64> {
    let text = prometheus();
    let head = match labels {
        "" => format!("{metric}{{service=\"{service}\"}} "),
        labels => format!("{metric}{{service=\"{service}\",{labels}}} "),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(&head));
    line.map(|value| value.parse().unwrap())
}

fn until(done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it did not happen:\n{}", prometheus());
}

#[test]
fn the_page_has_every_metric_once_and_each_by_its_labels() {
    let emitters = [(), ()].map(|()| start(Memory::default(), of("twice")));
    for emitter in &emitters {
        assert!(emit(emitter, "auth.login").committed_blocking(SOON).is_ok());
    }
    let text = prometheus();
    let told: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let known = METRICS
        .iter()
        .map(|metric| format!("{} {}", metric.name, metric.kind.as_str()));
    assert_eq!(told, known.collect::<Vec<_>>());
    let mut series: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all, "a series stands there twice:\n{text}");
    for metric in METRICS {
        let of_metric = |line: &&str| line.split(['{', ' ']).next() == Some(metric.name);
        for line in text.lines().filter(of_metric) {
            let names = line.split(['{', ',']).skip(1);
            let names = names.filter_map(|pair| pair.split_once("=\""));
            let names: Vec<_> = names.map(|(name, _)| name).collect();
            assert_eq!(names, metric.labels, "{line}");
        }
    }
}

/// Whoever has dashboards of those we come from finds these.
#[test]
fn the_names_of_two_sources_are_there_with_their_types_and_a_label_for_the_service() {
    let emitter = start(Memory::default(), of("named"));
    assert!(
        emit(&emitter, "auth.login")
            .committed_blocking(SOON)
            .is_ok()
    );
    let text = prometheus();
    for (name, kind) in [
        ("audit_events_buffered_total", "counter"),
        ("audit_events_dropped_total", "counter"),
        ("audit_events_written_total", "counter"),
        ("audit_batches_failed_total", "counter"),
        ("audit_events_total", "counter"),
        ("audit_buffer_size", "gauge"),
        ("audit_buffer_capacity", "gauge"),
        ("audit_buffer_utilization_ratio", "gauge"),
        ("audit_write_duration_seconds", "histogram"),
        ("audit_event_duration_seconds", "histogram"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        let suffix = if kind == "histogram" { "_sum" } else { "" };
        let series = format!("{name}{suffix}{{service=\"named\"");
        assert!(text.contains(&series), "{series}");
    }
    for bound in [
        "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
    ] {
        let labels = format!("le=\"{bound}\"");
        assert!(value("named", "audit_write_duration_seconds_bucket", &labels).is_some());
    }
    let kinds = ["event_type=\"auth.login\"", "status=\"success\""];
    let counted = |line: &str| {
        line.starts_with("audit_events_total{service=\"named\"")
            && kinds.iter().all(|kind| line.contains(kind))
    };
    assert!(text.lines().any(counted), "{text}");
}

#[test]
fn the_figures_are_what_happened() {
    let emitter = start(Memory::default(), of("shop"));
    for event_type in ["auth.login", "auth.login.again", "api.get./posts/{id}"] {
        assert!(emit(&emitter, event_type).committed_blocking(SOON).is_ok());
    }
    let event = emitter.for_tenant("acme").action("auth.login");
    let event = event.actor(Actor::user("bob")).target("account", "bob");
    let ticket = event.denied("a wrong password").emit();
    assert!(ticket.committed_blocking(SOON).is_ok());
    emitter.close(SOON);
    drop(emit(&emitter, "auth.login"));
    for (metric, labels, expected) in [
        ("audit_events_buffered_total", "", 4.0),
        ("audit_events_written_total", "", 4.0),
        ("audit_events_dropped_total", "", 1.0),
        ("audit_batches_failed_total", "", 0.0),
        (
            "audit_events_total",
            "event_type=\"auth.login\",status=\"success\"",
            2.0,
        ),
        (
            "audit_events_total",
            "event_type=\"auth.login\",status=\"denied\"",
            1.0,
        ),
        (
            "audit_events_total",
            "event_type=\"api.get\",status=\"success\"",
            1.0,
        ),
        (
            "audit_class_events_buffered_total",
            "class=\"best_effort\"",
            4.0,
        ),
        (
            "audit_class_events_dropped_total",
            "class=\"best_effort\"",
            1.0,
        ),
        ("audit_event_duration_seconds_count", "", 4.0),
        ("audit_event_duration_seconds_bucket", "le=\"10\"", 4.0),
        ("audit_buffer_size", "", 0.0),
        ("audit_buffer_capacity", "", 62_000.0),
        ("audit_buffer_utilization_ratio", "", 0.0),
        ("audit_spool_capacity_bytes", "", 0.0),
    ] {
        assert_eq!(
            value("shop", metric, labels),
            Some(expected),
            "{metric} {labels}"
        );
    }
    assert!(value("shop", "audit_write_duration_seconds_count", "") >= Some(1.0));
}

#[test]
fn an_emitter_that_is_gone_leaves_what_it_counted_and_no_gauge() {
    let first = start(Memory::default(), of("gone"));
    assert!(emit(&first, "a.b").committed_blocking(SOON).is_ok());
    let second = start(Memory::default(), of("gone"));
    assert_eq!(value("gone", "audit_buffer_capacity", ""), Some(124_000.0));
    drop(first);
    // Both may have begun in one millisecond: the later one's stream is then of the next.
    std::thread::sleep(Duration::from_millis(5));
    assert!(emit(&second, "a.b").committed_blocking(SOON).is_ok());
    assert_eq!(value("gone", "audit_events_written_total", ""), Some(2.0));
    // Counted with its batch, whose first tickets are told before.
    until(|| value("gone", "audit_event_duration_seconds_count", "") == Some(2.0));
    assert_eq!(value("gone", "audit_buffer_capacity", ""), Some(62_000.0));
    drop(second);
    assert_eq!(value("gone", "audit_events_written_total", ""), Some(2.0));
    assert_eq!(value("gone", "audit_buffer_capacity", ""), None);
}

#[test]
fn the_buffer_is_as_full_as_its_fullest_class() {
    let stuck = Stuck::default();
    let mut options = of("full");
    options.room.best_effort.items_max = 100;
    options.batching.items_max = 10;
    let emitter = start(stuck.clone(), options);
    // The worker goes on taking until there is no room behind it either.
    let best_effort = "class=\"best_effort\"";
    until(|| {
        for _ in 0..100 {
            drop(emit(&emitter, "a.b"));
        }
        [
            ("audit_buffer_size", "", 100.0),
            ("audit_buffer_utilization_ratio", "", 1.0),
            ("audit_class_buffer_size", best_effort, 100.0),
        ]
        .into_iter()
        .all(|(metric, labels, full)| value("full", metric, labels) == Some(full))
            && value("full", "audit_events_dropped_total", "") > Some(0.0)
    });
    assert_eq!(
        value("full", "audit_class_buffer_capacity", best_effort),
        Some(100.0)
    );
    stuck.let_go();
    emitter.close(SOON);
    // The drops are declared, and no other number.
    let lost = value("full", "audit_events_lost_total", "reason=\"queue_full\"");
    assert_eq!(lost, value("full", "audit_events_dropped_total", ""));
    assert_eq!(
        lost.map(|lost| lost.to_string()),
        Some(emitter.metrics().lost.to_string())
    );
}

#[test]
fn a_ledger_out_of_reach_is_told_and_so_is_what_was_given_up() {
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = of("lost");
    options.retry.attempts_max = NonZeroU32::new(3);
    options.retry.failures_to_open = 2;
    let emitter = start(way, options);
    assert_eq!(value("lost", "audit_ledger_unreachable", ""), Some(0.0));
    assert!(emit(&emitter, "a.b").committed_blocking(SOON).is_err());
    assert_eq!(value("lost", "audit_ledger_unreachable", ""), Some(1.0));
    assert_eq!(value("lost", "audit_attempts_failed_total", ""), Some(3.0));
    assert_eq!(value("lost", "audit_batches_failed_total", ""), Some(1.0));
    assert_eq!(
        value("lost", "audit_events_failed_total", "reason=\"failed\""),
        Some(1.0)
    );
    assert_eq!(
        value("lost", "audit_event_duration_seconds_count", ""),
        Some(0.0)
    );
    down.store(false, Ordering::SeqCst);
    emitter.left_out("acme", "sampled: one in 4");
    emitter.close(SOON);
    assert_eq!(value("lost", "audit_ledger_unreachable", ""), Some(0.0));
    assert_eq!(
        value("lost", "audit_events_lost_total", "reason=\"given_up\""),
        Some(1.0)
    );
    assert_eq!(
        value("lost", "audit_events_lost_total", "reason=\"left_out\""),
        Some(1.0)
    );
}

#[test]
fn the_spool_says_how_full_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::default();
    let way = Way::to(&book);
    let down = Arc::clone(&way.down);
    down.store(true, Ordering::SeqCst);
    let mut options = of("disk");
    options.spool = Some(SpoolOptions {
        disk: Arc::new(RealDisk::new(directory.path())),
        bounds: SpoolBounds::default(),
    });
    let emitter = start(way, options);
    for _ in 0..100 {
        let ticket = emit(&emitter, "a.b");
        assert_eq!(
            (ticket.class(), ticket.spooled_blocking(SOON)),
            (Class::Spooled, Ok(()))
        );
    }
    let held = value("disk", "audit_spool_bytes", "").unwrap();
    assert!(held > 10_000.0, "{held}");
    assert_eq!(value("disk", "audit_spool_events", ""), Some(100.0));
    assert_eq!(
        value("disk", "audit_spool_capacity_bytes", ""),
        Some(1_073_741_824.0)
    );
    down.store(false, Ordering::SeqCst);
    assert!(emitter.flush(SOON));
    until(|| value("disk", "audit_spool_bytes", "") < Some(held));
    assert_eq!(value("disk", "audit_spool_events", ""), Some(0.0));
}
