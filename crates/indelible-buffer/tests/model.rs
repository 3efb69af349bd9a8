//! The buffer against the simplest thing that could be right: a `VecDeque` and a few counters.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use indelible_buffer::{Batches, Batching, Bounds, Buffer, Clock, Flush, Lane, Reason, Usage};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(usize, usize),
    Flush,
    Close,
    Next([bool; LANES]),
    Take(usize),
}

const LANES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..LANES, 0_usize..40).prop_map(|(lane, bytes)| Step::Push(lane, bytes)),
        2 => Just(Step::Flush),
        4 => prop::array::uniform3(prop::bool::weighted(0.8)).prop_map(Step::Next),
        1 => (0..LANES).prop_map(Step::Take),
        1 => Just(Step::Close),
    ]
}

/// What a buffer must do, said without threads.
struct Model {
    bounds: Bounds,
    batching: Batching,
    waiting: [VecDeque<(u64, usize)>; LANES],
    closed: bool,
    dropped: [u64; 3],
    taken: u64,
    asked: Option<Flush>,
    flush: Option<(Flush, [usize; LANES])>,
}

impl Model {
    fn push(&mut self, lane: usize, item: u64, bytes: usize) -> Option<Reason> {
        let waiting = &mut self.waiting[lane];
        let sum: usize = waiting.iter().map(|(_, bytes)| bytes).sum();
        let reason = if self.closed {
            Some(Reason::Closed)
        } else if waiting.len() == self.bounds.items_max || sum + bytes > self.bounds.bytes_max {
            Some(Reason::Full)
        } else {
            None
        };
        match reason {
            None => waiting.push_back((item, bytes)),
            Some(Reason::Full) => self.dropped[0] += 1,
            Some(Reason::Closed) => self.dropped[1] += 1,
        }
        if reason.is_some() {
            self.dropped[2] += bytes as u64;
        }
        reason
    }

    fn next(&mut self, open: [bool; LANES]) -> Option<(Vec<u64>, Option<Flush>)> {
        if let Some(flush) = self.asked.take() {
            self.flush = Some((flush, self.waiting.each_ref().map(VecDeque::len)));
        }
        if let Some((_, left)) = &mut self.flush {
            // What was taken past the reader is waited for no longer.
            for (left, waiting) in left.iter_mut().zip(&self.waiting) {
                *left = if waiting.is_empty() { 0 } else { *left };
            }
        }
        if self.closed && self.usage().items == 0 && self.flush.is_none() {
            return None;
        }
        let due = (0..LANES).find(|lane| open[*lane] && !self.waiting[*lane].is_empty());
        let items = due.map_or_else(Vec::new, |lane| self.take(lane));
        let mut flushed = None;
        if let Some((flush, left)) = &mut self.flush {
            if let Some(lane) = due {
                left[lane] = left[lane].saturating_sub(items.len());
            }
            let done = |lane: usize| left[lane] == 0 || self.waiting[lane].is_empty();
            if (0..LANES).all(done) {
                flushed = Some(*flush);
                self.flush = None;
            }
        }
        Some((items, flushed))
    }

    fn take(&mut self, lane: usize) -> Vec<u64> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < self.batching.items_max && bytes < self.batching.bytes_max {
            let Some((item, more)) = self.waiting[lane].pop_front() else {
                break;
            };
            items.push(item);
            bytes += more;
        }
        self.taken += items.len() as u64;
        items
    }

    fn usage(&self) -> Usage {
        let waiting = self.waiting.iter().flatten();
        Usage {
            items: waiting.clone().count(),
            bytes: waiting.map(|(_, bytes)| bytes).sum(),
        }
    }
}

