//! For tests of a program that emits: an audit trail in memory that tells what it was given, and
//! that fails on purpose.
//!
//! Events are refused here by the same rules as in a ledger, so that a test finds what a ledger
//! would refuse. Not here: numbers, hashes and proofs; a receipt's hash is of the event alone, and
//! nothing is sealed, so that a test sees what the program said.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indelible_emit::{Attached, Emitter, Options, Outgoing, Retry, Transport, Verdict};
use indelible_event::catalogue::NATIVE;
use indelible_event::{
    Admission, AuditId, Event, Mode, Origin, Outcome, Problem, ProblemCode, StreamClaim, TenantId,
    admit,
};
use indelible_proof::receipt::Receipt;

use crate::audit::Audit;
use crate::process::Process;

/// The longest wait for what was emitted.
const SOON: Duration = Duration::from_secs(10);
/// How soon a batch is sent and a delivery tried again.
const INTERVAL: Duration = Duration::from_millis(5);

/// An audit trail in memory, and what it was given.
#[derive(Debug)]
pub struct Recorder {
    audit: Arc<Audit>,
    ledger: Ledger,
}

/// What goes wrong, until [`Recorder::heal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The ledger is out of reach; events wait for it and are tried again.
    Outage,
    /// Every event is refused, for this reason.
    Refuse(String),
    /// No event can be delivered, and trying again does not help.
    Fail(String),
    /// Every batch takes this long.
    Delay(Duration),
    /// Nothing is delivered: the queue fills up, and what finds no room in it is dropped.
    Hold,
}

/// An event that was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// Whose it is.
    pub tenant: String,
    /// The event.
    pub event: Event,
}

/// What an event must be like; see [`Recorder::expect`].
#[derive(Debug)]
#[must_use = "nothing is asserted before `once`, `times` or `never`"]
pub struct Expectation<'a> {
    recorder: &'a Recorder,
    event_type: String,
    /// Pointers and the texts that stand there.
    parts: Vec<(&'static str, String)>,
    tenant: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Ledger(Arc<(Mutex<Kept>, Condvar)>);

#[derive(Debug, Default)]
struct Kept {
    committed: Vec<Emitted>,
    statements: Vec<Emitted>,
    refused: Vec<(String, Vec<Problem>)>,
    receipts: HashMap<AuditId, (Receipt, Option<StreamClaim>)>,
    numbers: HashMap<TenantId, u64>,
    /// By tenant and digest.
    attachments: HashMap<(String, String), Vec<u8>>,
    fault: Option<Fault>,
}

impl Recorder {
    /// An audit trail with the queue that one has when nothing is said.
    ///
    /// # Panics
    /// When the operating system gives no thread.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// An audit trail in whose queue so many events have room.
    ///
    /// # Panics
    /// When it is none, or the operating system gives no thread.
    pub fn with_queue(events_max: usize) -> Self {
        let mut options = Options::default();
        options.room.best_effort.items_max = events_max;
        options.batching.items_max = options.batching.items_max.min(events_max);
        Self::with(options)
    }

    fn with(mut options: Options) -> Self {
        options.batching.interval = INTERVAL;
        options.retry = Retry {
            delay_first: INTERVAL,
            delay_max: INTERVAL,
            ..Retry::default()
        };
        let ledger = Ledger::default();
        let emitter = match Emitter::start(ledger.clone(), options, Arc::new(Process)) {
            Ok(emitter) => emitter,
            Err(error) => panic!("{error}"),
        };
        let audit = Arc::new(Audit {
            emitter,
            #[cfg(feature = "relay")]
            way: {
                let ledger = ledger.clone();
                crate::relay::Way::new(move || Ok(ledger.clone()))
            },
        });
        Self { audit, ledger }
    }

    /// The audit trail, for the program under test.
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Has something go wrong from now on, instead of what went wrong before. What was emitted
    /// before is settled first, as [`Recorder::events`] waits for it: it meets the fault of its
    /// time.
    pub fn fault(&self, fault: Fault) {
        self.settle();
        self.ledger.set(Some(fault));
    }

    /// Has nothing go wrong any more. What was emitted before meets the fault of its time, as with
    /// [`Recorder::fault`].
    pub fn heal(&self) {
        self.settle();
        self.ledger.set(None);
    }

    /// Waits for what is under way, but not for what a fault keeps from being delivered.
    fn settle(&self) {
        let kept_back = matches!(self.ledger.kept().fault, Some(Fault::Outage | Fault::Hold));
        if !kept_back {
            self.audit.flush(SOON);
        }
    }

    /// What was committed of all that was emitted until now, in order. It waits for what is under
    /// way, up to ten seconds, but not for what a fault keeps from being delivered.
    pub fn events(&self) -> Vec<Emitted> {
        self.settle();
        self.ledger.kept().committed.clone()
    }

    /// What the emitter said of its stream until now: that it is there, what was lost or left out,
    /// and its end.
    pub fn statements(&self) -> Vec<Emitted> {
        self.events();
        self.ledger.kept().statements.clone()
    }

    /// The bytes that a tenant's event names by this digest.
    pub fn attachment(&self, tenant: &str, digest: &str) -> Option<Vec<u8>> {
        self.events();
        let name = (tenant.to_owned(), digest.to_owned());
        self.ledger.kept().attachments.get(&name).cloned()
    }

    /// What was refused until now, and why, as a person would be told.
    pub fn refused(&self) -> Vec<String> {
        self.events();
        let kept = self.ledger.kept();
        let refused = kept.refused.iter().map(|(what, problems)| {
            let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
            format!("{what}: {}", words.join("; "))
        });
        refused.collect()
    }

    /// Begins an assertion about events of a type.
    pub fn expect(&self, event_type: impl Into<String>) -> Expectation<'_> {
        Expectation {
            recorder: self,
            event_type: event_type.into(),
            parts: Vec::new(),
            tenant: None,
        }
    }
}

