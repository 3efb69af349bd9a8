//! What an emitter can be told.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use indelible_buffer::{Batching, BoundError, Bounds, Lane, SpoolBounds};
use indelible_disk::Disk;
use indelible_event::limits::EVENT_RAW_BYTES_MAX;

use crate::class::{Class, Policy};
use crate::name::{STREAM_NAME_BYTES_MAX, is_stream_name};

/// The most events that are made before they are on disk together: a burst is on disk in pieces,
/// so that its first events do not wait for all of it, and a sync is shared by enough of them.
const SPOOL_PIECE_EVENTS: usize = 250;
/// The fewest bytes that a spool may have: the longest event there is, and what stands around it.
pub const SPOOL_BYTES_MIN: u64 = 512 << 10;
const _: () = assert!(EVENT_RAW_BYTES_MAX as u64 <= SPOOL_BYTES_MIN / 2);
/// The fewest bytes that a queue may have: a few short events.
const QUEUE_BYTES_MIN: usize = 8 << 10;
/// The fewest bytes that dead letters may have, unless none are to be kept: those of one file.
const DEAD_LETTERS_BYTES_MIN: u64 = 8 << 10;
/// The longest that a batch may wait to be full.
const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// The longest name of a service, in bytes.
const SERVICE_NAME_BYTES_MAX: usize = 256;

/// Bounds and delays of an emitter.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The emitting system's name, for `source.service` of events that say none.
    pub service: Option<String>,
    /// The name of the stream, which no other emitter may have at the same time: letters, digits
    /// and `.`, `_`, `-`, `:`, `/`, since it stands in every record, in clear. If nothing is said
    /// it is that of the service and of the spool's slot, or a random one.
    pub stream: Option<String>,
    /// Which events are of which class.
    pub policy: Policy,
    /// How much of each class may wait in memory.
    pub room: Room,
    /// When a batch is sent: 1,000 events, 4 MiB, or after a second.
    pub batching: Batching,
    /// How often and how soon a delivery is tried again.
    pub retry: Retry,
    /// The queue on disk, if there is to be one.
    pub spool: Option<SpoolOptions>,
    /// Where events are kept that are delivered no more: beside the spool, if nothing is said, and
    /// nowhere without one.
    pub dead_letters: DeadLetterOptions,
    /// How long an event that its caller must not go on without may take.
    pub fail_closed_within: Within,
    /// How long dropping the emitter may take to deliver what waits: 2 s by default.
    pub drop_deadline: DropDeadline,
    /// Whether the worker writes a line of telemetry for every event; it does not by default.
    #[cfg(feature = "tracing")]
    pub log_events: bool,
}

/// How much of each class may wait in memory: room of its own, which no other class can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of those that must not be gone on without: 1,000 events and 8 MiB.
    pub fail_closed: Bounds,
    /// Of those whose receipt is awaited: 1,000 events and 8 MiB.
    pub confirmed: Bounds,
    /// Of those on their way to disk: 30,000 events and 32 MiB.
    pub spooled: Bounds,
    /// Of the others: 30,000 events and 32 MiB.
    pub best_effort: Bounds,
}

/// A spool's place and bounds.
#[derive(Clone)]
pub struct SpoolOptions {
    /// The directory, as the disk below it.
    pub disk: Arc<dyn Disk>,
    /// How much it may hold.
    pub bounds: SpoolBounds,
}

/// The place and the bound of dead letters.
#[derive(Clone)]
pub struct DeadLetterOptions {
    /// The directory above `dead-letters`, as the disk below it; the spool's if nothing is said.
    pub disk: Option<Arc<dyn Disk>>,
    /// How many bytes all of them may have: 64 MiB if nothing is said. What comes beyond it is
    /// counted and not kept.
    pub bytes_max: u64,
}

/// How long dropping an emitter may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropDeadline(pub Duration);

/// How long an event that its caller must not go on without may take: 5 s by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within(pub Duration);

/// When a delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often a batch is tried in all; `None` for as long as the emitter lives. What is in the
    /// spool is always tried again.
    pub attempts_max: Option<NonZeroU32>,
    /// How the delays grow.
    pub growth: Growth,
    /// The first delay.
    pub delay_first: Duration,
    /// The longest delay, also when the other side asks for more.
    pub delay_max: Duration,
    /// After so many attempts in a row that failed as a whole the way to the ledger counts as
    /// closed: events that must not be gone on without then fail at once, but for one probe a
    /// delay.
    pub failures_to_open: u32,
}

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// From the first to the longest by two, each shortened by up to half at random, so that many
    /// emitters do not come back at once.
    Doubling,
    /// The first times the square of the attempt: 1 s, 4 s, 9 s.
    Squares,
}

