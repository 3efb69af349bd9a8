//! Dead letters: events that are delivered no more, kept with the reason until a person has mended
//! it.
//!
//! Kept are the bytes that would have been sent, secrets replaced, with the id and the claim that
//! they had: sent again they are the same event on the same number. Not here: who sends them again,
//! which is `indelible dead-letters`. Source: `spec/spool.md` §4.

use std::sync::Arc;

use indelible_api::{Problem, ProblemKind};
use indelible_buffer::{Letters, Random, SpoolError};
use indelible_disk::Disk;
use indelible_event::{AuditId, Micros, StreamClaim, TenantId};
use serde::{Deserialize, Serialize};

use crate::attachment::{self, Attached};
use crate::encode::Unsendable;
use crate::frame::{self, Named, Pieces};
use crate::metrics::add;
use crate::shared::Shared;
use crate::ticket::EmitError;
use crate::transport::{Outgoing, Verdict};

/// An event that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was put aside.
    pub at: Micros,
    /// Whose log it was meant for, as it was said.
    pub tenant: String,
    /// Its id.
    pub audit_id: AuditId,
    /// Its place in its stream; none for an event that never got one.
    pub stream: Option<StreamClaim>,
    /// Why it is here.
    pub problem: Problem,
    /// The event in canonical form.
    pub event: Vec<u8>,
    /// What stands beside it.
    pub attached: Vec<Attached>,
}

/// The line before an event.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    at: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Named>,
    audit_id: AuditId,
    problem: Problem,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamClaim>,
    tenant_id: String,
}

/// The dead letters of a directory, which several processes may share.
#[derive(Debug)]
pub struct DeadLetters {
    letters: Letters,
}

impl DeadLetter {
    /// The letter of an event that has no receipt and will not get one by itself.
    pub(crate) fn of(outgoing: &Outgoing, error: &EmitError, at: Micros) -> Self {
        Self {
            at,
            tenant: outgoing.tenant.as_str().to_owned(),
            audit_id: outgoing.audit_id,
            stream: outgoing.stream.clone(),
            problem: problem(error),
            event: outgoing.event.clone(),
            attached: outgoing.attached.clone(),
        }
    }

    /// The letter of an event that can be made and not be sent.
    pub(crate) fn unsendable(of: Unsendable, stream: Option<StreamClaim>, at: Micros) -> Self {
        Self {
            at,
            tenant: of.tenant.into(),
            audit_id: of.audit_id,
            stream,
            problem: Problem::refused(&of.problems),
            event: of.event,
            attached: of.attached,
        }
    }

    /// The same letter after it was sent again and not taken.
    #[must_use]
    pub fn again(self, verdict: Verdict, at: Micros) -> Self {
        match verdict.settled() {
            Ok(_) => self,
            Err(error) => Self {
                at,
                problem: problem(&error),
                ..self
            },
        }
    }

    /// The event, to be sent again; nothing when its tenant's name is none, or when it does not
    /// name what stands beside it, which the ledger would take and nobody would find.
    pub fn outgoing(&self) -> Option<Outgoing> {
        if attachment::unnamed(&self.event, &self.attached).is_some() {
            return None;
        }
        Some(Outgoing {
            tenant: TenantId::parse(&self.tenant).ok()?,
            audit_id: self.audit_id,
            event: self.event.clone(),
            stream: self.stream.clone(),
            attached: self.attached.clone(),
        })
    }

    /// The pieces of what stands beside it, and the letter.
    fn write(&self) -> Vec<Vec<u8>> {
        let head = Head {
            at: self.at.to_rfc3339(),
            attachments: frame::names(&self.attached),
            audit_id: self.audit_id,
            problem: self.problem.clone(),
            stream: self.stream.clone(),
            tenant_id: self.tenant.clone(),
        };
        let mut items = frame::pieces(&self.attached);
        items.push(frame::item(&head, &self.event));
        items
    }

    fn read(pieces: &mut Pieces, item: &[u8]) -> Option<Self> {
        let (head, event) = frame::parts(item)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        Some(Self {
            at: Micros::parse(&head.at).ok()?,
            tenant: head.tenant_id,
            audit_id: head.audit_id,
            stream: head.stream,
            problem: head.problem,
            event: event.to_vec(),
            attached: pieces.attached(head.attachments)?,
        })
    }
}

impl DeadLetters {
    /// Those in `dead-letters` below the root of a disk, which may hold so many bytes in all.
    pub fn new(disk: Arc<dyn Disk>, bytes_max: u64, random: Random) -> Self {
        Self {
            letters: Letters::new(disk, bytes_max, random),
        }
    }

    /// Keeps the first letters that have room, in a file of their own; its name, and how many they
    /// are.
    ///
    /// # Errors
    /// [`SpoolError`] when none is kept.
    ///
    /// # Durability
    /// They are durable when it returns.
    pub fn keep(&self, now: Micros, letters: &[DeadLetter]) -> Result<(String, usize), SpoolError> {
        let items: Vec<_> = letters.iter().map(DeadLetter::write).collect();
        let (number, kept) = self.letters.keep(micros(now), &items)?;
        Ok((name(number), kept))
    }

