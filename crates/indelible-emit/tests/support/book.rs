//! A ledger that counts streams as the real one does, and can be out of reach.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use indelible_disk::Disk;
use indelible_emit::{
    Actor, Emitter, Options, Outgoing, SpoolBounds, SpoolOptions, Ticket, Transport, Verdict,
};
use indelible_event::{AuditId, StreamClaim};
use indelible_proof::receipt::Receipt;
use indelible_proof::stream::{Statement, StreamVerdict, Streams};
use indelible_proof::tail::Claim;
use serde_json::Value;

use super::quick;

/// Emits an event of a tenant.
pub fn publish(emitter: &Emitter, tenant: &str) -> Ticket {
    emitter
        .for_tenant(tenant)
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", "1")
        .succeeded()
        .emit()
}

/// Quick options with a spool on this disk.
pub fn with_spool(disk: impl Disk + 'static) -> Options {
    let mut options = quick();
    options.spool = Some(SpoolOptions {
        disk: Arc::new(disk),
        bounds: SpoolBounds::default(),
    });
    options
}

/// The one verdict there is.
pub fn one(verdicts: Vec<StreamVerdict>) -> StreamVerdict {
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts.into_iter().next().unwrap()
}

/// The verdict on one run of a stream, in words.
pub fn on(verdicts: &[StreamVerdict], (stream, epoch): (&str, u64)) -> String {
    let of = |it: &&StreamVerdict| it.stream.as_deref() == Some(stream) && it.epoch == epoch;
    verdicts.iter().find(of).unwrap().to_string()
}

/// How many numbers were declared lost.
pub fn lost(verdict: &StreamVerdict) -> u64 {
    verdict.lost.iter().map(|loss| loss.span.count()).sum()
}

/// What the ledger holds, whoever delivers to it.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    /// By tenant, in order.
    logs: BTreeMap<String, Vec<Outgoing>>,
    receipts: BTreeMap<AuditId, (Receipt, Option<StreamClaim>)>,
}

/// One emitter's way to the book.
pub struct Way {
    pub book: Book,
    /// Nothing reaches the book.
    pub down: Arc<AtomicBool>,
    /// What reaches it is committed, and the answer is lost.
    pub mute: Arc<AtomicBool>,
    /// Something between sends everything twice, and passes the second answer on.
    pub twice: Arc<AtomicBool>,
    /// No tenant is there, so every event is refused for good.
    pub unknown: Arc<AtomicBool>,
}

impl Book {
    fn commit(&self, outgoing: &Outgoing) -> Verdict {
        let mut records = self.0.lock().unwrap();
        if let Some((receipt, claim)) = records.receipts.get(&outgoing.audit_id) {
            return Verdict::Repeated {
                receipt: receipt.clone(),
                other_claim: *claim != outgoing.stream,
            };
        }
        let tenant = outgoing.tenant.as_str().to_owned();
        let log = records.logs.entry(tenant).or_default();
        log.push(outgoing.clone());
        let receipt = super::receipt(outgoing, log.len() as u64);
        let kept = (receipt.clone(), outgoing.stream.clone());
        records.receipts.insert(outgoing.audit_id, kept);
        Verdict::Committed(receipt)
    }

    /// Whether an event is in the ledger.
    pub fn has(&self, id: AuditId) -> bool {
        self.0.lock().unwrap().receipts.contains_key(&id)
    }

    /// How many events of a tenant are in the ledger, statements not counted.
    pub fn events(&self, tenant: &str) -> usize {
        let records = self.0.lock().unwrap();
        let log = records.logs.get(tenant).into_iter().flatten();
        log.filter(|outgoing| outgoing.stream.is_some()).count()
    }

    /// A tenant's log: the types of the statements, and nothing for an event.
    pub fn said(&self, tenant: &str) -> Vec<Option<String>> {
        let records = self.0.lock().unwrap();
        let log = records.logs.get(tenant).into_iter().flatten();
        let said = |outgoing: &Outgoing| {
            let event: Value = serde_json::from_slice(&outgoing.event).unwrap();
            let event_type = event["event_type"].as_str().unwrap();
            outgoing.stream.is_none().then(|| event_type.to_owned())
        };
        log.map(said).collect()
    }

    /// The verdicts on a tenant's log, as a verifier reads it.
    pub fn verdicts(&self, tenant: &str) -> Vec<StreamVerdict> {
        self.verdicts_without(tenant, None)
    }

    /// The same when somebody took a record out.
    pub fn verdicts_without(&self, tenant: &str, gone: Option<AuditId>) -> Vec<StreamVerdict> {
        let records = self.0.lock().unwrap();
        let mut streams = Streams::new();
        for outgoing in records.logs.get(tenant).into_iter().flatten() {
            if Some(outgoing.audit_id) == gone {
                continue;
            }
            match &outgoing.stream {
                Some(claim) => {
                    let (id, epoch, number) = (&*claim.id, claim.epoch, claim.number);
                    let at = streams.locate(&Claim { id, epoch, number });
                    assert!(streams.claim(at, number, "t"), "{claim:?} came twice");
                }
                None => streams.state(Statement::parse(&outgoing.event).unwrap(), "t"),
            }
        }
        streams.verdicts()
    }

    /// The ids of a tenant's events, each with its stream and epoch.
    pub fn ids(&self, tenant: &str) -> Vec<(AuditId, String, u64)> {
        let records = self.0.lock().unwrap();
        let log = records.logs.get(tenant).into_iter().flatten();
        let id = |outgoing: &Outgoing| {
            let claim = outgoing.stream.as_ref()?;
            Some((outgoing.audit_id, claim.id.clone(), claim.epoch))
        };
        log.filter_map(id).collect()
    }
}

impl Way {
    pub fn to(book: &Book) -> Self {
        Self {
            book: book.clone(),
            down: Arc::default(),
            mute: Arc::default(),
            twice: Arc::default(),
            unknown: Arc::default(),
        }
    }
}

impl Transport for Way {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        let again = |reached| Verdict::Again {
            after: None,
            reached,
            reason: "out of reach".into(),
        };
        if self.down.load(Ordering::SeqCst) {
            return vec![again(false); batch.len()];
        }
        if self.unknown.load(Ordering::SeqCst) {
            return vec![Verdict::Failed("there is no such tenant".into()); batch.len()];
        }
        let commit = || {
            let verdicts = batch.iter().map(|outgoing| self.book.commit(outgoing));
            verdicts.collect::<Vec<_>>()
        };
        let mut verdicts = commit();
        if self.twice.load(Ordering::SeqCst) {
            verdicts = commit();
        }
        if self.mute.load(Ordering::SeqCst) {
            return vec![again(true); batch.len()];
        }
        verdicts
    }
}