/// Why an emitter cannot be started with these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A bound cannot be kept.
    #[error("{0}: {1}")]
    Bound(&'static str, BoundError),
    /// Hardly an event would fit, and every other would be dropped.
    #[error("{0}: the bytes of the queue are {1}, and must be at least {QUEUE_BYTES_MIN}")]
    QueueBytes(&'static str, usize),
    /// A batch would hold nothing.
    #[error("the {0} of a batch must be more than 0")]
    NoBatch(&'static str),
    /// An event that failed would be tried without end and without a pause.
    #[error("the first delay of a retry must be more than 0")]
    NoDelay,
    /// The longest delay is not one.
    #[error("the longest delay of a retry must not be shorter than the first")]
    DelayMax,
    /// The name cannot stand in an event.
    #[error("the name of the service must have 1 to {SERVICE_NAME_BYTES_MAX} bytes")]
    ServiceName,
    /// No event is of such a type, category or severity.
    #[error("the policy's pattern `{0}` fits nothing: say {1}")]
    Pattern(String, String),
    /// Nothing would ever be sent.
    #[error("the interval of batches must be more than 0")]
    NoInterval,
    /// Nobody would wait so long for what is not sent.
    #[error("the interval of batches must be at most {} s", INTERVAL_MAX.as_secs())]
    LongInterval,
    /// Not even one letter would fit.
    #[error(
        "dead letters may have {0} bytes, and must have none or at least {DEAD_LETTERS_BYTES_MIN}"
    )]
    DeadLetterBytes(u64),
    /// It was said how much there may be of what is kept nowhere.
    #[error(
        "dead letters may have {0} bytes, and no directory is named for them, nor for the spool \
         beside which they would be kept"
    )]
    NoDeadLetters(u64),
    /// A class needs a spool, and there is none.
    #[error("a class is `spooled`, and no directory is named for the spool")]
    NoSpool,
    /// Not even one event would fit.
    #[error("the spool may hold {0} bytes, and must have at least {SPOOL_BYTES_MIN}")]
    SpoolBytes(u64),
    /// The name cannot stand in a claim.
    #[error(
        "the name of the stream must have 1 to {STREAM_NAME_BYTES_MAX} letters, digits and \
         `.`, `_`, `-`, `:`, `/`, and must not look like a secret: it stands in every record"
    )]
    StreamName,
}

impl std::fmt::Debug for SpoolOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolOptions")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DeadLetterOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetterOptions")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self {
            disk: None,
            bytes_max: 64 << 20,
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        let few = Bounds {
            items_max: 1_000,
            bytes_max: 8 << 20,
        };
        let many = Bounds {
            items_max: 30_000,
            bytes_max: 32 << 20,
        };
        Self {
            fail_closed: few,
            confirmed: few,
            spooled: many,
            best_effort: many,
        }
    }
}

impl Default for DropDeadline {
    fn default() -> Self {
        Self(Duration::from_secs(2))
    }
}

impl Default for Within {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: None,
            growth: Growth::Doubling,
            delay_first: Duration::from_millis(250),
            delay_max: Duration::from_secs(30),
            failures_to_open: 5,
        }
    }
}

impl Options {
    /// Checks that the options can be kept.
    ///
    /// # Errors
    /// Names the first that cannot.
    pub fn check(&self) -> Result<(), OptionsError> {
        let batch = [
            (self.batching.items_max, "items"),
            (self.batching.bytes_max, "bytes"),
        ];
        if let Some((_, what)) = batch.into_iter().find(|(value, _)| *value == 0) {
            return Err(OptionsError::NoBatch(what));
        }
        for class in Class::ALL {
            let named = |error| OptionsError::Bound(class.as_str(), error);
            let lane = self.lane(class);
            lane.check().map_err(named)?;
            let bytes = lane.bounds.bytes_max;
            if bytes < QUEUE_BYTES_MIN {
                return Err(OptionsError::QueueBytes(class.as_str(), bytes));
            }
        }
        if self.batching.interval.is_zero() {
            return Err(OptionsError::NoInterval);
        }
        if self.batching.interval > INTERVAL_MAX {
            return Err(OptionsError::LongInterval);
        }
        if self.retry.delay_first.is_zero() {
            return Err(OptionsError::NoDelay);
        }
        if self.retry.delay_max < self.retry.delay_first {
            return Err(OptionsError::DelayMax);
        }
        let length = self.service.as_ref().map_or(1, String::len);
        if length == 0 || length > SERVICE_NAME_BYTES_MAX {
            return Err(OptionsError::ServiceName);
        }
        if let Some((pattern, instead)) = self.policy.fits_nothing() {
            return Err(OptionsError::Pattern(pattern, instead));
        }
        if self
            .stream
            .as_ref()
            .is_some_and(|name| !is_stream_name(name))
        {
            return Err(OptionsError::StreamName);
        }
        let bounds = self.spool.as_ref().map(|spool| spool.bounds);
        if let Some(bounds) = bounds.filter(|it| it.bytes_max < SPOOL_BYTES_MIN) {
            return Err(OptionsError::SpoolBytes(bounds.bytes_max));
        }
        if (1..DEAD_LETTERS_BYTES_MIN).contains(&self.dead_letters.bytes_max) {
            return Err(OptionsError::DeadLetterBytes(self.dead_letters.bytes_max));
        }
        // The last: whoever reads one word after the other may not have come to the directories.
        let (bytes, usual) = (
            self.dead_letters.bytes_max,
            DeadLetterOptions::default().bytes_max,
        );
        if self.dead_letters_disk().is_none() && bytes != usual && bytes > 0 {
            return Err(OptionsError::NoDeadLetters(bytes));
        }
        let spooled = |class| class == Class::Spooled;
        if self.spool.is_none() && self.policy.classes().any(spooled) {
            return Err(OptionsError::NoSpool);
        }
        Ok(())
    }

