//! What the server counts. How it is told is in `page`.

mod page;
#[cfg(test)]
mod reference;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use indelible_event::ids::Micros;
use indelible_log::Outcome;
use indelible_proof::stream::Figures;
use indelible_store::Kind;

pub(crate) use page::Now;

use crate::limits::Whose;

/// Upper bounds of the latency buckets, seconds.
const BUCKETS_S: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Kinds of requests that are told apart.
pub(crate) const GROUPS: [&str; 5] = ["event", "batch", "read", "manage", "page"];
/// No time: never, or not now.
const NEVER: i64 = i64::MIN;

#[derive(Debug, Default)]
struct Group {
    /// By the first digit of the status, 2 to 5.
    statuses: [AtomicU64; 4],
    /// Within each bound and beyond the one before; in the end beyond all.
    buckets: [AtomicU64; BUCKETS_S.len() + 1],
    micros: AtomicU64,
}

/// When the store last failed something, if nothing of the kind went well since.
#[derive(Debug)]
struct LastFailure {
    at: AtomicI64,
    for_space: AtomicBool,
}

impl Default for LastFailure {
    fn default() -> Self {
        Self {
            at: AtomicI64::new(NEVER),
            for_space: AtomicBool::default(),
        }
    }
}

impl LastFailure {
    fn note(&self, now: Micros, for_space: bool) {
        self.for_space.store(for_space, Relaxed);
        self.at.store(now.0, Relaxed);
    }

    fn forget(&self) {
        self.at.store(NEVER, Relaxed);
    }

    fn known(&self) -> Option<Failed> {
        let for_space = self.for_space.load(Relaxed);
        time(&self.at).map(|at| Failed { at, for_space })
    }
}

/// A failure of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) at: Micros,
    /// Whether there was no room.
    pub(crate) for_space: bool,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    groups: [Group; GROUPS.len()],
    outcomes: [AtomicU64; 5],
    submitted: AtomicU64,
    settled: AtomicU64,
    in_flight_bytes: AtomicU64,
    overloaded: AtomicU64,
    limited: [AtomicU64; Whose::WORDS.len()],
    connections: AtomicU64,
    connections_refused: AtomicU64,
    connections_gave_way: AtomicU64,
    tails_too_slow: AtomicU64,
    last_commit: AtomicI64,
    /// Of commits.
    last_failure: LastFailure,
    /// Of uploads.
    last_attachment_failure: LastFailure,
    /// When the database last answered, where one has the ledger.
    database_seen: AtomicI64,
    /// Whether it could not be reached when it was asked last.
    database_away: AtomicBool,
    /// When whoever publishes was last seen to be at work, where that is not this server.
    publisher_seen: AtomicI64,
    news_since: AtomicI64,
    last_published: AtomicI64,
    publications: AtomicU64,
    verifier_passes: AtomicU64,
    verifier_alive: AtomicI64,
    logs_broken: AtomicU64,
    stream_numbers_received: AtomicU64,
    stream_numbers_lost: AtomicU64,
    stream_numbers_missing: AtomicU64,
    streams_unclean: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            groups: Default::default(),
            outcomes: Default::default(),
            submitted: AtomicU64::default(),
            settled: AtomicU64::default(),
            in_flight_bytes: AtomicU64::default(),
            overloaded: AtomicU64::default(),
            limited: Default::default(),
            connections: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
            connections_gave_way: AtomicU64::default(),
            tails_too_slow: AtomicU64::default(),
            last_commit: AtomicI64::new(NEVER),
            last_failure: LastFailure::default(),
            last_attachment_failure: LastFailure::default(),
            database_seen: AtomicI64::new(NEVER),
            database_away: AtomicBool::default(),
            publisher_seen: AtomicI64::new(NEVER),
            news_since: AtomicI64::new(NEVER),
            last_published: AtomicI64::new(NEVER),
            publications: AtomicU64::default(),
            verifier_passes: AtomicU64::default(),
            verifier_alive: AtomicI64::new(NEVER),
            logs_broken: AtomicU64::default(),
            stream_numbers_received: AtomicU64::default(),
            stream_numbers_lost: AtomicU64::default(),
            stream_numbers_missing: AtomicU64::default(),
            streams_unclean: AtomicU64::default(),
        }
    }
}

fn time(of: &AtomicI64) -> Option<Micros> {
    Some(of.load(Relaxed)).filter(|at| *at != NEVER).map(Micros)
}

impl Metrics {
    pub(crate) fn submitted(&self, count: usize) {
        self.submitted.fetch_add(count as u64, Relaxed);
    }

