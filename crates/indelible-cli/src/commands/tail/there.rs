//! Records of a server, as they come; a connection that is lost is opened again where it was.
//!
//! What comes is checked as the records of a list are. A server that says nothing for longer than
//! its heartbeats are apart is asked anew.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indelible_api::tail::{END, RECORD, UNREADABLE};
use indelible_api::{Record, TailEnd, TailReason, Unreadable};
use indelible_event::ids::Micros;

use super::{Following, cancelled};
use crate::cancel;
use crate::commands::query::shown::{Found, alone};
use crate::exit::{Failure, Result};
use crate::output::{Output, Show};
use crate::remote::{Asking, Checked, Heard, Remote};

/// How long nothing may be said: three heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it waits before it tries again, at first and at most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Shows what comes.
///
/// # Errors
/// [`Failure::Cancelled`] by a signal; else when the server refuses, or cannot be right.
pub fn follow(following: &Following, remote: &Remote, output: &mut Output) -> Result {
    let _gently = cancel::gently();
    let mut showing = Showing {
        remote,
        cursor: following.after.clone(),
        now: following.now,
        has_begun: false,
    };
    let mut pause = PAUSE;
    loop {
        let came = showing.come(following, output);
        output.flush()?;
        let why = match came {
            Err(failure) => return Err(failure),
            Ok(Lost { why, said }) => {
                if said {
                    pause = PAUSE;
                }
                why
            }
        };
        output.note(format_args!("{why}; trying again"));
        let until = Instant::now() + pause;
        while Instant::now() < until {
            showing.look()?;
            std::thread::sleep(LOOK_EVERY);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

struct Showing<'a> {
    remote: &'a Remote,
    cursor: Option<String>,
    now: Micros,
    /// Whether the server has answered once, so that it may be lost.
    has_begun: bool,
}

/// Why a connection is no more.
struct Lost {
    why: String,
    /// Whether something was said over it.
    said: bool,
}

impl Showing<'_> {
    /// Shows what comes over one connection.
    fn come(&mut self, following: &Following, output: &mut Output) -> Result<Lost> {
        let (sender, heard) = channel();
        let text = following.parsed.to_string();
        let asking = Asking {
            text,
            tenant: following.tenant.clone(),
            after: self.cursor.clone(),
            from_start: following.from_start,
        };
        let opened = self.remote.listen(asking, sender);
        std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(opened)
            .map_err(|error| Failure::Could(format!("cannot start a thread: {error}")))?;
        let mut last = Instant::now();
        let mut said = false;
        loop {
            self.look()?;
            let next = match self.next(&heard, output)? {
                Some(next) => next,
                None if last.elapsed() < SILENCE_MAX => continue,
                None => Heard::Lost(format!("{} says nothing", self.remote.url())),
            };
            last = Instant::now();
            match next {
                Heard::Said {
                    event,
                    cursor,
                    data,
                } => {
                    (said, self.has_begun) = (true, true);
                    let lost = self.said(&event, &data, output)?;
                    self.cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
                    if let Some(why) = lost {
                        return Ok(Lost { why, said });
                    }
                }
                Heard::Lost(why) if self.has_begun => return Ok(Lost { why, said }),
                Heard::Lost(why) => return Err(Failure::Could(why)),
                Heard::Refused(failure) => return Err(failure),
                Heard::Busy(why) => return Ok(Lost { why, said }),
            }
        }
    }

    fn next(&self, heard: &Receiver<Heard>, output: &mut Output) -> Result<Option<Heard>> {
        if let Ok(next) = heard.try_recv() {
            return Ok(Some(next));
        }
        // Nothing waits, so whoever reads along gets what there is.
        output.flush()?;
        match heard.recv_timeout(LOOK_EVERY) {
            Ok(next) => Ok(Some(next)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let why = format!("the connection to {} was lost", self.remote.url());
                Ok(Some(Heard::Lost(why)))
            }
        }
    }

    /// Whether a signal ends it.
    fn look(&self) -> Result {
        if cancel::wanted() {
            let now = self.now.0;
            let cursor = self.cursor.as_ref();
            let cursor = cursor.map(|cursor| format!("{cursor}.{now}"));
            return Err(cancelled(cursor.as_deref()));
        }
        Ok(())
    }

    /// Shows what was said; why the connection ends, if it does.
    fn said(&self, event: &str, data: &str, output: &mut Output) -> Result<Option<String>> {
        let strange = |error: serde_json::Error| {
            let what = format!("an event `{}`: {error}", event.shown());
            self.remote.strange(what)
        };
        match event {
            RECORD => {
                let record: Record = serde_json::from_str(data).map_err(strange)?;
                let checked = Checked::of(&record).map_err(|what| self.remote.strange(what))?;
                let found = Found {
                    place: &checked.place,
                    leaf: &checked.leaf,
                    event: checked.event,
                    record_hash: checked.record_hash,
                };
                alone(&found, output)?;
                Ok(None)
            }
            UNREADABLE => {
                let said: Unreadable = serde_json::from_str(data).map_err(strange)?;
                let whose = said.tenant_id.unwrap_or_default();
                let (whose, place) = (whose.shown(), said.place.shown());
                output.warn(format_args!("records of {whose} cannot be read: {place}"));
                Ok(None)
            }
            END => {
                let end: TailEnd = serde_json::from_str(data).map_err(strange)?;
                let (detail, url) = (end.detail.shown(), self.remote.url());
                if end.reason == TailReason::NotInForce {
                    return Err(Failure::Could(format!("{url}: {detail}")));
                }
                Ok(Some(format!("{url}: {detail}")))
            }
            // Where it is, and that it is there.
            _ => Ok(None),
        }
    }
}