impl Drop for Recorder {
    /// A worker that is held would not end.
    fn drop(&mut self) {
        self.ledger.set(None);
    }
}

impl Expectation<'_> {
    /// Of a tenant.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// By the actor with this id.
    pub fn by(self, actor_id: impl Into<String>) -> Self {
        self.with("/actor/id", actor_id)
    }

    /// On this target.
    pub fn on(self, target_type: impl Into<String>, target_id: impl Into<String>) -> Self {
        let this = self.with("/target/type", target_type);
        this.with("/target/id", target_id)
    }

    /// Which ended so.
    pub fn outcome(self, outcome: Outcome) -> Self {
        self.with("/outcome", outcome.as_str())
    }

    /// With this text at a JSON pointer, such as `/error/code`; of what is no text, its JSON.
    pub fn with(mut self, pointer: &'static str, text: impl Into<String>) -> Self {
        self.parts.push((pointer, text.into()));
        self
    }

    /// Asserts that there is exactly one such event, and returns it.
    ///
    /// # Panics
    /// When there is none or more, with all that was emitted.
    #[track_caller]
    pub fn once(self) -> Emitted {
        let mut found = self.times(1);
        found.remove(0)
    }

    /// Asserts that there are exactly so many such events, and returns them.
    ///
    /// # Panics
    /// When there are more or fewer, with all that was emitted.
    #[track_caller]
    pub fn times(self, number: usize) -> Vec<Emitted> {
        let all = self.recorder.events();
        let differing: Vec<_> = all.iter().map(|emitted| self.differs(emitted)).collect();
        let found = differing
            .iter()
            .filter(|differs| differs.is_empty())
            .count();
        assert!(found == number, "{}", self.told(number, &all, &differing));
        let found = all.into_iter().zip(differing);
        found
            .filter(|(_, differs)| differs.is_empty())
            .map(|(emitted, _)| emitted)
            .collect()
    }

    /// Asserts that there is no such event.
    ///
    /// # Panics
    /// When there is one, with all that was emitted.
    #[track_caller]
    pub fn never(self) {
        self.times(0);
    }

    /// In what the event is not like this.
    fn differs(&self, emitted: &Emitted) -> Vec<String> {
        let json = emitted.event.clone().into_json();
        let mut differs = Vec::new();
        let mut compare = |place: &str, wanted: &str, is: Option<String>| {
            if is.as_deref() != Some(wanted) {
                let is = is.map_or("is not there".to_owned(), |is| format!("is `{is}`"));
                differs.push(format!("{place} {is}"));
            }
        };
        let text = |pointer| {
            let value = json.pointer(pointer)?;
            Some(
                value
                    .as_text()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        };
        compare("/event_type", &self.event_type, text("/event_type"));
        if let Some(tenant) = &self.tenant {
            compare("tenant", tenant, Some(emitted.tenant.clone()));
        }
        for (pointer, wanted) in &self.parts {
            compare(pointer, wanted, text(pointer));
        }
        differs
    }

    /// What a person is told who expected something else.
    fn told(&self, number: usize, all: &[Emitted], differing: &[Vec<String>]) -> String {
        let mut told = format!("expected {number} of `{}`", self.event_type);
        if let Some(tenant) = &self.tenant {
            let _ = write!(told, ", tenant `{tenant}`");
        }
        for (pointer, wanted) in &self.parts {
            let _ = write!(told, ", {pointer} `{wanted}`");
        }
        let found = differing.iter().filter(|differs| differs.is_empty());
        let _ = write!(told, "; found {} among {}:", found.count(), all.len());
        for (emitted, differs) in all.iter().zip(differing) {
            let why = if differs.is_empty() {
                "this is one".to_owned()
            } else {
                differs.join(", ")
            };
            let _ = write!(
                told,
                "\n  {}: {why}",
                in_words(&emitted.tenant, &emitted.event)
            );
        }
        for refused in self.recorder.refused() {
            let _ = write!(told, "\n  refused: {refused}");
        }
        told
    }
}