proptest! {
    #[test]
    fn a_buffer_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..200),
        items_max in 1_usize..20,
        bytes_max in 1_usize..200,
        batch_items in 1_usize..10,
        batch_bytes in 1_usize..100,
    ) {
        let bounds = Bounds { items_max, bytes_max };
        // Whatever waits is due.
        let interval = Duration::ZERO;
        let batching = Batching { items_max: batch_items, bytes_max: batch_bytes, interval };
        let buffer = Buffer::new(&[Lane { bounds, batching }; LANES], clock());
        let mut batches = Batches::default();
        let mut model = Model {
            bounds, batching, waiting: Default::default(), closed: false, dropped: [0; 3],
            taken: 0, asked: None, flush: None,
        };
        for (n, step) in (0_u64..).zip(steps) {
            match step {
                Step::Push(lane, bytes) => {
                    let rejected = buffer.push(lane, n, bytes).err();
                    let expected = model.push(lane, n, bytes);
                    prop_assert_eq!(rejected.as_ref().map(|r| r.reason), expected);
                    prop_assert!(rejected.is_none_or(|r| r.item == n));
                }
                Step::Flush => model.asked = Some(buffer.flush()),
                Step::Close => {
                    buffer.close();
                    model.closed = true;
                }
                Step::Next(open) => {
                    // Nobody wakes a reader whose lanes are not open: it would sleep its second.
                    buffer.wake();
                    let got = batches.next(&buffer, |lane| open[lane], None);
                    prop_assert_eq!(got.map(|b| (b.items, b.flushed)), model.next(open));
                }
                Step::Take(lane) => {
                    prop_assert_eq!(buffer.take(lane), model.take(lane));
                }
            }
            prop_assert_eq!(buffer.tally(), (model.usage(), model.taken));
            let dropped = buffer.dropped();
            prop_assert_eq!([dropped.full, dropped.closed, dropped.bytes], model.dropped);
            let lanes: Vec<_> = (0..LANES).map(|lane| buffer.lane(lane)).collect();
            let items: usize = lanes.iter().map(|lane| lane.usage.items).sum();
            let [taken, full] = [
                lanes.iter().map(|lane| lane.taken).sum::<u64>(),
                lanes.iter().map(|lane| lane.dropped.full).sum(),
            ];
            let sums = (model.usage().items, model.taken, model.dropped[0]);
            prop_assert_eq!((items, taken, full), sums);
        }
    }
}

#[test]
fn a_full_batch_wakes_the_reader_and_a_partial_one_waits() {
    let interval = Duration::from_hours(1);
    let batching = Batching {
        items_max: 10,
        interval,
        ..Batching::default()
    };
    let buffer = Buffer::new(&[lane(batching)], clock());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut batches = Batches::default();
            let mut sizes = Vec::new();
            while let Some(batch) = batches.next(&buffer, |_| true, None) {
                sizes.push((batch.items.len(), batch.flushed.is_some()));
            }
            sizes.retain(|size| *size != (0, false));
            sizes
        });
        for n in 0..10 {
            buffer.push(0, n, 1).unwrap();
        }
        wait_until(|| buffer.usage().items == 0);
        for n in 0..3 {
            buffer.push(0, n, 1).unwrap();
        }
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(buffer.usage().items, 3);
        buffer.flush();
        wait_until(|| buffer.usage().items == 0);
        buffer.push(0, 0, 1).unwrap();
        buffer.close();
        let sizes = reader.join().unwrap();
        let items: usize = sizes.iter().map(|(items, _)| items).sum();
        assert_eq!(items, 14);
        assert!(sizes.iter().any(|(_, flushed)| *flushed), "{sizes:?}");
    });
}

#[test]
fn a_partial_batch_is_taken_after_the_interval() {
    let interval = Duration::from_millis(20);
    let batching = Batching {
        interval,
        ..Batching::default()
    };
    let buffer = Buffer::new(&[lane(batching)], clock());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut batches = Batches::default();
            while let Some(batch) = batches.next(&buffer, |_| true, None) {
                if !batch.items.is_empty() {
                    return batch.items;
                }
            }
            Vec::new()
        });
        buffer.push(0, "alone", 5).unwrap();
        assert_eq!(reader.join().unwrap(), ["alone"]);
    });
}

#[test]
fn the_first_into_a_lane_without_interval_wakes_the_reader() {
    let never = Duration::from_hours(1);
    let lanes = [Duration::ZERO, never].map(|interval| {
        lane(Batching {
            interval,
            ..Batching::default()
        })
    });
    let buffer = Buffer::new(&lanes, clock());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut batches = Batches::default();
            loop {
                let batch = batches.next(&buffer, |_| true, None).unwrap();
                if !batch.items.is_empty() {
                    return (batch.lane, batch.items);
                }
            }
        });
        buffer.push(1, "waits", 5).unwrap();
        buffer.push(0, "prompt", 5).unwrap();
        assert_eq!(reader.join().unwrap(), (0, vec!["prompt"]));
    });
}

fn clock() -> Clock {
    let began = Instant::now();
    Box::new(move || began.elapsed())
}

fn lane(batching: Batching) -> Lane {
    let bounds = Bounds::default();
    Lane { bounds, batching }
}

fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen within 5 s");
}
