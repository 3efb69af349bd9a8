//! No verdict is better than the truth: programs that emit, lose their ledger, are killed and start
//! again, against a generator that knows what they emitted.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_disk::FaultyDisk;
use indelible_emit::{EmitError, Emitter, Options, Ticket};
use indelible_event::AuditId;
use indelible_proof::stream::{Completeness, StreamTail, StreamVerdict};
use proptest::prelude::*;
use support::book::{Book, Way, lost, publish, with_spool};
use support::{quick, start};

const SOON: Duration = Duration::from_secs(20);

/// What stands between the program and its ledger.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    down: bool,
    mute: bool,
    twice: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Emit(u8),
    Reach(Reach),
    Wait,
    Kill,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u8..60).prop_map(Step::Emit),
        3 => [0.4, 0.2, 0.4]
            .map(prop::bool::weighted)
            .prop_map(|[down, mute, twice]| Step::Reach(Reach { down, mute, twice })),
        2 => Just(Step::Wait),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
    ]
}

/// What the generator knows of one run of the program.
#[derive(Default)]
struct Run {
    emitted: Vec<AuditId>,
    spooled: Vec<AuditId>,
    dropped: u64,
    clean: bool,
}

/// A program that is killed and started again, on one disk.
struct Program {
    book: Book,
    disk: Option<FaultyDisk>,
    emitter: Option<(Emitter, [Arc<AtomicBool>; 3])>,
    runs: BTreeMap<(String, u64), Run>,
    tickets: Vec<Ticket>,
}

impl Program {
    fn options(&self) -> Options {
        let mut options = match &self.disk {
            Some(disk) => with_spool(disk.clone()),
            None => quick(),
        };
        options.stream = Some("web".to_owned());
        options.room.best_effort.items_max = 100;
        options.room.spooled.items_max = 100;
        options.batching.items_max = 20;
        options.batching.interval = Duration::from_millis(1);
        options.retry.attempts_max = None;
        options.retry.delay_max = Duration::from_millis(2);
        options
    }

    fn emitter(&mut self) -> &Emitter {
        let options = self.options();
        let book = &self.book;
        let (emitter, ..) = self.emitter.get_or_insert_with(|| {
            let way = Way::to(book);
            let flags = [&way.down, &way.mute, &way.twice].map(Arc::clone);
            // Two starts within a millisecond would have one epoch.
            std::thread::sleep(Duration::from_millis(2));
            (start(way, options), flags)
        });
        emitter
    }

    /// What stands between, as in [`Reach`]; none while no program runs.
    fn flags(&self) -> impl Iterator<Item = &AtomicBool> {
        let flags = self.emitter.iter().flat_map(|(_, flags)| flags);
        flags.map(|flag| &**flag)
    }

    fn run(&mut self) -> &mut Run {
        let (name, epoch) = self.emitter().stream();
        let key = (name.to_owned(), epoch);
        self.runs.entry(key).or_default()
    }

    fn emit(&mut self, count: u8) {
        for _ in 0..count {
            let ticket = publish(self.emitter(), "acme");
            let id = ticket.audit_id();
            self.run().emitted.push(id);
            self.tickets.push(ticket);
        }
    }

    /// Notes what the program has been told.
    fn note(&mut self) {
        let tickets = std::mem::take(&mut self.tickets);
        for ticket in tickets {
            let settled = ticket.settled();
            let id = ticket.audit_id();
            match settled {
                Some(Ok(_)) => assert!(self.book.has(id), "a receipt for nothing"),
                Some(Err(EmitError::Dropped)) => self.run().dropped += 1,
                None if ticket.spooled_blocking(Duration::ZERO).is_ok() => {
                    self.run().spooled.push(id);
                }
                _ => {}
            }
        }
    }