impl Ledger {
    fn set(&self, fault: Option<Fault>) {
        self.kept().fault = fault;
        self.0.1.notify_all();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Ledger {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        let held = |kept: &mut Kept| kept.fault == Some(Fault::Hold);
        let kept = self.0.1.wait_while(self.kept(), held);
        let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
        if let Some(Fault::Delay(delay)) = kept.fault {
            drop(kept);
            std::thread::sleep(delay);
            kept = self.kept();
        }
        let fault = kept.fault.clone();
        batch
            .iter()
            .map(|outgoing| kept.take(outgoing, fault.as_ref()))
            .collect()
    }

    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        let mut kept = self.kept();
        kept.attach().map_err(|verdict| (0, verdict))?;
        for Attached { digest, bytes, .. } in attached {
            let name = (tenant.as_str().to_owned(), digest.clone());
            kept.attachments.insert(name, bytes.to_vec());
        }
        Ok(())
    }
}

impl Kept {
    /// Whether something may be stored beside an event.
    fn attach(&self) -> Result<(), Verdict> {
        match &self.fault {
            Some(Fault::Outage) => Err(Verdict::Again {
                after: None,
                reached: false,
                reason: "an outage, on purpose".into(),
            }),
            Some(Fault::Fail(why)) => Err(Verdict::Failed(why.as_str().into())),
            _ => Ok(()),
        }
    }

    fn take(&mut self, outgoing: &Outgoing, fault: Option<&Fault>) -> Verdict {
        match fault {
            Some(Fault::Outage) => {
                return Verdict::Again {
                    after: None,
                    reached: false,
                    reason: "an outage, on purpose".into(),
                };
            }
            Some(Fault::Refuse(why)) => {
                let problem = Problem::at("", ProblemCode::Contradiction, why);
                return self.refuse(outgoing, vec![problem]);
            }
            Some(Fault::Fail(why)) => return Verdict::Failed(why.as_str().into()),
            Some(Fault::Delay(_) | Fault::Hold) | None => {}
        }
        let admission = Admission {
            mode: Mode::Strict,
            catalogue: &NATIVE,
            dialect: "native",
            origin: Origin::Producer,
            tenant: Some(&outgoing.tenant),
            now: indelible_emit::Surroundings::now(&Process),
        };
        // It has an id, so none is asked for: the emitter gave it one.
        match admit(&outgoing.event, &admission, &mut |_| ()) {
            Ok(admitted) => self.commit(outgoing, &admitted.bytes),
            Err(problems) => self.refuse(outgoing, problems),
        }
    }

    fn refuse(&mut self, outgoing: &Outgoing, problems: Vec<Problem>) -> Verdict {
        // What the emitter says itself is no event of the program's.
        if outgoing.stream.is_some() {
            let event = Event::parse(&outgoing.event).unwrap_or_default();
            let what = in_words(outgoing.tenant.as_str(), &event);
            self.refused.push((what, problems.clone()));
        }
        Verdict::Refused(problems)
    }

    fn commit(&mut self, outgoing: &Outgoing, bytes: &[u8]) -> Verdict {
        let record_hash = indelible_merkle::leaf_hash(bytes);
        if let Some((receipt, claim)) = self.receipts.get(&outgoing.audit_id) {
            let same = receipt.record_hash == record_hash;
            return match receipt.clone() {
                receipt if same => Verdict::Repeated {
                    receipt,
                    other_claim: *claim != outgoing.stream,
                },
                receipt => Verdict::Conflict(Some(Box::new(receipt))),
            };
        }
        let number = self.numbers.entry(outgoing.tenant.clone()).or_insert(0);
        *number += 1;
        let receipt = Receipt {
            tenant_id: outgoing.tenant.clone(),
            audit_id: outgoing.audit_id,
            sequence_number: *number,
            record_hash,
            ingested_at: indelible_emit::Surroundings::now(&Process),
        };
        let known = (receipt.clone(), outgoing.stream.clone());
        self.receipts.insert(outgoing.audit_id, known);
        let kept = match outgoing.stream {
            Some(_) => &mut self.committed,
            None => &mut self.statements,
        };
        kept.push(Emitted {
            tenant: outgoing.tenant.to_string(),
            event: Event::parse(bytes).unwrap_or_default(),
        });
        Verdict::Committed(receipt)
    }
}

fn in_words(tenant: &str, event: &Event) -> String {
    let word = |text: Option<&String>| text.map_or("-", String::as_str).to_owned();
    let actor = event.actor.as_ref();
    let target = event.target.as_ref();
    format!(
        "{tenant} {} {}:{} {}/{} {}",
        word(event.event_type.as_ref()),
        word(actor.and_then(|actor| actor.kind.as_ref())),
        word(actor.and_then(|actor| actor.id.as_ref())),
        word(target.and_then(|target| target.kind.as_ref())),
        word(target.and_then(|target| target.id.as_ref())),
        word(event.outcome.as_ref()),
    )
}
