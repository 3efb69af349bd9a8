//! The events of a run, made before anything is timed and held in memory.

use crate::event::{Asked, Generator, tenant_name};
use indelible_event::{Micros, TenantId};

use crate::Fault;

/// Events of one batch; the batch is what a submitter hands over and waits for.
pub const BATCH_EVENTS: usize = 1_000;
/// How many events are asked for again.
const ASKED_MAX: u64 = 10_000;
/// Bytes of an event and its JSON that the vector is made for.
const EVENT_BYTES_USUAL: usize = 700;

/// One event for one tenant.
#[derive(Clone, Debug)]
pub struct Made {
    /// The tenant's number.
    pub tenant: u32,
    /// Canonical JSON.
    pub event: Vec<u8>,
}

/// The events of a run.
#[derive(Debug)]
pub struct Load {
    /// In the order of their making.
    pub batches: Vec<Vec<Made>>,
    /// What finds some of them again, spread over all of them.
    pub asked: Vec<Asked>,
    /// How many there are.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Load {
    /// Takes the next `count` events of a generator that is to make `total`.
    pub fn next(generator: &mut Generator, total: u64, count: u64) -> Self {
        let mut load = Self {
            batches: Vec::new(),
            asked: Vec::new(),
            events: 0,
            bytes: 0,
        };
        let end = generator.made() + count;
        let every = (total / ASKED_MAX).max(1);
        while generator.made() < end {
            let batch = next_batch(generator, end, every, &mut load.asked);
            load.events += batch.len() as u64;
            load.bytes += batch
                .iter()
                .map(|made| made.event.len() as u64)
                .sum::<u64>();
            load.batches.push(batch);
        }
        load
    }
}

/// The next batch, no further than to `end`; one event of every `every` is noted in `asked`.
pub fn next_batch(
    generator: &mut Generator,
    end: u64,
    every: u64,
    asked: &mut Vec<Asked>,
) -> Vec<Made> {
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    while generator.made() < end && batch.len() < BATCH_EVENTS {
        let mut event = Vec::with_capacity(EVENT_BYTES_USUAL);
        let tenant = generator.next_event(&mut event);
        if generator.made().is_multiple_of(every) {
            asked.push(generator.asked(&event));
        }
        batch.push(Made { tenant, event });
    }
    batch
}

/// The system's clock.
pub fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Micros(since.map_or(0, |t| i64::try_from(t.as_micros()).unwrap_or(i64::MAX)))
}

/// The names of the tenants of a shape, by number.
///
/// # Errors
/// Never: the names are ours.
pub fn tenants(count: u32) -> Result<Vec<TenantId>, Fault> {
    (0..count)
        .map(|tenant| Ok(TenantId::parse(&tenant_name(tenant))?))
        .collect()
}
