//! The page of `/metrics`: every metric of the server, by name.
//!
//! Labels are words of ours: no tenant, no path as sent. `docs/metrics.md` is made from the table.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use indelible_api::metrics::{Metric, Page, Times};
use indelible_event::ids::Micros;

use super::{BUCKETS_S, GROUPS, Metrics, time};
use crate::limits::Whose;

const REQUESTS: Metric = Metric::counter(
    "indelible_http_requests_total",
    &["kind", "status"],
    "Requests that were answered, by kind and class of status.",
);
const REQUEST_SECONDS: Metric = Metric::histogram(
    "indelible_http_request_seconds",
    &["kind"],
    "How long requests took.",
);
const EVENTS: Metric = Metric::counter(
    "indelible_events_total",
    &["outcome"],
    "Events by what became of them.",
);
const SUBMITTED: Metric = Metric::counter(
    "indelible_events_submitted_total",
    &[],
    "Events handed to the log.",
);
const OVERLOADED: Metric = Metric::counter(
    "indelible_overloaded_total",
    &[],
    "Requests refused for want of memory.",
);
const LIMITED: Metric = Metric::counter(
    "indelible_limited_total",
    &["limit"],
    "Requests, and events of batches, that came to a limit of their key, tenant, or tenant's day.",
);
const REFUSED: Metric = Metric::counter(
    "indelible_connections_refused_total",
    &[],
    "Connections refused.",
);
const GAVE_WAY: Metric = Metric::counter(
    "indelible_connections_gave_way_total",
    &[],
    "Connections closed while they waited, to make room for others.",
);
const TOO_SLOW: Metric = Metric::counter(
    "indelible_tails_too_slow_total",
    &[],
    "Tails ended because their readers took nothing.",
);
const PUBLICATIONS: Metric = Metric::counter(
    "indelible_publications_total",
    &[],
    "Checkpoints published.",
);
const PASSES: Metric = Metric::counter(
    "indelible_verifier_passes_total",
    &[],
    "Passes of the verifier.",
);
const READY: Metric = Metric::gauge(
    "indelible_ready",
    &[],
    "Whether work gets done, as /health/ready says: 1 or 0.",
);
const WAITING: Metric = Metric::gauge(
    "indelible_events_waiting",
    &[],
    "Events without an outcome.",
);
const IN_FLIGHT: Metric = Metric::gauge(
    "indelible_in_flight_bytes",
    &[],
    "Bytes of requests in flight.",
);
const CONNECTIONS: Metric = Metric::gauge("indelible_connections", &[], "Open connections.");
const TAILS: Metric = Metric::gauge("indelible_tails", &[], "Open tails.");
const TENANTS: Metric = Metric::gauge("indelible_tenants", &[], "Tenants with a log.");
const BROKEN: Metric = Metric::gauge(
    "indelible_logs_broken",
    &[],
    "Logs with findings in the last pass of the verifier.",
);
const COMMITTED_AT: Metric = Metric::gauge(
    "indelible_last_commit_seconds",
    &[],
    "When the last commit was, in seconds since 1970.",
);
const PUBLISHED_AT: Metric = Metric::gauge(
    "indelible_last_published_seconds",
    &[],
    "When the last checkpoint was, in seconds since 1970.",
);
const UNPUBLISHED: Metric = Metric::gauge(
    "indelible_unpublished_seconds",
    &[],
    "For how long something committed has had no checkpoint; 0 when all has one.",
);
const RECEIVED: Metric = Metric::gauge(
    "indelible_stream_numbers_received",
    &[],
    "Numbers of producers' streams that are committed.",
);
const LOST: Metric = Metric::gauge(
    "indelible_stream_numbers_lost",
    &[],
    "Numbers that producers declared lost.",
);
const MISSING: Metric = Metric::gauge(
    "indelible_stream_numbers_missing",
    &[],
    "Numbers missing without a word.",
);
const UNCLEAN: Metric = Metric::gauge(
    "indelible_streams_ended_unclean",
    &[],
    "Epochs of streams that broke off.",
);

/// Every metric, in the order of the page.
#[cfg(test)]
pub(super) const METRICS: [Metric; 25] = [
    REQUESTS,
    REQUEST_SECONDS,
    EVENTS,
    LIMITED,
    SUBMITTED,
    OVERLOADED,
    REFUSED,
    GAVE_WAY,
    TOO_SLOW,
    PUBLICATIONS,
    PASSES,
    READY,
    WAITING,
    IN_FLIGHT,
    CONNECTIONS,
    TAILS,
    TENANTS,
    BROKEN,
    COMMITTED_AT,
    PUBLISHED_AT,
    UNPUBLISHED,
    RECEIVED,
    LOST,
    MISSING,
    UNCLEAN,
];

/// What is known elsewhere, at this moment.
pub(crate) struct Now {
    pub(crate) at: Micros,
    pub(crate) tails: usize,
    pub(crate) tenants: usize,
    pub(crate) ready: bool,
}

