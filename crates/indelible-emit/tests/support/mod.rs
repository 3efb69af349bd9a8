//! Transports that do what a test wants, and the surroundings of a process.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "tests; not every test needs all of it"
)]

pub mod book;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indelible_emit::{
    Attached, Emitter, Options, Outgoing, Retry, Surroundings, Transport, Verdict,
};
use indelible_event::{AuditId, Micros, TenantId};
use indelible_proof::receipt::Receipt;

/// What happens at all has happened by then.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until something is so.
pub fn until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub struct Process(AtomicU64, Instant);

impl Surroundings for Process {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn elapsed(&self) -> Duration {
        self.1.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = RandomState::new().hash_one(n).to_le_bytes()[0];
        }
    }
}

pub fn surroundings() -> Arc<Process> {
    Arc::new(Process(AtomicU64::new(0), Instant::now()))
}

pub fn start(transport: impl Transport + 'static, options: Options) -> Emitter {
    Emitter::start(transport, options, surroundings()).unwrap()
}

/// Options under which nothing takes long.
pub fn quick() -> Options {
    let mut options = Options::default();
    options.batching.interval = Duration::from_millis(10);
    options.retry = Retry {
        attempts_max: NonZeroU32::new(5),
        delay_first: Duration::from_millis(1),
        delay_max: Duration::from_millis(5),
        ..Retry::default()
    };
    options
}

/// A ledger in memory: numbers per tenant, the same receipt for the same id.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
pub struct Kept {
    pub events: Vec<Outgoing>,
    /// What emitters say about their streams.
    pub statements: Vec<Outgoing>,
    pub batches: Vec<usize>,
    numbers: HashMap<TenantId, u64>,
    receipts: HashMap<AuditId, Receipt>,
}

impl Memory {
    pub fn look<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    pub fn commit(&self, outgoing: &Outgoing) -> Receipt {
        let kept = &mut *self.0.lock().unwrap();
        if let Some(receipt) = kept.receipts.get(&outgoing.audit_id) {
            return receipt.clone();
        }
        let number = kept.numbers.entry(outgoing.tenant.clone()).or_insert(0);
        *number += 1;
        let receipt = receipt(outgoing, *number);
        kept.receipts.insert(outgoing.audit_id, receipt.clone());
        let kept_as = match outgoing.stream {
            Some(_) => &mut kept.events,
            None => &mut kept.statements,
        };
        kept_as.push(outgoing.clone());
        receipt
    }
}

impl Transport for Memory {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        self.0.lock().unwrap().batches.push(batch.len());
        let verdict = |outgoing| Verdict::Committed(self.commit(outgoing));
        batch.iter().map(verdict).collect()
    }
}

pub fn receipt(outgoing: &Outgoing, sequence_number: u64) -> Receipt {
    Receipt {
        tenant_id: outgoing.tenant.clone(),
        audit_id: outgoing.audit_id,
        sequence_number,
        record_hash: serde_json::from_value("0".repeat(64).into()).unwrap(),
        ingested_at: Micros(0),
    }
}

/// A transport that does not return until it is let go, and then delivers.
#[derive(Clone, Default)]
pub struct Stuck {
    pub memory: Memory,
    gate: Arc<(Mutex<bool>, Condvar)>,
    pub entered: Arc<AtomicU64>,
}

impl Stuck {
    pub fn let_go(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }

    pub fn wait_until_entered(&self) {
        while self.entered.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Transport for Stuck {
    fn attach(&mut self, _: &TenantId, _: &[Attached]) -> Result<(), (usize, Verdict)> {
        Ok(())
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let open = self.gate.0.lock().unwrap();
        let _open = self.gate.1.wait_while(open, |open| !*open).unwrap();
        self.memory.deliver(batch)
    }
}

/// A transport that answers with a function.
pub struct With<F>(pub F);

impl<F: FnMut(&[Outgoing]) -> Vec<Verdict> + Send> Transport for With<F> {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        (self.0)(batch)
    }
}
