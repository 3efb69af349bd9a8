//! Delivery over HTTP, against a server that answers what a test wants.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indelible_emit::http::{AddressError, Http, HttpOptions};
use indelible_emit::{
    ATTACHED_MAX, Actor, Attached, EmitError, Emitter, Outgoing, Ticket, Transport, Verdict,
};
use indelible_event::{AuditId, Event, StreamClaim, TenantId};
use serde_json::{Value, json};
use support::{Memory, quick, start};

const SOON: Duration = Duration::from_secs(20);

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Reply {
    /// Commits all and says so.
    Commit,
    /// Commits all, and breaks the connection in the middle of the answer.
    CommitAndBreak,
    /// A status, headers and a body.
    Status(u16, &'static str, &'static str),
    /// 413 for more than so many events, else a commit.
    AtMost(usize),
}

#[derive(Clone)]
struct Server {
    memory: Memory,
    heads: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// A server that answers with these in turn, the last one for ever.
    fn start(replies: &'static [Reply]) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (Self::on(listener, replies), address)
    }

    fn on(listener: TcpListener, replies: &'static [Reply]) -> Self {
        let server = Self {
            memory: Memory::default(),
            heads: Arc::default(),
            bodies: Arc::default(),
        };
        let here = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                here.serve(stream.unwrap(), replies);
            }
        });
        server
    }

    fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    fn serve(&self, mut stream: TcpStream, replies: &[Reply]) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            if head.contains("content-encoding: zstd") {
                body = zstd::stream::decode_all(&body[..]).unwrap();
            }
            let number = self.requests();
            self.heads.lock().unwrap().push(head);
            self.bodies.lock().unwrap().push(body.clone());
            let reply = replies[number.min(replies.len() - 1)];
            let answer = self.answer(reply, &body);
            stream.write_all(answer.as_bytes()).unwrap();
            if matches!(reply, Reply::CommitAndBreak) {
                return;
            }
        }
    }

    fn answer(&self, reply: Reply, body: &[u8]) -> String {
        let events = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let reply = match reply {
            Reply::AtMost(most) if events.clone().count() > most => Reply::Status(413, "", ""),
            other => other,
        };
        let whole = match reply {
            Reply::Status(status, headers, body) => {
                let length = body.len();
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}")
            }
            Reply::Commit | Reply::CommitAndBreak | Reply::AtMost(_) => {
                let results: Vec<_> = (0..).zip(events).map(|(n, e)| self.commit(n, e)).collect();
                let body = json!({"results": results, "accepted": 0, "repeated": 0, "rejected": 0});
                let body = body.to_string();
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        };
        let half = whole.len() / 2;
        match reply {
            Reply::CommitAndBreak => whole[..half].to_owned(),
            _ => whole,
        }
    }

    fn commit(&self, index: usize, line: &[u8]) -> Value {
        let mut event = Event::parse(line).unwrap();
        let claim = event.more.remove("_stream");
        let tenant = event
            .more
            .get("tenant_id")
            .unwrap()
            .as_text()
            .unwrap()
            .to_owned();
        let outgoing = Outgoing {
            tenant: TenantId::parse(&tenant).unwrap(),
            audit_id: AuditId::parse(event.audit_id.as_deref().unwrap()).unwrap(),
            stream: claim.map(|_| StreamClaim {
                epoch: 0,
                id: String::new(),
                number: 0,
            }),
            event: event.into_json().to_canonical(),
            attached: Vec::new(),
        };
        json!({"index": index, "status": 201, "receipt": self.memory.commit(&outgoing)})
    }
}

fn connect(address: &str, api_key: Option<&str>) -> Emitter {
    let options = HttpOptions {
        api_key: api_key.map(str::to_owned),
        timeout: Duration::from_secs(10),
        ..HttpOptions::default()
    };
    start(Http::new(address, options).unwrap(), quick())
}

fn publish(emitter: &Emitter, tenant: &str, id: &str) -> Ticket {
    let event = emitter.for_tenant(tenant).action("content.publish");
    let event = event.actor(Actor::agent("publisher")).target("post", id);
    event.succeeded().emit()
}

