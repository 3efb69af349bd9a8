//! What a preset says is what runs: how much waits, how much goes at once, when it is tried again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use indelible_emit::{Emitter, Options, Outgoing, Preset, Verdict};
use support::book::publish;
use support::{SOON, With, start, until};

/// The presets of the sources: the name, the room for events, and the most of a batch.
const PRESETS: [(&str, usize, usize); 15] = [
    ("ai-analysis", 20_000, 1_000),
    ("aianalysis", 20_000, 1_000),
    ("aluskort", 30_000, 100),
    ("builtenvironment", 30_000, 100),
    ("datastorage", 50_000, 1_000),
    ("effectivenessmonitor", 20_000, 1_000),
    ("gateway", 30_000, 1_000),
    ("kubernaut-agent", 20_000, 50),
    ("notification", 20_000, 1_000),
    ("notification-controller", 20_000, 1_000),
    ("remediation-orchestrator", 30_000, 1_000),
    ("rtv", 30_000, 100),
    ("signalprocessing", 30_000, 1_000),
    ("unknown", 30_000, 1_000),
    ("workflowexecution", 50_000, 1_000),
];

/// An emitter with a preset whose ledger is down, and the attempts: when, and how many events.
fn down(name: &str) -> (Emitter, Receiver<(Instant, usize)>) {
    let mut options = Options::default();
    Preset::named(name).unwrap().apply(&mut options);
    options.drop_deadline.0 = Duration::ZERO;
    // Nothing here is about bytes.
    options.room.best_effort.bytes_max = 1 << 30;
    options.batching.bytes_max = 1 << 29;
    let (attempted, attempts) = channel();
    let transport = With(move |batch: &[Outgoing]| {
        let _ = attempted.send((Instant::now(), batch.len()));
        let again = Verdict::Again {
            after: None,
            reached: false,
            reason: "out of reach".into(),
        };
        vec![again; batch.len()]
    });
    (start(transport, options), attempts)
}

#[test]
fn the_room_and_the_batches_of_every_preset_are_what_it_says() {
    assert_eq!(PRESETS.map(|it| it.0).as_slice(), names());
    for (name, room, batch) in PRESETS {
        let (emitter, attempts) = down(name);
        // Batches of it are in line and under way besides.
        let many = room + 4 * batch;
        for _ in 0..many + 100 {
            drop(publish(&emitter, "acme"));
        }
        let (_, sent) = attempts.recv_timeout(SOON).unwrap();
        assert_eq!(sent, batch, "{name}");
        until(|| emitter.metrics().under_way >= 3 * batch as u64);
        for _ in 0..many {
            drop(publish(&emitter, "acme"));
        }
        assert_eq!(emitter.metrics().queued, room as u64, "{name}");
        assert!(emitter.metrics().dropped > 0, "{name}");
    }
}

fn names() -> Vec<&'static str> {
    Preset::all().iter().map(Preset::name).collect()
}

/// Those of one source try three times, after a second and four, and give up; the others go on.
#[test]
fn the_attempts_of_every_preset_come_when_it_says() {
    let goes_on = ["aluskort", "builtenvironment", "rtv"];
    std::thread::scope(|scope| {
        for (name, ..) in PRESETS {
            scope.spawn(move || {
                let (emitter, attempts) = down(name);
                drop(publish(&emitter, "acme"));
                emitter.flush(Duration::ZERO);
                let at = || attempts.recv_timeout(SOON).unwrap().0;
                let delays = |first: Instant, next: Instant| next - first;
                if goes_on.contains(&name) {
                    let tries: Vec<_> = (0..5).map(|_| at()).collect();
                    assert!(
                        delays(tries[0], tries[4]) < Duration::from_secs(10),
                        "{name}"
                    );
                    assert_eq!(emitter.metrics().batches_failed, 0, "{name}");
                    return;
                }
                let [first, second, third] = [(); 3].map(|()| at());
                for (from, to, seconds) in [(first, second, 1), (second, third, 4)] {
                    let took = delays(from, to).as_secs_f64();
                    // Never sooner; later where the machine is busy.
                    let more = took - f64::from(seconds);
                    assert!((-0.05..2.5).contains(&more), "{name}: {took}");
                }
                until(|| emitter.metrics().failed == 1);
                assert_eq!(emitter.metrics().batches_failed, 1, "{name}");
            });
        }
    });
}