    /// The disk with the dead letters, if there are to be any.
    pub(crate) fn dead_letters_disk(&self) -> Option<&Arc<dyn Disk>> {
        let spool = self.spool.as_ref().map(|spool| &spool.disk);
        self.dead_letters.disk.as_ref().or(spool)
    }

    /// The lane of a class. Only best effort waits for a batch to fill; of the others no batch is
    /// larger than their room.
    pub(crate) fn lane(&self, class: Class) -> Lane {
        let bounds = match class {
            Class::FailClosed => self.room.fail_closed,
            Class::Confirmed => self.room.confirmed,
            Class::Spooled => self.room.spooled,
            Class::BestEffort => self.room.best_effort,
        };
        let batch_max = match class {
            Class::Spooled => SPOOL_PIECE_EVENTS.min(self.batching.items_max),
            _ => self.batching.items_max,
        };
        let batching = match class {
            Class::BestEffort => self.batching,
            _ => Batching {
                items_max: batch_max.min(bounds.items_max),
                bytes_max: self.batching.bytes_max.min(bounds.bytes_max),
                interval: Duration::ZERO,
            },
        };
        Lane { bounds, batching }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Policy;

    fn said(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        options
            .check()
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let zero = Duration::ZERO;
        assert_eq!(said(|_| ()), "");
        assert!(said(|it| it.batching.bytes_max = 0).starts_with("the bytes of a batch"));
        assert!(said(|it| it.batching.items_max = 0).starts_with("the items of a batch"));
        let long = Duration::from_millis(3_600_001);
        assert!(said(|it| it.batching.interval = long).ends_with("at most 3600 s"));
        assert!(said(|it| it.dead_letters.bytes_max = 1).starts_with("dead letters may have 1"));
        assert!(said(|it| it.retry.delay_first = zero).starts_with("the first delay"));
        assert!(said(|it| it.retry.delay_max = Duration::from_millis(1)).contains("longest delay"));
        assert!(said(|it| it.service = Some(String::new())).starts_with("the name of the service"));
        assert!(said(|it| it.service = Some("x".repeat(257))).contains("service"));
        for name in [
            "",
            "ops@example.com",
            "a b",
            "\"",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWl0",
        ] {
            assert!(
                said(|it| it.stream = Some(name.to_owned())).contains("stream"),
                "{name}"
            );
        }
        let little = said(|it| (it.room.best_effort.bytes_max, it.batching.bytes_max) = (1, 1));
        assert_eq!(
            little,
            "best_effort: the bytes of the queue are 1, and must be at least 8192"
        );
        assert!(said(|it| it.dead_letters.bytes_max = 8_192).contains("no directory is named"));
        assert_eq!(said(|it| it.dead_letters.bytes_max = 0), "");
    }

    #[test]
    fn a_spool_that_no_event_fits_in_is_refused_with_the_least_there_may_be() {
        let with = |bytes_max| {
            said(|it| {
                let disk = Arc::new(indelible_disk::FaultyDisk::new(1));
                let bounds = SpoolBounds {
                    bytes_max,
                    ..SpoolBounds::default()
                };
                it.spool = Some(SpoolOptions { disk, bounds });
            })
        };
        assert!(with(SPOOL_BYTES_MIN - 1).ends_with("must have at least 524288"));
        assert_eq!(with(SPOOL_BYTES_MIN), "");
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_named() {
        let with = |policy: Policy| said(|it| it.policy = policy);
        let class = Class::FailClosed;
        for pattern in [
            "",
            "auth.",
            "*.x",
            "auth.*.*",
            ".x",
            "a b",
            "a b*",
            "login",
            "auth..x",
            "auth..*",
            "API.*",
            "Auth.*",
            "stream.lost",
            "access.read",
            &format!("auth.{}", "x".repeat(252)),
            &format!("auth.{}*", "x".repeat(252)),
        ] {
            let told = with(Policy::new().event_type(pattern, class));
            assert!(
                told.contains(&format!("`{pattern}` fits nothing")),
                "{told}"
            );
        }
        for severity in ["grave", "*", "crit*", ""] {
            let told = with(Policy::new().severity(severity, class));
            let named = told.contains(&format!("`{severity}` fits nothing: say debug, info,"));
            assert!(named, "{told}");
        }
        assert!(with(Policy::new().category("", class)).contains("`` fits nothing"));
        let policy = Policy::new()
            .event_type("auth.*", class)
            .event_type("auth.login", class)
            .event_type("api.get./users", class)
            .event_type("api.get./users/*", class)
            .event_type("s3.Get*", class)
            .event_type("au*", class)
            .event_type("*", class);
        let policy = policy
            .severity("critical", class)
            .category("billing", class);
        assert_eq!(with(policy), "");
    }
}