    /// Notes what became of events.
    pub(crate) fn settled(&self, outcomes: &[Outcome], now: Micros) {
        let mut counts = [0_u64; 5];
        for outcome in outcomes {
            let [new, repeat, conflict, refused, failed] = &mut counts;
            *match outcome {
                Outcome::New(_) => new,
                Outcome::Repeat { .. } => repeat,
                Outcome::Conflict(_) => conflict,
                Outcome::Refused(_) => refused,
                Outcome::Failed(_) => failed,
            } += 1;
        }
        for (all, count) in self.outcomes.iter().zip(counts) {
            all.fetch_add(count, Relaxed);
        }
        self.settled.fetch_add(outcomes.len() as u64, Relaxed);
        let [new, _, conflict, ..] = counts;
        if new + conflict > 0 {
            self.news(now);
        }
        // A log that is damaged fails by itself, and others go on.
        let of_store = |outcome: &Outcome| {
            let kinds = [Kind::NoSpace, Kind::Unavailable, Kind::UnknownOutcome];
            matches!(outcome, Outcome::Failed(error) if kinds.contains(&error.kind()))
        };
        let no_space = |outcome: &Outcome| {
            let failed = |error: &indelible_store::Error| error.kind() == Kind::NoSpace;
            matches!(outcome, Outcome::Failed(error) if failed(error))
        };
        if outcomes.iter().any(of_store) {
            self.last_failure.note(now, outcomes.iter().any(no_space));
        } else if new > 0 {
            self.last_failure.forget();
        }
        if counts.iter().take(4).any(|count| *count > 0) {
            self.last_commit.store(now.0, Relaxed);
        }
    }

    /// Notes that there is something to publish since `at`. The earliest counts: a publication that
    /// failed gives its news back, and other news may have come meanwhile.
    pub(crate) fn news(&self, at: Micros) {
        let earlier = |known| (known == NEVER || known > at.0).then_some(at.0);
        let _ = self.news_since.fetch_update(Relaxed, Relaxed, earlier);
    }

    /// Takes the news: what comes from now on is news again.
    pub(crate) fn take_news(&self) -> Option<Micros> {
        Some(self.news_since.swap(NEVER, Relaxed))
            .filter(|at| *at != NEVER)
            .map(Micros)
    }

    pub(crate) fn published(&self, now: Micros) {
        self.last_published.store(now.0, Relaxed);
        self.publications.fetch_add(1, Relaxed);
    }

    /// Since when there is something to publish.
    pub(crate) fn news_since(&self) -> Option<Micros> {
        time(&self.news_since)
    }

    /// Events that wait for an outcome.
    pub(crate) fn waiting(&self) -> u64 {
        let settled = self.settled.load(Relaxed);
        self.submitted.load(Relaxed).saturating_sub(settled)
    }

    /// When the store last failed a commit, if none went well since.
    pub(crate) fn last_failure(&self) -> Option<Failed> {
        self.last_failure.known()
    }

    /// Notes an upload that the store failed. Events have files of their own, so a commit that goes
    /// well says nothing of uploads.
    pub(crate) fn attachment_failed(&self, now: Micros, for_space: bool) {
        self.last_attachment_failure.note(now, for_space);
    }

    pub(crate) fn attachment_stored(&self) {
        self.last_attachment_failure.forget();
    }

    /// When the store last failed an upload, if none went well since.
    pub(crate) fn last_attachment_failure(&self) -> Option<Failed> {
        self.last_attachment_failure.known()
    }

    /// Notes whether the database answered.
    pub(crate) fn database(&self, answered: bool, now: Micros) {
        self.database_away.store(!answered, Relaxed);
        if answered {
            self.database_seen.store(now.0, Relaxed);
        }
    }

    /// Whether the database could not be reached when it was asked last.
    pub(crate) fn database_is_away(&self) -> bool {
        self.database_away.load(Relaxed)
    }

    pub(crate) fn database_seen(&self) -> Option<Micros> {
        time(&self.database_seen)
    }

    /// Whoever publishes is at work.
    pub(crate) fn publisher_alive(&self, now: Micros) {
        self.publisher_seen.store(now.0, Relaxed);
    }

    pub(crate) fn publisher_seen(&self) -> Option<Micros> {
        time(&self.publisher_seen)
    }

    pub(crate) fn last_commit(&self) -> Option<Micros> {
        time(&self.last_commit)
    }

    /// The verifier works: called while it does.
    pub(crate) fn verifier_alive(&self, now: Micros) {
        self.verifier_alive.store(now.0, Relaxed);
    }

    pub(crate) fn verifier_seen(&self) -> Option<Micros> {
        time(&self.verifier_alive)
    }