impl Metrics {
    /// The page.
    pub(crate) fn text(&self, now: &Now) -> String {
        let mut page = Page::default();
        self.tell_requests(&mut page);
        let words = ["new", "repeat", "conflict", "refused", "failed"];
        let mut events = page.metric(&EVENTS);
        for (word, count) in words.iter().zip(&self.outcomes) {
            events.value(&[word], count.load(Relaxed));
        }
        let mut limited = page.metric(&LIMITED);
        for (word, count) in Whose::WORDS.iter().zip(&self.limited) {
            limited.value(&[word], count.load(Relaxed));
        }
        let mut tell = |metric: Metric, value: &AtomicU64| {
            page.single(&metric, value.load(Relaxed));
        };
        tell(SUBMITTED, &self.submitted);
        tell(OVERLOADED, &self.overloaded);
        tell(REFUSED, &self.connections_refused);
        tell(GAVE_WAY, &self.connections_gave_way);
        tell(TOO_SLOW, &self.tails_too_slow);
        tell(PUBLICATIONS, &self.publications);
        tell(PASSES, &self.verifier_passes);
        page.single(&READY, u8::from(now.ready));
        page.single(&WAITING, self.waiting());
        page.single(&IN_FLIGHT, self.in_flight_bytes.load(Relaxed));
        page.single(&CONNECTIONS, self.connections.load(Relaxed));
        page.single(&TAILS, now.tails);
        page.single(&TENANTS, now.tenants);
        page.single(&BROKEN, self.logs_broken.load(Relaxed));
        let seconds = |at: Option<Micros>| at.map_or(0, |at| at.0 / 1_000_000);
        page.single(&COMMITTED_AT, seconds(self.last_commit()));
        page.single(&PUBLISHED_AT, seconds(time(&self.last_published)));
        let age = |since: Micros| Micros(now.at.0.saturating_sub(since.0).max(0));
        page.single(&UNPUBLISHED, seconds(self.news_since().map(age)));
        page.single(&RECEIVED, self.stream_numbers_received.load(Relaxed));
        page.single(&LOST, self.stream_numbers_lost.load(Relaxed));
        page.single(&MISSING, self.stream_numbers_missing.load(Relaxed));
        page.single(&UNCLEAN, self.streams_unclean.load(Relaxed));
        page.into_text()
    }

    fn tell_requests(&self, page: &mut Page) {
        let mut requests = page.metric(&REQUESTS);
        for (kind, group) in GROUPS.iter().zip(&self.groups) {
            for (class, count) in (2..).zip(&group.statuses) {
                requests.value(&[kind, &format!("{class}xx")], count.load(Relaxed));
            }
        }
        let mut seconds = page.metric(&REQUEST_SECONDS);
        for (kind, group) in GROUPS.iter().zip(&self.groups) {
            let counts: Vec<_> = group
                .buckets
                .iter()
                .map(|count| count.load(Relaxed))
                .collect();
            let times = Times {
                bounds_s: &BUCKETS_S,
                counts: &counts,
                sum_us: group.micros.load(Relaxed),
            };
            seconds.times(&[kind], times);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Now = Now {
        at: Micros(90_000_000),
        tails: 2,
        tenants: 3,
        ready: true,
    };

    #[test]
    fn the_page_has_every_metric_once_and_no_other() {
        let text = Metrics::default().text(&NOW);
        let told: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        let known = METRICS.map(|metric| format!("{} {}", metric.name, metric.kind.as_str()));
        assert_eq!(told, known);
    }

    #[test]
    fn a_request_is_in_its_bucket_and_what_waits_for_a_checkpoint_has_its_age() {
        let metrics = Metrics::default();
        metrics.answered("batch", 200, Duration::from_millis(30));
        metrics.answered("batch", 503, Duration::from_secs(9));
        metrics.news(Micros(60_000_000));
        let text = metrics.text(&NOW);
        let name = "indelible_http_request_seconds";
        for line in [
            "indelible_http_requests_total{kind=\"batch\",status=\"5xx\"} 1".to_owned(),
            format!("{name}_bucket{{kind=\"batch\",le=\"0.025\"}} 0"),
            format!("{name}_bucket{{kind=\"batch\",le=\"0.05\"}} 1"),
            format!("{name}_bucket{{kind=\"batch\",le=\"5\"}} 1"),
            format!("{name}_bucket{{kind=\"batch\",le=\"+Inf\"}} 2"),
            format!("{name}_sum{{kind=\"batch\"}} 9.030000"),
            "indelible_unpublished_seconds 30".to_owned(),
            "indelible_ready 1".to_owned(),
            "indelible_tenants 3".to_owned(),
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        let _ = metrics.take_news();
        assert!(
            metrics
                .text(&NOW)
                .contains("\nindelible_unpublished_seconds 0\n")
        );
    }
}