#[test]
fn a_batch_of_many_tenants_is_one_request() {
    let (server, address) = Server::start(&[Reply::Commit]);
    let emitter = connect(&address, Some("ind_1_secret"));
    let tickets: Vec<_> = (0..500)
        .map(|n| publish(&emitter, &format!("t{}", n % 3), &n.to_string()))
        .collect();
    assert!(emitter.close(SOON).is_clean());
    for (n, ticket) in tickets.iter().enumerate() {
        let receipt = ticket.settled().unwrap().unwrap();
        assert_eq!(receipt.audit_id, ticket.audit_id());
        assert_eq!(receipt.tenant_id.as_str(), format!("t{}", n % 3));
    }
    let heads = server.heads.lock().unwrap();
    assert!(heads.len() <= 3, "{}", heads.len());
    let head = heads.iter().find(|head| head.contains("zstd")).unwrap();
    assert!(
        head.starts_with("post /v1/events:batch http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("authorization: bearer ind_1_secret\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/x-ndjson\r\n"),
        "{head}"
    );
}

#[test]
fn no_room_is_waited_out_as_long_as_the_server_says() {
    const BUSY: Reply = Reply::Status(503, "retry-after: 1\r\n", "");
    let (server, address) = Server::start(&[BUSY, Reply::Commit]);
    let mut options = quick();
    options.retry.delay_max = Duration::from_secs(10);
    let http = Http::new(&address, HttpOptions::default()).unwrap();
    let emitter = start(http, options);
    let began = Instant::now();
    assert!(
        publish(&emitter, "acme", "1")
            .committed_blocking(SOON)
            .is_ok()
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
    let bodies = server.bodies.lock().unwrap();
    assert!(
        bodies.len() == 2 && bodies[0] == bodies[1],
        "the same bytes again"
    );
}

#[test]
fn a_broken_answer_is_no_failure_and_no_repeat() {
    let (server, address) = Server::start(&[Reply::CommitAndBreak, Reply::Commit]);
    let emitter = connect(&address, None);
    let ticket = publish(&emitter, "acme", "1");
    let receipt = ticket.committed_blocking(SOON).unwrap();
    assert_eq!(
        (receipt.sequence_number, receipt.audit_id),
        (1, ticket.audit_id())
    );
    assert_eq!(server.memory.look(|kept| kept.events.len()), 1);
    assert_eq!(server.requests(), 2);
}

#[test]
fn what_a_person_must_correct_is_not_tried_again() {
    const BODY: &str = concat!(
        r#"{"type":"t","title":"A key is needed","status":401,"#,
        r#""detail":"none was sent","next":"send one"}"#
    );
    for status in [401, 403, 422] {
        let replies = Box::leak(Box::new([Reply::Status(status, "", BODY)]));
        let (server, address) = Server::start(replies);
        let emitter = connect(&address, None);
        let settled = publish(&emitter, "acme", "1").committed_blocking(SOON);
        let Err(EmitError::Failed(reason)) = settled else {
            panic!("{settled:?}")
        };
        assert!(reason.starts_with("A key is needed"), "{reason}");
        assert_eq!(server.requests(), 1);
    }
}

#[test]
fn a_batch_that_is_too_large_for_what_is_between_is_halved() {
    let (server, address) = Server::start(&[Reply::AtMost(40)]);
    let emitter = connect(&address, None);
    let tickets: Vec<_> = (0..150)
        .map(|n| publish(&emitter, "acme", &n.to_string()))
        .collect();
    assert!(emitter.close(SOON).is_clean());
    let numbers: Vec<_> = tickets
        .iter()
        .map(|ticket| ticket.settled().unwrap().unwrap().sequence_number)
        .collect();
    assert!(numbers.is_sorted(), "the order is kept");
    assert_eq!(server.memory.look(|kept| kept.events.len()), 150);
}

#[test]
fn a_server_that_comes_later_gets_what_waited_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = quick();
    options.retry.attempts_max = None;
    let http = Http::new(&format!("http://{address}"), HttpOptions::default()).unwrap();
    let emitter = start(http, options);
    let ticket = publish(&emitter, "acme", "1");
    let timed_out = ticket.committed_blocking(Duration::from_millis(100));
    assert_eq!(timed_out, Err(EmitError::TimedOut));
    let _server = Server::on(TcpListener::bind(address).unwrap(), &[Reply::Commit]);
    assert!(ticket.committed_blocking(SOON).is_ok());
    assert!(emitter.metrics().retried > 0);
}

#[test]
fn an_address_or_a_key_that_is_none_is_said_at_once() {
    for address in [
        "",
        "ftp://x",
        "http://",
        "http://x?y=1",
        "http://x#f",
        "http://x/#",
        "http://a b",
        "http://x:99999",
    ] {
        let http = Http::new(address, HttpOptions::default());
        assert!(matches!(http, Err(AddressError::Address(_))), "{address}");
    }
    for address in ["127.0.0.1:8080", "localhost:8080", "audit.example"] {
        let error = Http::new(address, HttpOptions::default()).unwrap_err();
        assert_eq!(error, AddressError::Scheme(address.to_owned()));
        assert!(error.to_string().contains(&format!("http://{address}")));
    }
    let options = HttpOptions {
        api_key: Some("a\r\nb".to_owned()),
        ..HttpOptions::default()
    };
    assert!(
        !format!("{options:?}").contains("a\\r"),
        "keys are not shown"
    );
    let http = Http::new("http://x", options);
    assert_eq!(http.err(), Some(AddressError::Key));
    let http = Http::new("http://ada:secret@127.0.0.1:8080", HttpOptions::default());
    assert_eq!(http.err(), Some(AddressError::Credentials));
    let options = HttpOptions {
        timeout: Duration::ZERO,
        ..HttpOptions::default()
    };
    let http = Http::new("http://127.0.0.1:8080", options);
    assert_eq!(http.err(), Some(AddressError::NoTime));
}

/// A server that answers no upload before eight are there.
#[test]
fn what_stands_beside_an_event_is_sent_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut open = Vec::new();
        for _ in 0..ATTACHED_MAX {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0);
            }
            // The last of them is refused.
            let status = if open.len() + 1 < ATTACHED_MAX {
                201
            } else {
                503
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            open.push((reader, move || stream.write_all(answer.as_bytes()).unwrap()));
        }
        for (mut reader, mut answer) in open {
            reader.read_exact(&mut [0; 5]).unwrap();
            answer();
        }
    });
    let options = HttpOptions {
        timeout: Duration::from_secs(10),
        ..HttpOptions::default()
    };
    let mut http = Http::new(&address, options).unwrap();
    let attached = Attached {
        digest: format!("sha256:{}", "0".repeat(64)),
        media_type: "text/plain".to_owned(),
        bytes: Arc::from(&b"bytes"[..]),
    };
    let group = vec![attached; ATTACHED_MAX];
    let tenant = TenantId::parse("acme").unwrap();
    let stored = http.attach(&tenant, &group);
    server.join().unwrap();
    let Err((place, Verdict::Again { .. })) = stored else {
        panic!("{stored:?}")
    };
    assert!(place < ATTACHED_MAX);
}
