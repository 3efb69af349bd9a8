//! `serve --demo`: a made-up company's day, so that there is something to see at once.
//!
//! Seeded, so that every run plays the same; at a gentle rate; through the way that all events
//! take. Each tenant's events come from a program that numbers them, so that there is something to
//! see of completeness too: streams that are open, one that lost events and says so, one that
//! ended. All names, addresses and numbers in it are made up, the IP addresses from RFC 5737.

mod events;
mod producers;
mod runs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indelible_event::Mode;
use indelible_event::catalogue::NATIVE;
use indelible_event::ids::Micros;
use indelible_log::{Admission, Outcome, SealingPolicy, Submission};
use indelible_server::{Feed, Stop};

use crate::config::Config;
use crate::exit::{OrCould, Result};
use crate::process::environment;
use events::Player;
use producers::{Producers, Sent};

/// Events that are there at once, spread over the days before.
const PAST_EVENTS: usize = 3_000;
const PAST_DAYS: i64 = 3;
const BATCH_EVENTS: usize = 250;
/// The pause between two events, at most.
const PAUSE_MS_MAX: u64 = 500;
const SEED: u64 = 20_260_115;
/// Whose program has ended when the live events begin; it starts again with its next one.
const ENDED: &str = "tidepool";

/// A directory for one run.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it among the system's temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make() -> Result<Self> {
        let name = environment().random_bytes::<8>();
        let name = format!("indelible-demo-{}", crate::hex::hex(&name));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).or_could("make a temporary directory")?;
        Ok(Self(path))
    }

    /// The data directory in it, as `--data` takes it.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The configuration with data and keys in it.
    pub fn config(&self, config: &Config) -> Config {
        Config {
            data: self.data(),
            keys: Some(self.0.join("keys")),
            ..config.clone()
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the temporary directory could not be removed");
        }
    }
}

/// Plays until the server stops, on a thread of its own.
///
/// # Errors
/// When no thread can be started.
pub fn play(feed: Feed, stop: Stop, sealing: Arc<SealingPolicy>) -> Result {
    let admission = Arc::new(Admission {
        mode: Mode::Strict,
        catalogue: &NATIVE,
        dialect: None,
        submitted_by: None,
        via: Some("demo".to_owned()),
        sealing,
    });
    std::thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || run(&feed, &stop, &admission))
        .map(drop)
        .or_could("start the demo")
}

fn run(feed: &Feed, stop: &Stop, admission: &Arc<Admission>) {
    let clock = environment().clock;
    let (mut player, mut producers) = (Player::new(SEED), Producers::default());
    let started = clock.now();
    let start = started.0 - PAST_DAYS * 24 * 3_600 * 1_000_000;
    let step = (started.0 - start) / i64::try_from(PAST_EVENTS).unwrap_or(i64::MAX);
    let mut at = start;
    for number in 1..=PAST_EVENTS {
        if stop.is_stopped() {
            break;
        }
        if let Some((tenant, event)) = player.next(at) {
            producers.emit(tenant, event, started);
        }
        if number % BATCH_EVENTS == 0 || number == PAST_EVENTS {
            submit(feed, admission, producers.deliver(Micros(at), &mut player));
        }
        at += step;
    }
    submit(
        feed,
        admission,
        producers.end(Some(ENDED), clock.now(), &mut player),
    );
    loop {
        let pause = Duration::from_millis(player.below(PAUSE_MS_MAX));
        if stop.wait(pause) {
            break;
        }
        let now = clock.now();
        if let Some((tenant, event)) = player.next(now.0) {
            producers.emit(tenant, event, now);
        }
        submit(feed, admission, producers.deliver(now, &mut player));
    }
    // Where the ledger is closed already they stay open, which is what is known of them then.
    submit(
        feed,
        admission,
        producers.end(None, clock.now(), &mut player),
    );
}

fn submit(feed: &Feed, admission: &Arc<Admission>, sent: Vec<Sent>) {
    let batch = sent.into_iter().map(|sent| Submission {
        tenant: sent.tenant,
        event: sent.event.into_bytes(),
        admission: Arc::clone(admission),
        stream: sent.stream,
    });
    for outcome in feed.submit(batch.collect()) {
        if let Outcome::Refused(problems) = outcome {
            tracing::warn!(
                problems = problems.len(),
                "an event of the demo was refused"
            );
        }
    }
}
