//! The page that Prometheus scrapes of a program: every metric of its emitters, by name.
//!
//! Each emitter fills a [`Sheet`]; those of one service are added up, for a page that had the same
//! metric with the same labels twice would be none. `docs/metrics.md` is made from the table.

use std::collections::BTreeMap;

use indelible_api::metrics::{Kind, Metric, Page, Times};

use super::{BUCKETS_MS, Durations, Metrics, read};
use crate::class::Class;
use crate::losses::REASONS;
use crate::roll;
use crate::shared::Shared;

/// What a service is called that has no name.
const UNNAMED: &str = "unknown";
/// Numbers that were left out by a rule of somebody's.
const LEFT_OUT: &str = "left_out";

const SERVICE: &[&str] = &["service"];
const BY_CLASS: &[&str] = &["service", "class"];
const BY_REASON: &[&str] = &["service", "reason"];

/// Every metric of an emitter, in the order of the page.
pub const METRICS: &[Metric] = &[
    BUFFERED,
    DROPPED,
    WRITTEN,
    FAILED,
    LOST,
    EVENTS,
    BATCHES_FAILED,
    ATTEMPTS_FAILED,
    RETRIED,
    RECOVERED,
    STATEMENTS,
    OTHERS_FAILED,
    DEAD_LETTERED,
    DEAD_LETTERS_LOST,
    SPOOL_FAILURES,
    UNREADABLE,
    CLASS_BUFFERED,
    CLASS_DROPPED,
    BUFFER_SIZE,
    BUFFER_CAPACITY,
    BUFFER_UTILIZATION,
    BUFFER_BYTES,
    CLASS_SIZE,
    CLASS_CAPACITY,
    UNDER_WAY,
    SPOOL_EVENTS,
    SPOOL_BYTES,
    SPOOL_CAPACITY,
    SPOOL_DAMAGED,
    UNREACHABLE,
    WRITE_SECONDS,
    EVENT_SECONDS,
];