    /// The names of the files, oldest first. One that is being written is not among them.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn files(&self) -> Result<Vec<String>, SpoolError> {
        Ok(self.letters.files()?.into_iter().map(name).collect())
    }

    /// Calls `visit` with the number of each letter of a file and the letter, until it returns
    /// false. False when the file is not there any more.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when it is not what was written, or not to its end; the letters
    /// before that were visited.
    pub fn read(
        &self,
        file: &str,
        visit: &mut dyn FnMut(u64, DeadLetter) -> bool,
    ) -> Result<bool, SpoolError> {
        let number = number(file).ok_or_else(|| unreadable(file, "it is no such file"))?;
        let (mut strange, mut place, mut pieces) = (false, 0, Pieces::default());
        let whole = self.letters.read(number, &mut |_, item| {
            if pieces.take(&item) {
                return true;
            }
            let letter = DeadLetter::read(&mut pieces, &item);
            strange |= letter.is_none();
            place += 1;
            letter.is_some_and(|letter| visit(place - 1, letter))
        })?;
        if strange {
            let path = self.letters.path(number);
            return Err(unreadable(&path, "what it holds is no letter"));
        }
        Ok(whole)
    }

    /// Removes a file for good: its key is overwritten first.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    ///
    /// # Durability
    /// It is gone when it returns.
    pub fn remove(&self, file: &str) -> Result<(), SpoolError> {
        number(file).map_or(Ok(()), |number| self.letters.remove(number))
    }

    /// Sees whether letters can be kept, but for room, of which there may be more later.
    pub(crate) fn probe(&self) -> Result<(), SpoolError> {
        self.letters
            .probe()
            .or_else(|error| if error.is_full() { Ok(()) } else { Err(error) })
    }

    /// Removes what processes left that died while they wrote it.
    pub(crate) fn tidy(&self, now: Micros) -> Result<(), SpoolError> {
        self.letters.tidy(micros(now))
    }
}

impl Shared {
    /// Puts events aside, durably, and counts them; what finds no room is counted and told.
    pub(crate) fn put_aside(&self, letters: &[DeadLetter]) {
        let Some(dead_letters) = self.dead_letters.as_ref().filter(|_| !letters.is_empty()) else {
            return;
        };
        let (kept, error) = match dead_letters.keep(self.surroundings.now(), letters) {
            Ok((_, kept)) if kept == letters.len() => (kept, None),
            Ok((_, kept)) => (kept, Some("there is no room for all of them".to_owned())),
            Err(error) => (0, Some(error.to_string())),
        };
        add(&self.counters.dead_lettered, kept);
        add(&self.counters.dead_letters_lost, letters.len() - kept);
        if let Some(error) = error {
            self.disk_trouble(format!("dead letters: {error}"));
        }
    }
}

impl Verdict {
    /// Why an event has no receipt, as a document; nothing when it has one.
    pub fn problem(self) -> Option<Problem> {
        self.settled().err().map(|error| problem(&error))
    }
}

/// Why an event has no receipt, as a document.
fn problem(error: &EmitError) -> Problem {
    match error {
        EmitError::Refused(problems) => Problem::refused(problems),
        EmitError::Conflict(receipt) => Problem {
            receipt: receipt.clone(),
            ..Problem::new(ProblemKind::Conflict, error.to_string())
        },
        error => Problem::new(ProblemKind::Undelivered, error.to_string()),
    }
}

fn micros(at: Micros) -> u64 {
    u64::try_from(at.0).unwrap_or(0)
}

fn name(number: u64) -> String {
    format!("{number:016}")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| digits)
}

fn unreadable(path: &str, what: &'static str) -> SpoolError {
    SpoolError::Damaged {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::ProblemCode;

    use super::*;

    #[test]
    fn a_letter_holds_all_of_an_event_and_its_reason() {
        let problems = [indelible_event::Problem::at(
            "/actor",
            ProblemCode::WrongType,
            "is no object",
        )];
        let outgoing = Outgoing {
            tenant: TenantId::parse("acme").unwrap(),
            audit_id: AuditId::parse("019a9b00-0000-7000-8000-000000000001").unwrap(),
            event: b"{\"a\":\"b\\nc\"}".to_vec(),
            stream: Some(StreamClaim {
                epoch: 7,
                id: "web-\"1".to_owned(),
                number: u64::MAX,
            }),
            attached: Vec::new(),
        };
        let error = EmitError::Refused(problems.to_vec());
        let letter = DeadLetter::of(&outgoing, &error, Micros(1_700_000_000_000_001));
        assert_eq!(letter.problem.pointer.as_deref(), Some("/actor"));
        let read = DeadLetter::read(&mut Pieces::default(), &letter.write()[0]).unwrap();
        assert_eq!(read, letter);
        assert_eq!(read.outgoing(), Some(outgoing));
        let nobody = DeadLetter {
            tenant: "no tenant".to_owned(),
            stream: None,
            ..letter
        };
        let read = DeadLetter::read(&mut Pieces::default(), &nobody.write()[0]).unwrap();
        assert_eq!((read.outgoing(), &read), (None, &nobody));
        assert_eq!(DeadLetter::read(&mut Pieces::default(), b"{}\n{}"), None);
    }
}