    pub(crate) fn verified(&self, broken: u64) {
        self.verifier_passes.fetch_add(1, Relaxed);
        self.logs_broken.store(broken, Relaxed);
    }

    /// What is known of the streams of all logs.
    pub(crate) fn streams(&self, sum: Figures) {
        self.stream_numbers_received.store(sum.received, Relaxed);
        self.stream_numbers_lost.store(sum.lost, Relaxed);
        self.stream_numbers_missing.store(sum.missing, Relaxed);
        self.streams_unclean.store(sum.unclean, Relaxed);
    }

    /// A limit was reached.
    pub(crate) fn limited(&self, whose: Whose) {
        let [key, tenant, day] = &self.limited;
        let counter = match whose {
            Whose::Key => key,
            Whose::Tenant => tenant,
            Whose::Day => day,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn overloaded(&self) {
        self.overloaded.fetch_add(1, Relaxed);
    }

    pub(crate) fn in_flight_bytes(&self, bytes: usize, more: bool) {
        if more {
            self.in_flight_bytes.fetch_add(bytes as u64, Relaxed);
        } else {
            self.in_flight_bytes.fetch_sub(bytes as u64, Relaxed);
        }
    }

    pub(crate) fn connection(&self, opened: bool) {
        if opened {
            self.connections.fetch_add(1, Relaxed);
        } else {
            self.connections.fetch_sub(1, Relaxed);
        }
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn connection_gave_way(&self) {
        self.connections_gave_way.fetch_add(1, Relaxed);
    }

    /// A tail ended since its reader did not take what was said.
    pub(crate) fn tail_too_slow(&self) {
        self.tails_too_slow.fetch_add(1, Relaxed);
    }

    /// Notes a request that was answered.
    pub(crate) fn answered(&self, group: &str, status: u16, took: std::time::Duration) {
        let Some(place) = GROUPS.iter().position(|name| *name == group) else {
            return;
        };
        let Some(group) = self.groups.get(place) else {
            return;
        };
        let class = usize::from(status / 100).saturating_sub(2);
        if let Some(count) = group.statuses.get(class) {
            count.fetch_add(1, Relaxed);
        }
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = group.buckets.get(bucket.unwrap_or(BUCKETS_S.len())) {
            count.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        group.micros.fetch_add(micros, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::ids::{AuditId, TenantId};
    use indelible_merkle::Hash;
    use indelible_proof::receipt::Receipt;
    use indelible_store::Error;

    use super::*;

    #[test]
    fn news_that_could_not_be_published_is_older_than_what_came_meanwhile() {
        let metrics = Metrics::default();
        metrics.news(Micros(10));
        assert_eq!(metrics.take_news(), Some(Micros(10)));
        metrics.news(Micros(20));
        metrics.news(Micros(10));
        metrics.news(Micros(30));
        assert_eq!(metrics.news_since(), Some(Micros(10)));
    }

    fn receipt() -> Receipt {
        Receipt {
            tenant_id: TenantId::parse("acme").unwrap(),
            audit_id: AuditId([1; 16]),
            sequence_number: 1,
            record_hash: Hash::ZERO,
            ingested_at: Micros(4),
        }
    }

    #[test]
    fn a_commit_that_the_store_fails_is_noted_until_one_goes_well() {
        let metrics = Metrics::default();
        let failed = |kind| [Outcome::Failed(Error::new(kind, "told to fail").into())];
        metrics.settled(&failed(Kind::Corrupt), Micros(1));
        assert_eq!(metrics.last_failure(), None, "one log is damaged");
        let known = |at, for_space| {
            let at = Micros(at);
            Some(Failed { at, for_space })
        };
        metrics.settled(&failed(Kind::NoSpace), Micros(2));
        assert_eq!(metrics.last_failure(), known(2, true));
        metrics.settled(&[Outcome::Refused(Vec::new())], Micros(3));
        assert_eq!(metrics.last_failure(), known(2, true), "nothing was tried");
        metrics.settled(&failed(Kind::Unavailable), Micros(3));
        assert_eq!(metrics.last_failure(), known(3, false));
        metrics.settled(&[Outcome::New(receipt())], Micros(4));
        assert_eq!(metrics.last_failure(), None);
    }

    #[test]
    fn news_that_are_given_back_are_as_old_as_they_were() {
        let metrics = Metrics::default();
        metrics.news(Micros(1));
        let taken = metrics.take_news();
        metrics.news(Micros(9));
        metrics.news(taken.unwrap());
        assert_eq!(metrics.news_since(), Some(Micros(1)));
    }
}
