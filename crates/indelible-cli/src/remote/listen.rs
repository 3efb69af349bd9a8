//! A tail of a server, as server-sent events.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::Sender;
use std::time::Duration;

use indelible_api::Problem;
use indelible_api::tail::EVENT_STREAM;
use indelible_event::ids::TenantId;

use super::{Remote, TIMEOUT};
use crate::exit::Failure;

/// How long one connection is kept; then it is opened again.
const KEPT: Duration = Duration::from_mins(10);
/// The longest line that is read, in bytes: a record twice, escaped.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// What a tail is asked by.
pub struct Asking {
    /// The query text.
    pub text: String,
    /// Only this tenant's log.
    pub tenant: Option<TenantId>,
    /// Where a tail before ended.
    pub after: Option<String>,
    /// Whether it begins with what is there already.
    pub from_start: bool,
}

/// What was heard.
pub enum Heard {
    /// An event.
    Said {
        /// What it is.
        event: String,
        /// Where to go on behind it.
        cursor: String,
        /// What is in it.
        data: String,
    },
    /// There is no room at the moment.
    Busy(String),
    /// The connection is not there, or no more.
    Lost(String),
    /// The server refuses.
    Refused(Failure),
}

impl Remote {
    /// What asks for a tail and hands on what is heard, until nobody listens or it is over.
    pub fn listen(&self, asking: Asking, heard: Sender<Heard>) -> impl FnOnce() + Send + 'static {
        let (url, key, agent) = (self.url.clone(), self.key.clone(), self.agent.clone());
        let remote = Self { agent, url, key };
        move || {
            let end = remote.hear(&asking, &heard);
            // Nobody may listen any more.
            let _ = heard.send(end);
        }
    }

    fn hear(&self, asking: &Asking, heard: &Sender<Heard>) -> Heard {
        let request = self.agent.get(format!("{}/v1/tail", self.url));
        let mut query = vec![("q", asking.text.as_str())];
        query.extend(asking.tenant.as_ref().map(|t| ("tenant", t.as_str())));
        match &asking.after {
            Some(after) => query.push(("after", after)),
            None if asking.from_start => query.push(("from", "start")),
            None => {}
        }
        let request = request.query_pairs(query).header("accept", EVENT_STREAM);
        let request = match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        };
        let request = request.config().timeout_global(Some(KEPT));
        let request = request.timeout_recv_response(Some(TIMEOUT)).build();
        let mut answer = match request.call() {
            Ok(answer) => answer,
            Err(error) => return Heard::Lost(format!("no answer from {}: {error}", self.url)),
        };
        let status = answer.status().as_u16();
        if status != 200 {
            let body = answer.body_mut().read_to_vec().unwrap_or_default();
            return match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) if problem.is_retryable() => {
                    Heard::Busy(format!("{}: {}", self.url, problem.detail))
                }
                Ok(problem) => Heard::Refused(self.refused(&problem)),
                Err(_) => Heard::Refused(self.unknown(status)),
            };
        }
        let lost = || format!("the connection to {} was lost", self.url);
        let mut lines = BufReader::new(answer.body_mut().as_reader());
        loop {
            match event(&mut lines) {
                Ok(Some(said)) => {
                    if heard.send(said).is_err() {
                        return Heard::Lost(lost());
                    }
                }
                Ok(None) => return Heard::Lost(lost()),
                Err(error) => return Heard::Lost(format!("{}: {error}", lost())),
            }
        }
    }
}

/// The next event; `None` behind the last.
fn event(lines: &mut impl BufRead) -> std::io::Result<Option<Heard>> {
    let (mut event, mut cursor, mut data) = (String::new(), String::new(), String::new());
    loop {
        let mut line = String::new();
        let mut within = Read::by_ref(lines).take(LINE_BYTES_MAX);
        if within.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            let what = "an event is cut off, or too long";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            if event.is_empty() {
                continue;
            }
            return Ok(Some(Heard::Said {
                event,
                cursor,
                data,
            }));
        }
        match line.split_once(": ") {
            Some(("event", text)) => text.clone_into(&mut event),
            Some(("id", text)) => text.clone_into(&mut cursor),
            Some(("data", text)) => text.clone_into(&mut data),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn events_are_read_one_by_one_and_one_that_is_cut_off_is_none() {
        let text = ": nothing\n\nevent: record\nid: c1\ndata: {\"a\": 1}\n\nevent: end\nid: \ndat";
        let mut lines = text.as_bytes();
        let Some(Heard::Said {
            event: name,
            cursor,
            data,
        }) = event(&mut lines).unwrap()
        else {
            panic!("an event");
        };
        assert_eq!((&*name, &*cursor, &*data), ("record", "c1", "{\"a\": 1}"));
        assert!(event(&mut lines).is_err());
        let long = "data: ".to_owned() + &"x".repeat(5 << 20);
        assert!(event(&mut long.as_bytes()).is_err());
    }
}
