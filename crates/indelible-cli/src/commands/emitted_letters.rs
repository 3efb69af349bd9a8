//! `dead-letters --spool`: events of programs that were refused for good or given up.
//!
//! Emitters write whole files beside this and take no lock; what lists and shows needs none either.
//! Those who send again or remove hold one against each other. Nothing is removed before it is in
//! the ledger or, with the newer reason, in another file. Source: `spec/spool.md` §4.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indelible_disk::{Disk, Lock, RealDisk};
use indelible_emit::{
    ATTACHED_MAX, Attached, DeadLetter, DeadLetters, Outgoing, SpoolError, Transport, Verdict,
};
use serde_json::{Value, json};

use crate::args::{DeadLettersCommand, LetterFiles};
use crate::commands::dead_letters::{Id, listed, some};
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::environment;
use crate::ways::{self, Here};

/// The most events that are sent at once, and about the most bytes.
const BATCH_EVENTS_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The most reasons that are told of a file; `list` has all.
const REASONS_TOLD_MAX: usize = 5;
/// How long to wait before each further attempt.
const DELAYS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// Lists, shows, sends again or removes.
pub fn run(
    spool: &Path,
    what: &DeadLettersCommand,
    config: &Config,
    output: &mut Output,
) -> Result {
    let place = Place::find(spool)?;
    match what {
        DeadLettersCommand::List => place.list(output),
        DeadLettersCommand::Show { id } => place.show(&Id::parse(id)?, output),
        DeadLettersCommand::Retry { files, url, .. } => {
            let url = ways::server(url.as_deref(), config)?;
            let (_lock, files) = place.take(files)?;
            let files = some(files, "send again", output);
            if files.is_empty() {
                return Ok(());
            }
            match url {
                Some(url) => place.send(&mut ways::http(&url)?, &files, output),
                None => place.send_here(&files, config, output),
            }
        }
        DeadLettersCommand::Drop { files } => {
            let (_lock, files) = place.take(files)?;
            for file in &some(files, "remove", output) {
                place.letters.remove(file).or_could("remove them")?;
                if output.json {
                    output.json_line(&json!({"dropped": file}))?;
                } else {
                    output.note(format_args!("{file} is gone, and its key"));
                }
            }
            Ok(())
        }
    }
}

/// A directory with dead letters.
struct Place<'a> {
    spool: &'a Path,
    disk: Arc<RealDisk>,
    letters: DeadLetters,
}

/// Held against others who would send or remove.
type Locked = Box<dyn Lock>;

/// What came of sending a file again.
#[derive(Default)]
struct Sent {
    committed: usize,
    repeated: usize,
    refused: Vec<DeadLetter>,
}

impl<'a> Place<'a> {
    fn find(spool: &'a Path) -> Result<Self> {
        if !spool.is_dir() {
            return Err(Failure::Could(format!(
                "there is no directory {}; --spool names the spool of a program, or the directory \
                 that it has for dead letters",
                spool.shown()
            )));
        }
        let random = environment().random;
        let random = Arc::new(move |bytes: &mut [u8]| random.fill(bytes));
        let disk = Arc::new(RealDisk::new(spool));
        // What was there before has room again.
        let letters = DeadLetters::new(Arc::clone(&disk) as Arc<dyn Disk>, u64::MAX, random);
        Ok(Self {
            spool,
            disk,
            letters,
        })
    }

    fn files(&self) -> Result<Vec<String>> {
        self.letters.files().or_could("list the dead letters")
    }

    /// The files that are meant, which are all there, and the lock against others who would send
    /// or remove them.
    fn take(&self, meant: &LetterFiles) -> Result<(Option<Locked>, Vec<String>)> {
        let holder = format!("process {}", std::process::id());
        // Without a file there may be no directory.
        let lock = (!self.files()?.is_empty())
            .then(|| self.disk.try_lock("dead-letters/LOCK", &holder))
            .transpose()
            .or_could("take the dead letters; try again when that has ended")?;
        let files = meant.of(self.files()?).map_err(|name| {
            let spool = self.spool.shown();
            Failure::Could(format!(
                "there is no file {name} of dead letters; see indelible dead-letters list --spool \
                 {spool}"
            ))
        })?;
        Ok((lock, files))
    }

