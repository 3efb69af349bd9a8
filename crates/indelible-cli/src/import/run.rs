//! From inputs to outcomes: maps, submits in batches, counts, keeps what was refused.
//!
//! Two batches are under way at a time: while one becomes durable the next is being prepared.
//! Outcomes are taken in order, so receipts are printed in the order of the inputs.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use indelible_disk::RealDisk;
use indelible_event::Problem;
use indelible_event::canonical::canonicalize;
use indelible_event::ids::{AuditId, TenantId};
use indelible_event::leaf::LeafView;
use indelible_log::env::Env;
use indelible_log::keyring::MasterKey;
use indelible_log::log::Log;
use indelible_log::outcome::{Outcome, Pending, Submission};
use indelible_log::prepare::Admission;
use indelible_proof::receipt::Receipt;
use indelible_store::{Ledger, Stored};

use super::cloudtrail;
use super::counts::Counts;
use super::feed::{Fed, Feed, Input};
use super::members::Members;
use crate::args::Format;
use crate::cancel;
use crate::dead_letters::{Kept, Letter, Writer};
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::Writing;
use crate::output::{Output, Progress};

/// Batches that may be on their way to the disk.
const UNDER_WAY_MAX: usize = 2;
/// Event bytes of one batch.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long to wait for input before looking whether stopping is wanted.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a batch waits for more input before it is submitted as it is.
const LINGER: Duration = Duration::from_millis(5);
/// How long what is durable waits at most to be published while the import goes on.
const PUBLISH: Duration = Duration::from_secs(1);
/// Refused inputs that are named one by one; the dead letters hold them all.
const NAMED_MAX: u64 = 50;

/// How the events of an import are taken.
pub struct Rules {
    /// What the files hold.
    pub format: Format,
    /// Whose log.
    pub tenant: TenantId,
    /// For events as they are, or mapped.
    pub mapped: Arc<Admission>,
    /// For records kept whole.
    pub unmapped: Arc<Admission>,
    /// Events in one batch.
    pub batch_records: usize,
    /// The file of dead letters that is imported again: it goes afterwards, so what is refused once
    /// more is not kept by it.
    pub retried: Option<String>,
}

/// Where refused inputs are kept.
pub struct Refusals<'a> {
    /// The data directory.
    pub disk: &'a RealDisk,
    /// Under which they are encrypted.
    pub master: Option<MasterKey>,
    /// Time and randomness.
    pub env: Env,
    /// The file, once there is one.
    pub writer: Option<Writer>,
    /// What is kept, once something was refused.
    pub kept: Option<Kept>,
    /// How many were kept before, and are not kept twice.
    pub again: u64,
}

/// An import under way.
pub struct Run<'a> {
    log: &'a Log,
    ledger: &'a dyn Ledger,
    /// When it began.
    seen: String,
    rules: &'a Rules,
    refusals: Refusals<'a>,
    output: &'a Output,
    receipts: Option<Box<dyn Write>>,
    progress: Progress,
    counts: Counts,
    under_way: VecDeque<(Vec<Sent>, Pending)>,
    unreadable: bool,
}