const BUFFERED: Metric = Metric::counter(
    "audit_events_buffered_total",
    SERVICE,
    "Events that found room in the buffer.",
);
const DROPPED: Metric = Metric::counter(
    "audit_events_dropped_total",
    SERVICE,
    "Events that found no room, or came after the close.",
);
const WRITTEN: Metric = Metric::counter(
    "audit_events_written_total",
    SERVICE,
    "Events that are in the ledger, by receipt.",
);
const FAILED: Metric = Metric::counter(
    "audit_events_failed_total",
    BY_REASON,
    "Events that found room and have no receipt: refused, in conflict, failed or given up, or left \
     at the close.",
);
const LOST: Metric = Metric::counter(
    "audit_events_lost_total",
    BY_REASON,
    "Numbers of streams that were declared lost; left_out is by a rule that somebody chose.",
);
const EVENTS: Metric = Metric::counter(
    "audit_events_total",
    &["service", "event_type", "status"],
    "Events that were taken from the buffer, by the first two segments of their type and by \
     outcome; beyond 100 types the type is other.",
);
const BATCHES_FAILED: Metric = Metric::counter(
    "audit_batches_failed_total",
    SERVICE,
    "Batches given up after all attempts.",
);
const ATTEMPTS_FAILED: Metric = Metric::counter(
    "audit_attempts_failed_total",
    SERVICE,
    "Attempts to write a batch that failed as a whole.",
);
const RETRIED: Metric = Metric::counter(
    "audit_events_retried_total",
    SERVICE,
    "Attempts beyond the first, counted per event.",
);
const RECOVERED: Metric = Metric::counter(
    "audit_events_recovered_total",
    SERVICE,
    "Events and statements of earlier runs that were delivered from the spool.",
);
const STATEMENTS: Metric = Metric::counter(
    "audit_statements_total",
    SERVICE,
    "Statements about the stream that are in the ledger.",
);
const OTHERS_FAILED: Metric = Metric::counter(
    "audit_others_failed_total",
    SERVICE,
    "Statements, and events of earlier runs, that the ledger refused.",
);
const DEAD_LETTERED: Metric = Metric::counter(
    "audit_events_dead_lettered_total",
    SERVICE,
    "Events that were put aside as dead letters; they count as failed too.",
);
const DEAD_LETTERS_LOST: Metric = Metric::counter(
    "audit_dead_letters_lost_total",
    SERVICE,
    "Events that were to be put aside and found no room or no disk: their content is gone.",
);
const SPOOL_FAILURES: Metric = Metric::counter(
    "audit_spool_failures_total",
    SERVICE,
    "Times that the spool failed or was full; its events then stayed in memory.",
);
const UNREADABLE: Metric = Metric::counter(
    "audit_spool_unreadable_total",
    SERVICE,
    "Items of the spool that could not be read.",
);
const CLASS_BUFFERED: Metric = Metric::counter(
    "audit_class_events_buffered_total",
    BY_CLASS,
    "Events that found room, by delivery class.",
);
const CLASS_DROPPED: Metric = Metric::counter(
    "audit_class_events_dropped_total",
    BY_CLASS,
    "Events that found no room in the buffer of their class, or came after the close.",
);
const BUFFER_SIZE: Metric = Metric::gauge(
    "audit_buffer_size",
    SERVICE,
    "Events that wait in the buffer.",
);
const BUFFER_CAPACITY: Metric = Metric::gauge(
    "audit_buffer_capacity",
    SERVICE,
    "Events that the buffer has room for, of all classes.",
);
const BUFFER_UTILIZATION: Metric = Metric::gauge(
    "audit_buffer_utilization_ratio",
    SERVICE,
    "How full the buffer of the fullest class is, by events or bytes: 0 to 1.",
);
const BUFFER_BYTES: Metric = Metric::gauge(
    "audit_buffer_bytes",
    SERVICE,
    "Bytes of the events that wait in the buffer.",
);
const CLASS_SIZE: Metric = Metric::gauge(
    "audit_class_buffer_size",
    BY_CLASS,
    "Events that wait in the buffer, by delivery class.",
);
const CLASS_CAPACITY: Metric = Metric::gauge(
    "audit_class_buffer_capacity",
    BY_CLASS,
    "Events that the buffer of a class has room for.",
);
const UNDER_WAY: Metric = Metric::gauge(
    "audit_events_under_way",
    SERVICE,
    "Events taken from the buffer and not settled, those on disk included.",
);
const SPOOL_EVENTS: Metric = Metric::gauge(
    "audit_spool_events",
    SERVICE,
    "Events of this run that are on disk and not settled.",
);
const SPOOL_BYTES: Metric = Metric::gauge(
    "audit_spool_bytes",
    SERVICE,
    "Bytes of the spool, what earlier runs left included.",
);
const SPOOL_DAMAGED: Metric = Metric::gauge(
    "audit_spool_damaged_files",
    SERVICE,
    "Files of the spool that could not be read and were put aside; nothing delivers them.",
);
const SPOOL_CAPACITY: Metric = Metric::gauge(
    "audit_spool_capacity_bytes",
    SERVICE,
    "Bytes that the spool may hold; 0 without one.",
);
const UNREACHABLE: Metric = Metric::gauge(
    "audit_ledger_unreachable",
    SERVICE,
    "Whether the way to the ledger counts as closed, after attempts that failed: 1 or 0.",
);
const WRITE_SECONDS: Metric = Metric::histogram(
    "audit_write_duration_seconds",
    SERVICE,
    "How long attempts to write a batch took, those that failed included.",
);
const EVENT_SECONDS: Metric = Metric::histogram(
    "audit_event_duration_seconds",
    SERVICE,
    "From an event's emission, by the time in its id, to its receipt.",
);

/// The bounds of both histograms.
const BOUNDS_S: [f64; BUCKETS_MS.len()] = {
    let (mut bounds, mut at) = ([0.0; BUCKETS_MS.len()], 0);
    while at < bounds.len() {
        #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
        let ms = BUCKETS_MS[at] as f64;
        bounds[at] = ms / 1e3;
        at += 1;
    }
    bounds
};