    fn list(&self, output: &mut Output) -> Result {
        let mut table = Table::new(vec![
            Column::whole("ID"),
            Column::whole("REFUSED"),
            Column::text("TENANT", 6),
            Column::text("EVENT", 12),
            Column::number("BYTES"),
            Column::text("REASON", 20),
        ]);
        let mut unread = None;
        for file in self.files()? {
            let mut result = Ok(());
            let read = self.letters.read(&file, &mut |number, letter| {
                let id = format!("{file}/{number}");
                if output.json {
                    let bytes = letter.event.len();
                    let line = json!({"bytes": bytes, "id": id, "letter": known(&letter)});
                    result = output.json_line(&line);
                } else {
                    table.row(row(id, &letter, output));
                }
                result.is_ok()
            });
            result?;
            // The others are listed all the same.
            if let Err(failure) = read.or_could("read dead letters") {
                unread = unread.or(Some(failure));
            }
        }
        listed(&table, unread, "there are no dead letters", output)
    }

    fn show(&self, id: &Id<'_>, output: &mut Output) -> Result {
        let none = || {
            let spool = self.spool.shown();
            Failure::Could(format!(
                "there is no dead letter {}; see indelible dead-letters list --spool {spool}",
                id.text
            ))
        };
        if !self.files()?.iter().any(|file| file == id.file) {
            return Err(none());
        }
        let mut found = None;
        let read = self.letters.read(id.file, &mut |number, letter| {
            if number == id.number {
                found = Some(letter);
            }
            found.is_none()
        });
        let Some(letter) = found else {
            read.or_could("read dead letters")?;
            return Err(none());
        };
        if output.json {
            let text = String::from_utf8_lossy(&letter.event);
            let line = json!({"id": id.text, "input": text, "letter": known(&letter)});
            return output.json_line(&line);
        }
        let (tenant, audit_id) = (letter.tenant.shown(), letter.audit_id);
        let problem = letter.problem.to_string();
        output.note(format_args!("{tenant}, {audit_id}: {}", problem.shown()));
        for defect in &letter.problem.problems {
            let (pointer, message) = (defect.pointer.shown(), defect.message.shown());
            output.note(format_args!("  {pointer}: {message} [{}]", defect.code));
        }
        output.bytes(&letter.event)
    }

    /// Sends into the ledger here.
    fn send_here(&self, files: &[String], config: &Config, output: &mut Output) -> Result {
        let mut here = Here::open("dead-letters", config, output)?;
        let sent = self.send(&mut here, files, output);
        let published = here.publish_and_close(output);
        sent.and(published)
    }

    fn send(
        &self,
        transport: &mut impl Transport,
        files: &[String],
        output: &mut Output,
    ) -> Result {
        let (mut all_in, mut unread) = (true, Vec::new());
        for file in files {
            let (sent, read) = self.send_file(transport, file)?;
            all_in &= sent.refused.is_empty();
            let damage = read.err().map(|error| error.to_string());
            // Nothing shows how much was behind the damage, so the file stays, with what of it was
            // refused. The others go on.
            let kept = match &damage {
                None => self.replace(file, &sent.refused)?,
                Some(_) => Some(file.clone()),
            };
            let reasons = sent.reasons();
            if output.json {
                output.json_line(&json!({
                    "committed": sent.committed, "damage": damage, "file": file, "kept": kept,
                    "reasons": reasons, "refused": sent.refused.len(), "repeated": sent.repeated,
                }))?;
            } else {
                tell(file, &sent, kept.as_deref(), output)?;
            }
            unread.extend(damage);
        }
        match (&unread[..], all_in) {
            ([], true) => Ok(()),
            ([], false) => Err(Failure::No),
            (damage, _) => Err(Failure::Could(format!(
                "{}; what could be read was sent, and they stay until `dead-letters drop`",
                damage.join("; ")
            ))),
        }
    }

