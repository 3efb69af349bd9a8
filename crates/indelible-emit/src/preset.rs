//! Options that other systems' services run with, by the service's name.
//!
//! For whoever comes from one of them; ours are the defaults. Source: `docs/emitter.md`, "Presets".

use std::num::NonZeroU32;
use std::time::Duration;

use crate::options::{Growth, Options, Retry};

/// How much waits, how much is sent at once, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    queue: usize,
    batch: usize,
    interval_ms: u64,
    attempts: Option<NonZeroU32>,
}

/// There is no preset of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset `{0}`; there are {known}", known = names())]
pub struct UnknownPreset(pub String);

const fn of_services(name: &'static str, queue: usize) -> Preset {
    Preset {
        name,
        queue,
        batch: 1_000,
        interval_ms: 1_000,
        attempts: NonZeroU32::new(3),
    }
}

const fn of_batches(name: &'static str, queue: usize, batch: usize, interval_ms: u64) -> Preset {
    Preset {
        name,
        queue,
        batch,
        interval_ms,
        attempts: None,
    }
}

const PRESETS: &[Preset] = &[
    of_services("ai-analysis", 20_000),
    of_services("aianalysis", 20_000),
    of_batches("aluskort", 30_000, 100, 1_000),
    of_batches("builtenvironment", 30_000, 100, 5_000),
    of_services("datastorage", 50_000),
    of_services("effectivenessmonitor", 20_000),
    of_services("gateway", 30_000),
    Preset {
        batch: 50,
        interval_ms: 500,
        ..of_services("kubernaut-agent", 20_000)
    },
    of_services("notification", 20_000),
    of_services("notification-controller", 20_000),
    of_services("remediation-orchestrator", 30_000),
    of_batches("rtv", 30_000, 100, 5_000),
    of_services("signalprocessing", 30_000),
    of_services("unknown", 30_000),
    of_services("workflowexecution", 50_000),
];

impl Preset {
    /// The preset of a service.
    ///
    /// # Errors
    /// [`UnknownPreset`] names those there are.
    pub fn named(name: &str) -> Result<Self, UnknownPreset> {
        let found = PRESETS.iter().find(|preset| preset.name == name);
        found.copied().ok_or_else(|| UnknownPreset(name.to_owned()))
    }

    /// Every preset, by name.
    pub fn all() -> &'static [Self] {
        PRESETS
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sets what it says, and nothing else.
    pub fn apply(&self, options: &mut Options) {
        options.room.best_effort.items_max = self.queue;
        options.room.spooled.items_max = self.queue;
        options.batching.items_max = self.batch;
        options.batching.interval = Duration::from_millis(self.interval_ms);
        if self.attempts.is_some() {
            options.retry = Retry {
                attempts_max: self.attempts,
                growth: Growth::Squares,
                delay_first: Duration::from_secs(1),
                ..options.retry
            };
        }
    }
}

fn names() -> String {
    let names: Vec<_> = PRESETS.iter().map(Preset::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_preset_can_be_kept_and_is_found_by_its_name() {
        assert!(PRESETS.is_sorted_by_key(Preset::name));
        for preset in Preset::all() {
            let mut options = Options::default();
            Preset::named(preset.name()).unwrap().apply(&mut options);
            options.check().unwrap();
        }
    }

    #[test]
    fn three_attempts_come_after_one_and_four_seconds() {
        let mut options = Options::default();
        Preset::named("gateway").unwrap().apply(&mut options);
        assert_eq!(options.room.best_effort.items_max, 30_000);
        assert_eq!(options.retry.attempts_max, NonZeroU32::new(3));
        let mut delays = options.retry.delays(0);
        assert_eq!([1, 4, 9], [(); 3].map(|()| delays.next(None).as_secs()));
    }

    #[test]
    fn a_name_that_is_none_is_told_with_those_there_are() {
        let error = Preset::named("gatway").unwrap_err().to_string();
        assert!(
            error.contains("`gatway`") && error.contains("gateway, "),
            "{error}"
        );
    }
}
