//! The buffer against the simplest thing that could be right: a `VecDeque` and a few counters.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::time::Duration;

use indelible_buffer::{Batches, Batching, Bounds, Buffer, Flush, Reason, Usage};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Flush,
    Close,
    Next,
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..40).prop_map(Step::Push),
        2 => Just(Step::Flush),
        4 => Just(Step::Next),
        1 => Just(Step::Take),
        1 => Just(Step::Close),
    ]
}

/// What a buffer must do, said without threads.
struct Model {
    bounds: Bounds,
    batching: Batching,
    waiting: VecDeque<(u64, usize)>,
    closed: bool,
    dropped: [u64; 3],
    taken: u64,
    asked: Option<Flush>,
    flush: Option<(Flush, usize)>,
}

impl Model {
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|(_, bytes)| bytes).sum()
    }

    fn push(&mut self, item: u64, bytes: usize) -> Option<Reason> {
        let reason = if self.closed {
            Some(Reason::Closed)
        } else if self.waiting.len() == self.bounds.items_max
            || self.bytes() + bytes > self.bounds.bytes_max
        {
            Some(Reason::Full)
        } else {
            None
        };
        match reason {
            None => self.waiting.push_back((item, bytes)),
            Some(Reason::Full) => self.dropped[0] += 1,
            Some(Reason::Closed) => self.dropped[1] += 1,
        }
        if reason.is_some() {
            self.dropped[2] += bytes as u64;
        }
        reason
    }

    fn next(&mut self) -> Option<(Vec<u64>, Option<Flush>)> {
        if let Some(flush) = self.asked.take() {
            self.flush = Some((flush, self.waiting.len().max(1)));
        }
        if self.closed && self.waiting.is_empty() {
            return None;
        }
        let items = self.take();
        let mut flushed = None;
        if let Some((flush, left)) = &mut self.flush {
            *left = left.saturating_sub(items.len());
            if *left == 0 || self.waiting.is_empty() {
                flushed = Some(*flush);
                self.flush = None;
            }
        }
        Some((items, flushed))
    }

    fn take(&mut self) -> Vec<u64> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < self.batching.items_max && bytes < self.batching.bytes_max {
            let Some((item, more)) = self.waiting.pop_front() else {
                break;
            };
            items.push(item);
            bytes += more;
        }
        self.taken += items.len() as u64;
        items
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
        // The shortest sleep: an idle reader asks at once what there is.
        let interval = Duration::from_nanos(1);
        let batching = Batching { items_max: batch_items, bytes_max: batch_bytes, interval };
        let buffer = Buffer::new(bounds, batching);
        let mut batches = Batches::default();
        let mut model = Model {
            bounds, batching, waiting: VecDeque::new(), closed: false, dropped: [0; 3],
            taken: 0, asked: None, flush: None,
        };
        for (n, step) in (0_u64..).zip(steps) {
            match step {
                Step::Push(bytes) => {
                    let rejected = buffer.push(n, bytes).err();
                    prop_assert_eq!(rejected.as_ref().map(|r| r.reason), model.push(n, bytes));
                    prop_assert!(rejected.is_none_or(|r| r.item == n));
                }
                Step::Flush => model.asked = Some(buffer.flush()),
                Step::Close => {
                    buffer.close();
                    model.closed = true;
                }
                Step::Next => {
                    let got = batches.next(&buffer).map(|batch| (batch.items, batch.flushed));
                    prop_assert_eq!(got, model.next());
                }
                Step::Take => {
                    prop_assert_eq!(buffer.take(), model.take());
                }
            }
            let usage = Usage { items: model.waiting.len(), bytes: model.bytes() };
            prop_assert_eq!(buffer.tally(), (usage, model.taken));
            let dropped = buffer.dropped();
            prop_assert_eq!([dropped.full, dropped.closed, dropped.bytes], model.dropped);
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
    let buffer = Buffer::new(Bounds::default(), batching);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut batches = Batches::default();
            let mut sizes = Vec::new();
            while let Some(batch) = batches.next(&buffer) {
                sizes.push((batch.items.len(), batch.flushed.is_some()));
            }
            sizes.retain(|size| *size != (0, false));
            sizes
        });
        for n in 0..10 {
            buffer.push(n, 1).unwrap();
        }
        wait_until(|| buffer.usage().items == 0);
        for n in 0..3 {
            buffer.push(n, 1).unwrap();
        }
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(buffer.usage().items, 3);
        buffer.flush();
        wait_until(|| buffer.usage().items == 0);
        buffer.push(0, 1).unwrap();
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
    let buffer = Buffer::new(Bounds::default(), batching);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut batches = Batches::default();
            while let Some(batch) = batches.next(&buffer) {
                if !batch.items.is_empty() {
                    return batch.items;
                }
            }
            Vec::new()
        });
        buffer.push("alone", 5).unwrap();
        assert_eq!(reader.join().unwrap(), ["alone"]);
    });
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