    /// Sends what of a file can be read, and how reading it ended.
    fn send_file(
        &self,
        transport: &mut impl Transport,
        file: &str,
    ) -> Result<(Sent, std::result::Result<(), SpoolError>)> {
        let mut letters = Vec::new();
        let read = self.letters.read(file, &mut |_, letter| {
            letters.push(letter);
            true
        });
        let read = match read {
            Err(error @ SpoolError::Damaged { .. }) => Err(error),
            read => read.or_could("read dead letters").map(|_| Ok(()))?,
        };
        let mut sent = Sent::default();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for letter in letters {
            // What cannot be sent as it is stays with the reason that it has.
            let Some(outgoing) = letter.outgoing() else {
                sent.refused.push(letter);
                continue;
            };
            bytes += outgoing.event.len();
            batch.push((letter, outgoing));
            if batch.len() >= BATCH_EVENTS_MAX || bytes >= BATCH_BYTES_MAX {
                sent.take(transport, std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        sent.take(transport, batch)?;
        Ok((sent, read))
    }

    /// Puts what was refused again in the place of a file; the name of the new one.
    fn replace(&self, file: &str, refused: &[DeadLetter]) -> Result<Option<String>> {
        let mut kept = None;
        if !refused.is_empty() {
            let now = environment().clock.now();
            let (name, _) = self
                .letters
                .keep(now, refused)
                .or_could("keep what was refused again; nothing was removed")?;
            kept = Some(name);
        }
        // If we die here, what was refused stands twice.
        self.letters.remove(file).or_could("remove what was sent")?;
        Ok(kept)
    }
}

impl Sent {
    /// Why letters were refused, and how many for each reason, the most frequent first.
    fn reasons(&self) -> Vec<(String, usize)> {
        let mut counts = BTreeMap::new();
        for letter in &self.refused {
            *counts.entry(reason(letter)).or_insert(0) += 1;
        }
        let mut reasons: Vec<_> = counts.into_iter().collect();
        reasons.sort_by_key(|(_, count)| Reverse(*count));
        reasons
    }

    /// Sends a batch until nothing of it is open.
    fn take(
        &mut self,
        transport: &mut impl Transport,
        mut batch: Vec<(DeadLetter, Outgoing)>,
    ) -> Result {
        let mut delays = DELAYS.iter();
        while !batch.is_empty() {
            let outgoing: Vec<_> = batch.iter().map(|(_, outgoing)| outgoing.clone()).collect();
            let mut verdicts = deliver(transport, &outgoing).into_iter();
            let (mut open, mut asked, mut why) = (Vec::new(), None, None);
            for (letter, outgoing) in batch {
                match verdicts.next() {
                    Some(Verdict::Committed(_)) => self.committed += 1,
                    Some(Verdict::Repeated { .. }) => self.repeated += 1,
                    Some(Verdict::Denied(reason)) => {
                        let text = format!("nothing was sent and all is kept: {reason}");
                        return Err(Failure::Could(text));
                    }
                    Some(Verdict::Again { after, reason, .. }) => {
                        (asked, why) = (asked.max(after), Some(reason));
                        open.push((letter, outgoing));
                    }
                    Some(verdict) => {
                        let now = environment().clock.now();
                        self.refused.push(letter.again(verdict, now));
                    }
                    None => open.push((letter, outgoing)),
                }
            }
            batch = open;
            if batch.is_empty() {
                break;
            }
            let Some(delay) = delays.next() else {
                let why = why.as_deref().unwrap_or("it said nothing of an event");
                return Err(Failure::Could(format!(
                    "the ledger does not take them now: {why}; the file is kept, and what is in \
                     the ledger already is known there: try again later"
                )));
            };
            std::thread::sleep(asked.map_or(*delay, |asked| asked.min(*delay)));
        }
        Ok(())
    }
}

/// Delivers a batch, what stands beside its events first.
fn deliver(transport: &mut impl Transport, batch: &[Outgoing]) -> Vec<Verdict> {
    let mut store = |outgoing: &Outgoing| {
        let mut groups = outgoing.attached.chunks(ATTACHED_MAX);
        let stored = groups.try_for_each(|group| transport.attach(&outgoing.tenant, group));
        stored.map_err(|(_, verdict)| verdict)
    };
    let stored: Vec<_> = batch.iter().map(&mut store).collect();
    let ready = batch
        .iter()
        .zip(&stored)
        .filter(|(_, stored)| stored.is_ok());
    let ready: Vec<_> = ready.map(|(outgoing, _)| outgoing.clone()).collect();
    let delivered = match &ready[..] {
        [] => Vec::new(),
        ready => transport.deliver(ready),
    };
    let mut delivered = delivered.into_iter();
    let silent = || Verdict::Again {
        after: None,
        reached: true,
        reason: "nothing was said of an event".into(),
    };
    let verdict = |stored: std::result::Result<(), Verdict>| match stored {
        Ok(()) => delivered.next().unwrap_or_else(silent),
        Err(verdict) => verdict,
    };
    stored.into_iter().map(verdict).collect()
}

/// What is known of a letter beside its event.
fn known(letter: &DeadLetter) -> Value {
    let named = |it: &Attached| {
        let (digest, media_type, bytes) = (&it.digest, &it.media_type, it.bytes.len());
        json!({"bytes": bytes, "digest": digest, "type": media_type})
    };
    let attachments: Vec<_> = letter.attached.iter().map(named).collect();
    json!({
        "at": letter.at.to_rfc3339(),
        "attachments": attachments,
        "audit_id": letter.audit_id,
        "problem": letter.problem,
        "stream": letter.stream,
        "tenant_id": letter.tenant,
    })
}

fn row(id: String, letter: &DeadLetter, output: &Output) -> Vec<(String, Tone)> {
    let event = serde_json::from_slice::<Value>(&letter.event).unwrap_or_default();
    let event_type = event.get("event_type").and_then(Value::as_str);
    vec![
        (id, Tone::Plain),
        (output.zone.seconds(letter.at), Tone::Dim),
        (letter.tenant.clone(), Tone::Plain),
        (event_type.unwrap_or_default().to_owned(), Tone::Plain),
        (letter.event.len().to_string(), Tone::Plain),
        (reason(letter), Tone::Bad),
    ]
}

/// Why a letter is here, with the place in the event.
fn reason(letter: &DeadLetter) -> String {
    let problem = &letter.problem;
    let place = problem.pointer.as_deref().filter(|place| !place.is_empty());
    let place = place.map_or(String::new(), |place| format!("{place}: "));
    format!("{place}{}", problem.detail)
}

/// What came of a file, for people.
fn tell(file: &str, sent: &Sent, kept: Option<&str>, output: &mut Output) -> Result {
    let kept = kept.map_or(String::new(), |kept| format!(", kept as {kept}"));
    output.line(format_args!(
        "{file}: {} committed, {} were there, {} refused{kept}",
        sent.committed,
        sent.repeated,
        sent.refused.len()
    ))?;
    let reasons = sent.reasons();
    for (reason, count) in reasons.iter().take(REASONS_TOLD_MAX) {
        output.line(format_args!("  {count} refused: {}", reason.shown()))?;
    }
    match reasons.len().saturating_sub(REASONS_TOLD_MAX) {
        0 => Ok(()),
        more => output.line(format_args!("  … and {more} more reasons")),
    }
}