/// The figures of all emitters of this process, as Prometheus scrapes them: text format 0.0.4, of
/// the content type `text/plain; version=0.0.4`. It may be put behind another such text.
///
/// An emitter that was dropped has no gauges any more; what it counted stays.
pub fn prometheus() -> String {
    roll::sheet().into_text()
}

/// The values of emitters, by metric and labels.
#[derive(Debug, Clone)]
pub(crate) struct Sheet(BTreeMap<(&'static str, Labels), Value>);

/// The values of a metric's labels, the service first.
type Labels = Vec<String>;

#[derive(Debug, Clone, Copy)]
enum Value {
    Sum(u64),
    /// Of several the greatest.
    Share(f64),
    Times(Durations),
}

impl Sheet {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds what another has.
    pub(crate) fn add(&mut self, other: Self) {
        for (key, value) in other.0 {
            let sum = self.0.entry(key).or_insert(match value {
                Value::Sum(_) => Value::Sum(0),
                Value::Share(_) => Value::Share(0.0),
                Value::Times(_) => Value::Times(Durations::default()),
            });
            match (sum, value) {
                (Value::Sum(sum), Value::Sum(more)) => *sum += more,
                (Value::Share(sum), Value::Share(more)) => *sum = sum.max(more),
                (Value::Times(sum), Value::Times(more)) => sum.add(&more),
                _ => {}
            }
        }
    }

    /// What is left when the emitter is gone: what was counted.
    pub(crate) fn counted(mut self) -> Self {
        let gauge = |name: &str| {
            let metric = METRICS.iter().find(|metric| metric.name == name);
            metric.is_none_or(|metric| metric.kind == Kind::Gauge)
        };
        self.0.retain(|(name, _), _| !gauge(name));
        self
    }

    /// Whose values are here.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.0
            .keys()
            .filter(|(name, _)| *name == BUFFERED.name)
            .filter_map(|(_, labels)| labels.first().map(String::as_str))
    }

    fn into_text(self) -> String {
        let mut page = Page::default();
        for metric in METRICS {
            let mut values = page.metric(metric);
            let all = self.0.range((metric.name, Labels::new())..);
            for ((_, labels), value) in all.take_while(|((name, _), _)| *name == metric.name) {
                let labels: Vec<_> = labels.iter().map(String::as_str).collect();
                match value {
                    Value::Sum(sum) => values.value(&labels, sum),
                    Value::Share(share) => values.value(&labels, format_args!("{share:.4}")),
                    Value::Times(durations) => values.times(&labels, durations.times()),
                }
            }
        }
        page.into_text()
    }
}

impl Durations {
    fn add(&mut self, more: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(more.buckets) {
            *bucket += more;
        }
        self.sum_us = self.sum_us.saturating_add(more.sum_us);
    }

    fn times(&self) -> Times<'_> {
        Times {
            bounds_s: &BOUNDS_S,
            counts: &self.buckets,
            sum_us: self.sum_us,
        }
    }
}

/// The sheet of one emitter, being filled.
struct Filling<'a> {
    sheet: Sheet,
    service: &'a str,
}