    fn kill(&mut self) {
        if self.emitter.is_none() {
            return;
        }
        self.note();
        if let Some((emitter, [down, ..])) = self.emitter.take() {
            down.store(true, Ordering::SeqCst);
            if let Some(disk) = &self.disk {
                disk.crash();
            }
            emitter.close(Duration::ZERO);
            drop(emitter);
        }
        if let Some(disk) = &self.disk {
            disk.reboot();
        }
    }

    fn close(&mut self, all: bool) {
        if self.emitter.is_none() && !all {
            return;
        }
        self.emitter();
        if let Some((_, [down, mute, _])) = &self.emitter {
            down.store(false, Ordering::SeqCst);
            mute.store(false, Ordering::SeqCst);
        }
        let report = self.emitter().close(SOON);
        assert_eq!((report.pending, report.spooled), (0, 0), "{report}");
        self.note();
        self.run().clean = true;
        self.emitter = None;
    }

    /// No verdict is better than the truth, and with a clean end it is the truth.
    fn check(&self) {
        let committed: HashSet<_> = self.book.ids("acme").into_iter().collect();
        let verdicts = self.book.verdicts("acme");
        for ((name, epoch), run) in &self.runs {
            let is_in = |id: &&AuditId| committed.contains(&(**id, name.clone(), *epoch));
            let there = run.emitted.iter().filter(is_in).count();
            let verdict = verdicts
                .iter()
                .find(|v| v.stream.as_ref() == Some(name) && v.epoch == *epoch);
            for id in &run.spooled {
                assert!(self.book.has(*id), "a spooled event is lost");
            }
            let Some(verdict) = verdict else {
                assert!(there == 0 && !run.clean || run.emitted.is_empty());
                continue;
            };
            let missing = run.emitted.len() - there;
            match verdict.completeness() {
                Completeness::Complete => assert_eq!(missing, 0, "{verdict}"),
                Completeness::DeclaredLoss if verdict.tail == StreamTail::CleanEnd => {
                    assert_eq!(lost(verdict), missing as u64, "{verdict}");
                }
                _ => {}
            }
            if run.clean {
                assert_eq!(verdict.tail, StreamTail::CleanEnd, "{verdict}");
                assert!(verdict.gaps.is_empty(), "{verdict}");
                assert_eq!(
                    (lost(verdict), run.dropped),
                    (missing as u64, missing as u64)
                );
            }
        }
        self.check_deletion(&verdicts);
    }

    /// A record that somebody takes out is a gap of its stream, and no declared loss.
    fn check_deletion(&self, before: &[StreamVerdict]) {
        let ids = self.book.ids("acme");
        let gaps = |verdicts: &[StreamVerdict]| -> u64 {
            verdicts
                .iter()
                .flat_map(|v| &v.gaps)
                .map(|gap| gap.count())
                .sum()
        };
        for (id, ..) in ids.iter().step_by(1 + ids.len() / 8) {
            let after = self.book.verdicts_without("acme", Some(*id));
            let same_loss = before.iter().map(lost).sum::<u64>();
            assert_eq!(after.iter().map(lost).sum::<u64>(), same_loss);
            // The last number of a stream without an end leaves no gap: its tail is unknown.
            let clean = after.iter().all(|v| v.tail == StreamTail::CleanEnd);
            assert!(!clean || gaps(&after) == gaps(before) + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn no_verdict_is_better_than_the_truth(
        steps in prop::collection::vec(step(), 1..40),
        spool in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut program = Program {
            book: Book::default(),
            disk: spool.then(|| FaultyDisk::new(seed)),
            emitter: None,
            runs: BTreeMap::new(),
            tickets: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Emit(count) => program.emit(count),
                Step::Reach(Reach { down, mute, twice }) => {
                    for (flag, to) in program.flags().zip([down, mute, twice]) {
                        flag.store(to, Ordering::SeqCst);
                    }
                }
                Step::Wait => std::thread::sleep(Duration::from_millis(3)),
                Step::Kill => program.kill(),
                Step::Close => program.close(false),
            }
        }
        program.kill();
        // Whoever comes next delivers what is on disk.
        program.close(true);
        program.check();
    }
}