/// The bytes of an event, and why it keeps an input whole, if it does.
type Event = (Vec<u8>, Option<&'static str>);

/// An input that was submitted.
struct Sent {
    input: Input,
    /// Why it is kept whole, if it is.
    unmapped: Option<&'static str>,
}

/// A batch being filled.
#[derive(Default)]
struct Batch {
    sent: Vec<Sent>,
    submissions: Vec<Submission>,
    bytes: usize,
}

/// What an import came to.
pub struct Imported {
    /// How many inputs ended how.
    pub counts: Counts,
    /// Whether a file could not be read to its end.
    pub unreadable: bool,
    /// The file of dead letters, if anything was refused that was not kept already.
    pub letters: Option<String>,
    /// Whether it was stopped before all was read.
    pub cancelled: bool,
}

impl<'a> Run<'a> {
    /// An import into `ledger`; receipts go to `receipts` as events become durable.
    pub fn new(
        ledger: &'a Writing,
        rules: &'a Rules,
        refusals: Refusals<'a>,
        output: &'a Output,
        receipts: Option<Box<dyn Write>>,
    ) -> Self {
        Self {
            log: &ledger.log,
            ledger: ledger.access.stores.ledger.as_ref(),
            seen: refusals.env.clock.now().to_rfc3339(),
            rules,
            refusals,
            output,
            receipts,
            progress: output.progress(),
            counts: Counts::default(),
            under_way: VecDeque::new(),
            unreadable: false,
        }
    }

    /// Imports all that `feed` gives, or what it has given when stopping is wanted. `bytes` is how
    /// many it will read, if that is known.
    ///
    /// # Errors
    /// [`Failure::Could`] when the ledger or the dead letters cannot be written; what was counted
    /// as new before is durable, and importing again goes on from there.
    pub fn all(mut self, feed: &Feed, bytes: Option<u64>) -> Result<Imported> {
        self.progress.of_bytes("importing", bytes);
        let result = self.take_all(feed);
        // After a failure too: what is on its way becomes durable, and is to be published.
        for (_, pending) in self.under_way.drain(..) {
            pending.wait();
        }
        self.progress.clear();
        let cancelled = result?;
        let named = self.counts.refused + self.counts.conflicts;
        if named > NAMED_MAX {
            self.output
                .note(format_args!("… and {} more refused", named - NAMED_MAX));
        }
        let again = self.refusals.again;
        if again > 0 {
            self.output.note(format_args!(
                "refused input that is kept already: {again} of {named}; see indelible \
                 dead-letters list"
            ));
        }
        if let Some(writer) = &self.refusals.writer {
            writer.sync()?;
            self.output.note(format_args!(
                "refused input is kept: indelible dead-letters list, file {}",
                writer.name()
            ));
        }
        let letters = self.refusals.writer.map(|writer| writer.name().to_owned());
        Ok(Imported {
            counts: self.counts,
            unreadable: self.unreadable,
            letters,
            cancelled,
        })
    }

    /// Takes inputs until there are no more, or stopping is wanted; whether it was.
    fn take_all(&mut self, feed: &Feed) -> Result<bool> {
        let mut batch = Batch::default();
        let mut cancelled = false;
        let mut published = Instant::now();
        loop {
            if cancel::wanted() {
                cancelled = true;
                break;
            }
            match feed.inputs().recv_timeout(LINGER) {
                Ok(fed) => self.take(fed, &mut batch)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.submit(&mut batch);
                    self.settle(0)?;
                    // Nothing is under way now: wait for as long as it takes.
                    match feed.inputs().recv_timeout(GLANCE) {
                        Ok(fed) => self.take(fed, &mut batch)?,
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.progress.set(feed.bytes_read());
            if published.elapsed() >= PUBLISH {
                // One that fails is made up for by the next, or told at the end.
                let _ = self.log.publish();
                published = Instant::now();
            }
            if batch.submissions.len() >= self.rules.batch_records || batch.bytes >= BATCH_BYTES_MAX
            {
                self.submit(&mut batch);
                self.settle(UNDER_WAY_MAX - 1)?;
            }
        }
        self.submit(&mut batch);
        self.settle(0)?;
        Ok(cancelled)
    }

    fn take(&mut self, fed: Fed, batch: &mut Batch) -> Result {
        match fed {
            // What was before goes first, so that all is told in order.
            Fed::Note(text) => {
                self.submit(batch);
                self.settle(0)?;
                self.progress.suspend(|| self.output.note(text));
            }
            Fed::Unreadable(text) => {
                self.unreadable = true;
                self.submit(batch);
                self.settle(0)?;
                self.progress.suspend(|| self.output.error(text));
            }
            Fed::Input(input) => match self.event(&input)? {
                Ok((event, unmapped)) => self.add(input, event, unmapped, batch),
                Err(reason) => {
                    self.submit(batch);
                    self.settle(0)?;
                    self.counts.refused += 1;
                    self.refuse(&input, &reason)?;
                }
            },
        }
        Ok(())
    }

    fn add(&self, input: Input, event: Vec<u8>, unmapped: Option<&'static str>, batch: &mut Batch) {
        let admission = match unmapped {
            Some(_) => &self.rules.unmapped,
            None => &self.rules.mapped,
        };
        batch.bytes += event.len();
        batch.submissions.push(Submission {
            tenant: self.rules.tenant.clone(),
            event,
            admission: Arc::clone(admission),
            stream: None,
        });
        batch.sent.push(Sent { input, unmapped });
    }

    /// The event of an input and why it is kept whole, if it is; or why it is refused.
    fn event(&self, input: &Input) -> Result<std::result::Result<Event, String>> {
        if let Some(fault) = input.fault {
            return Ok(Err(fault.to_string()));
        }
        if self.rules.format == Format::Ndjson {
            return Ok(Ok((input.bytes.clone(), None)));
        }
        let canonical = match canonicalize(&input.bytes) {
            Ok(canonical) => canonical,
            Err(problems) => return Ok(Err(in_words(&problems))),
        };
        let record = str::from_utf8(&canonical).or_could("read a record")?;
        let mut mapped = cloudtrail::map(record, &self.seen);
        if let Some(id) = mapped.undated
            && let Some(seen) = self.occurred_at(id)?
        {
            // It was imported before: as it was then, so that it is no other record.
            mapped = cloudtrail::map(record, &seen);
        }
        Ok(Ok((mapped.event.into_bytes(), mapped.unmapped)))
    }

    /// When the event with this id occurred, if it is in the log.
    fn occurred_at(&self, id: AuditId) -> Result<Option<String>> {
        let tenant = &self.rules.tenant;
        let found = self.ledger.find(tenant, &[id]);
        let found = found.or_could("look an id up")?;
        let Some(number) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        let mut time = None;
        let mut visit = |stored: Stored<'_>| {
            if let Stored::Record(record) = stored {
                time = LeafView::locate(record.leaf)
                    .ok()
                    .and_then(|leaf| Members::of(str::from_utf8(leaf.event()).ok()?))
                    .and_then(|event| event.text("occurred_at"));
            }
            ControlFlow::Continue(())
        };
        let read = self.ledger.read(tenant, number..number + 1, &mut visit);
        read.or_could("read a record")?;
        Ok(time)
    }

    fn submit(&mut self, batch: &mut Batch) {
        let Batch {
            sent, submissions, ..
        } = std::mem::take(batch);
        if !sent.is_empty() {
            let pending = self.log.submit(submissions);
            self.under_way.push_back((sent, pending));
        }
    }

    /// Takes outcomes until at most `left` batches are under way.
    fn settle(&mut self, left: usize) -> Result {
        while self.under_way.len() > left {
            let Some((sent, pending)) = self.under_way.pop_front() else {
                break;
            };
            for (sent, outcome) in sent.into_iter().zip(pending.wait()) {
                self.outcome(&sent, outcome)?;
            }
            if let Some(receipts) = &mut self.receipts {
                receipts.flush().or_could("write receipts")?;
            }
            if let Some(writer) = &self.refusals.writer {
                writer.sync()?;
            }
        }
        Ok(())
    }

    fn outcome(&mut self, sent: &Sent, outcome: Outcome) -> Result {
        match outcome {
            Outcome::New(receipt) => {
                self.counts.new += 1;
                self.is_in(sent, &receipt)
            }
            Outcome::Repeat { receipt, .. } => {
                self.counts.repeated += 1;
                self.is_in(sent, &receipt)
            }
            Outcome::Conflict(receipt) => {
                self.counts.conflicts += 1;
                let reason = format!(
                    "conflict: record {} has the id {} with other content",
                    receipt.sequence_number, receipt.audit_id
                );
                self.refuse(&sent.input, &reason)
            }
            Outcome::Refused(problems) => {
                self.counts.refused += 1;
                self.refuse(&sent.input, &in_words(&problems))
            }
            Outcome::Failed(error) => {
                self.progress.clear();
                Err(Failure::Could(format!(
                    "stopped at {}: {}: {error}; {} so far; run it again to go on",
                    sent.input.file, sent.input.position, self.counts
                )))
            }
        }
    }

    /// It is in the log.
    fn is_in(&mut self, sent: &Sent, receipt: &Receipt) -> Result {
        if let Some(reason) = sent.unmapped {
            self.counts.unmapped += 1;
            let Input { file, position, .. } = &sent.input;
            let text = format!("{file}: {position}: unmapped, kept whole: {reason}");
            self.progress.suspend(|| self.output.note(text));
        }
        self.receipt(receipt)
    }

    fn receipt(&mut self, receipt: &Receipt) -> Result {
        let Some(receipts) = &mut self.receipts else {
            return Ok(());
        };
        let line = serde_json::to_string(receipt).or_could("write receipts")?;
        writeln!(receipts, "{line}").or_could("write receipts")
    }

    fn refuse(&mut self, input: &Input, reason: &str) -> Result {
        if self.counts.refused + self.counts.conflicts <= NAMED_MAX {
            let text = format!("{}: {}: {reason}", input.file, input.position);
            self.progress.suspend(|| self.output.error(text));
        }
        let letter = Letter {
            at: self.refusals.env.clock.now().to_rfc3339(),
            file: input.file.to_string(),
            format: match self.rules.format {
                Format::Cloudtrail => "cloudtrail".to_owned(),
                Format::Ndjson => "ndjson".to_owned(),
            },
            line: input.position.line,
            number: input.position.number,
            offset: input.position.offset,
            reason: reason.to_owned(),
            tenant: self.rules.tenant.to_string(),
        };
        let retried = self.rules.retried.as_deref();
        self.refusals.keep(&letter, &input.bytes, retried)
    }
}

impl Refusals<'_> {
    /// Keeps an input, unless the same one is kept in another file than `retried`.
    fn keep(&mut self, letter: &Letter, input: &[u8], retried: Option<&str>) -> Result {
        let master = self.master.as_ref().ok_or_else(|| {
            let text = "refused input cannot be kept without the master key; see --keys";
            Failure::Could(text.to_owned())
        })?;
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => none.insert(Kept::read(self.disk, master, retried)?),
        };
        if !kept.take(letter, input) {
            self.again += 1;
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let now = self.env.clock.now();
                let writer = Writer::create(self.disk, master, now, self.env.random.as_ref())?;
                none.insert(writer)
            }
        };
        writer.keep(letter, input)
    }
}

/// All problems of an event, in one line.
pub fn in_words(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