impl Filling<'_> {
    fn put(&mut self, metric: &Metric, labels: &[&str], value: Value) {
        let service = std::iter::once(self.service);
        let labels = service.chain(labels.iter().copied());
        let labels = labels.map(str::to_owned).collect();
        self.sheet.0.insert((metric.name, labels), value);
    }

    fn sum(&mut self, metric: &Metric, value: u64) {
        self.put(metric, &[], Value::Sum(value));
    }

    fn totals(&mut self, metrics: &Metrics) {
        self.sum(&DROPPED, metrics.dropped);
        self.sum(&WRITTEN, metrics.committed);
        for (reason, count) in [
            ("refused", metrics.refused),
            ("conflict", metrics.conflicts),
            ("failed", metrics.failed),
            ("closed", metrics.abandoned),
        ] {
            self.put(&FAILED, &[reason], Value::Sum(count));
        }
        self.sum(&BATCHES_FAILED, metrics.batches_failed);
        self.sum(&ATTEMPTS_FAILED, metrics.attempts_failed);
        self.sum(&RETRIED, metrics.retried);
        self.sum(&RECOVERED, metrics.recovered);
        self.sum(&STATEMENTS, metrics.statements);
        self.sum(&OTHERS_FAILED, metrics.others_failed);
        self.sum(&DEAD_LETTERED, metrics.dead_lettered);
        self.sum(&DEAD_LETTERS_LOST, metrics.dead_letters_lost);
        self.sum(&SPOOL_FAILURES, metrics.spool_failures);
        self.sum(&UNREADABLE, metrics.unreadable);
        self.sum(&BUFFER_SIZE, metrics.queued);
        self.sum(&BUFFER_CAPACITY, metrics.capacity);
        self.sum(&BUFFER_BYTES, metrics.queued_bytes);
        self.sum(&UNDER_WAY, metrics.under_way);
        self.sum(&SPOOL_EVENTS, metrics.spooled);
        self.sum(&SPOOL_BYTES, metrics.spool_bytes);
        self.sum(&SPOOL_DAMAGED, metrics.spool_damaged);
        self.put(&WRITE_SECONDS, &[], Value::Times(metrics.writes));
        self.put(&EVENT_SECONDS, &[], Value::Times(metrics.receipts));
    }

    fn classes(&mut self, shared: &Shared) {
        let (mut buffered, mut fullest) = (0, 0.0_f64);
        for class in Class::ALL {
            let (lane, bounds) = (
                shared.buffer.lane(class.lane()),
                shared.options.lane(class).bounds,
            );
            let (waiting, word) = (lane.usage.items as u64, class.as_str());
            let pushed = waiting + lane.taken;
            let dropped = lane.dropped.full + lane.dropped.closed;
            self.put(&CLASS_BUFFERED, &[word], Value::Sum(pushed));
            self.put(&CLASS_DROPPED, &[word], Value::Sum(dropped));
            self.put(&CLASS_SIZE, &[word], Value::Sum(waiting));
            let capacity = bounds.items_max as u64;
            self.put(&CLASS_CAPACITY, &[word], Value::Sum(capacity));
            buffered += pushed;
            for (used, room) in [
                (lane.usage.items, bounds.items_max),
                (lane.usage.bytes, bounds.bytes_max),
            ] {
                #[expect(clippy::cast_precision_loss, reason = "a share, of four digits")]
                let share = used as f64 / room.max(1) as f64;
                fullest = fullest.max(share);
            }
        }
        self.sum(&BUFFERED, buffered);
        self.put(&BUFFER_UTILIZATION, &[], Value::Share(fullest));
    }
}

impl Shared {
    /// What its service is called on the page.
    pub(crate) fn service(&self) -> &str {
        self.options.service.as_deref().unwrap_or(UNNAMED)
    }

    /// What this emitter has to tell.
    pub(crate) fn sheet(&self) -> Sheet {
        let mut filling = Filling {
            sheet: Sheet::new(),
            service: self.service(),
        };
        filling.totals(&self.metrics());
        filling.classes(self);
        let reasons = REASONS.iter().map(|(_, word)| *word).chain([LEFT_OUT]);
        for (reason, count) in reasons.zip(&self.counters.lost) {
            filling.put(&LOST, &[reason], Value::Sum(read(count)));
        }
        for (kind, status, count) in self.counters.kinds.read() {
            filling.put(&EVENTS, &[&kind, status], Value::Sum(count));
        }
        let spool = self.options.spool.as_ref();
        filling.sum(
            &SPOOL_CAPACITY,
            spool.map_or(0, |spool| spool.bounds.bytes_max),
        );
        let shut = self.outbox.state().shut.is_some();
        filling.sum(&UNREACHABLE, u64::from(shut));
        filling.sheet
    }
}
