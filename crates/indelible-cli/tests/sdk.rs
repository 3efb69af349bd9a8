//! The library against the real thing: a program that emits into `indelible serve` and into a
//! directory, and the command, which verifies what arrived and says whether it is what the tickets
//! said.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use indelible::{
    Actor, Audit, AuditBuilder, EmitError, Error, Outcome, Receipt, Retry, Ticket, ToDirectory,
    ToServer, json,
};
use serde_json::Value;
use support::Place;
use support::served::Serving;

const SOON: Duration = Duration::from_mins(1);

fn connect(serving: &Serving) -> AuditBuilder<ToServer> {
    let address = format!("http://{}", serving.address);
    Audit::connect(&address).unwrap().service("shop")
}

fn embedded(place: &Place) -> AuditBuilder<ToDirectory> {
    Audit::embedded(place.at("indelible-data")).keys(place.at("home/.config/indelible"))
}

/// Retries that outlast any outage of a test.
fn patient() -> Retry {
    Retry {
        delay_first: Duration::from_millis(10),
        delay_max: Duration::from_millis(100),
        ..Retry::default()
    }
}

fn publish(audit: &Audit, tenant: &str, n: usize) -> Ticket {
    audit
        .for_tenant(tenant)
        .action("content.publish")
        .actor(Actor::user("u-1").email("zebedee@example.com"))
        .target("post", n.to_string())
        .succeeded()
        .api_proof(json!({"postId": n}))
        .emit()
}

fn receipts(tickets: &[Ticket]) -> Vec<Receipt> {
    let settled = |ticket: &Ticket| ticket.settled()?.ok();
    tickets.iter().filter_map(settled).collect()
}

/// The events of a tenant's log, in order, when all is well with the ledger: no id stands twice,
/// and every receipt is of the record at its place.
fn arrived(place: &Place, tenant: &str, receipts: &[Receipt]) -> Vec<Value> {
    place.ok("verify --require-anchor");
    place.ok(&format!("export --tenant {tenant} --out {tenant}.ndjson"));
    let lines = place.read(&format!("{tenant}.ndjson"));
    let leaves: Vec<&[u8]> = lines.trim_ascii_end().split(|b| *b == b'\n').collect();
    for receipt in receipts {
        let number = usize::try_from(receipt.sequence_number).unwrap();
        receipt.check(leaves[number]).unwrap();
    }
    let event = |leaf: &&[u8]| serde_json::from_slice::<Value>(leaf).unwrap()["event"].take();
    let events: Vec<Value> = leaves.iter().map(event).collect();
    let ids: HashSet<_> = events.iter().map(|event| &event["audit_id"]).collect();
    assert_eq!(ids.len(), events.len(), "an event stands twice");
    events
        .into_iter()
        .filter(|event| event["event_type"] == "content.publish")
        .collect()
}

fn targets(events: &[Value]) -> Vec<usize> {
    let target = |event: &Value| event["target"]["id"].as_str().unwrap().parse().unwrap();
    events.iter().map(target).collect()
}

#[test]
fn what_is_emitted_over_http_is_in_the_ledger() {
    const EVENTS: usize = 2_500;
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let audit = connect(&serving).build().unwrap();
    let tenant = |n: usize| ["acme", "beta"][n % 2];
    let tickets: Vec<_> = (0..EVENTS).map(|n| publish(&audit, tenant(n), n)).collect();
    let receipt = tickets[0].committed_blocking(SOON).unwrap();
    let path = format!("/v1/records/{}?tenant=acme", receipt.audit_id);
    assert_eq!(serving.get(&path).0, 200, "one's own writes are read");
    assert!(audit.flush(SOON));
    let receipts = receipts(&tickets);
    assert_eq!(receipts.len(), EVENTS, "a flush settles all");
    let report = audit.close(SOON);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.committed, EVENTS as u64);
    assert_eq!(serving.signal("TERM"), Some(0));
    for (n, tenant) in ["acme", "beta"].into_iter().enumerate() {
        let of_it = |receipt: &&Receipt| receipt.tenant_id.as_str() == tenant;
        let receipts: Vec<_> = receipts.iter().filter(of_it).cloned().collect();
        let events = arrived(&place, tenant, &receipts);
        let expected: Vec<_> = (n..EVENTS).step_by(2).collect();
        assert_eq!(targets(&events), expected, "in order");
        assert_eq!(events[0]["source"]["service"], "shop");
        assert!(events[0]["actor"].get("email").is_none(), "it is sealed");
    }
    let found = place.ok("query --tenant acme --json --limit 0 email:zebedee@example.com");
    assert_eq!(found.json().len(), EVENTS / 2);
}

#[test]
fn a_server_that_is_killed_and_comes_back_has_every_event_once() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let address = serving.address.clone();
    let audit = connect(&serving)
        .batches(100, Duration::from_millis(5))
        .retry(patient())
        .build()
        .unwrap();
    let mut tickets: Vec<_> = (0..3_000).map(|n| publish(&audit, "acme", n)).collect();
    tickets[500].committed_blocking(SOON).unwrap();
    serving.signal("KILL");
    tickets.extend((3_000..4_000).map(|n| publish(&audit, "acme", n)));
    let early = tickets[3_999].committed_blocking(Duration::from_millis(50));
    assert_eq!(early, Err(EmitError::TimedOut), "nobody is there");
    let mut serving = Serving::start_at(&place, &address, "");
    for ticket in &tickets {
        ticket.committed_blocking(SOON).unwrap();
    }
    assert!(audit.metrics().retried > 0);
    assert!(audit.close(SOON).is_clean());
    assert_eq!(serving.signal("TERM"), Some(0));
    let events = arrived(&place, "acme", &receipts(&tickets));
    assert_eq!(targets(&events), (0..4_000).collect::<Vec<_>>());
}

#[test]
fn without_the_right_key_the_ticket_says_what_to_do() {
    let place = Place::new();
    let key = |line: &str| place.ok(line).out.trim().to_owned();
    key("keys create --role admin");
    let reader = key("keys create --role reader --tenant acme");
    let emitter = key("keys create --role emitter --tenant acme");
    let serving = Serving::start(&place, "");
    for (key, tenant, status) in [
        ("ind_nobody_nothing", "acme", "(401)"),
        (&reader, "acme", "(403)"),
        (&emitter, "beta", "(404)"),
    ] {
        let audit = connect(&serving).api_key(key).build().unwrap();
        let settled = publish(&audit, tenant, 1).committed_blocking(SOON);
        let Err(EmitError::Failed(reason)) = settled else {
            panic!("{settled:?}")
        };
        assert!(reason.contains(status), "{status}: {reason}");
        assert!(!reason.contains("nothing"), "the key is not told: {reason}");
        let report = audit.close(SOON);
        assert_eq!((report.committed, report.failed), (0, 1), "{report}");
        assert!(report.to_string().contains(status), "why: {report}");
        assert_eq!(audit.metrics().retried, 0);
    }
    let audit = connect(&serving).api_key(emitter).build().unwrap();
    let receipt = publish(&audit, "acme", 1).committed_blocking(SOON);
    assert_eq!(receipt.unwrap().sequence_number, 1);
    let report = audit.close(SOON);
    assert!(report.is_clean() && report.cause.is_none(), "{report}");
}

#[test]
fn an_address_that_leads_nowhere_says_why() {
    // What nobody answers on is tried again, so that closing has to tell.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let audit = Audit::connect(&format!("http://{address}")).unwrap();
    let audit = audit.service("shop").build().unwrap();
    drop(publish(&audit, "acme", 1));
    let report = audit.close(Duration::from_millis(500));
    let told = report.to_string();
    assert!(
        told.starts_with("0 committed") && told.contains("refused"),
        "{told}"
    );
    // As `main` prints what it returns.
    let error = Audit::connect("127.0.0.1:8080").err().unwrap();
    let told = format!("{error:?}");
    assert!(
        told.starts_with("`127.0.0.1:8080` names no scheme: say http://"),
        "{told}"
    );
}

/// An event whose id is taken and one that cannot be taken, between good ones; the last receipt.
fn bad_company(audit: &Audit) -> Receipt {
    let first = publish(audit, "acme", 0).committed_blocking(SOON).unwrap();
    let taken = audit
        .for_tenant("acme")
        .action("content.delete")
        .actor(Actor::user("u-1"))
        .target("post", "0")
        .succeeded()
        .id(first.audit_id)
        .emit();
    let bad = audit
        .for_tenant("acme")
        .action("no type at all")
        .actor(Actor::user(""))
        .target("post", "1")
        .outcome(Outcome::Unknown)
        .emit();
    let last = publish(audit, "acme", 2).committed_blocking(SOON).unwrap();
    let settled = taken.committed_blocking(SOON);
    assert_eq!(settled, Err(EmitError::Conflict(Some(first.into()))));
    let settled = bad.committed_blocking(SOON);
    let Err(EmitError::Refused(problems)) = settled else {
        panic!("{settled:?}")
    };
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/event_type", "/actor/id"]);
    let report = audit.close(SOON);
    assert_eq!((report.committed, report.failed), (2, 2), "{report}");
    last
}

#[test]
fn a_taken_id_and_a_bad_event_say_so_and_harm_nobody() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let last = bad_company(&connect(&serving).build().unwrap());
    assert_eq!(serving.signal("TERM"), Some(0));
    assert_eq!(targets(&arrived(&place, "acme", &[last])), [0, 2]);

    let place = Place::new();
    let last = bad_company(&embedded(&place).build().unwrap());
    assert_eq!(targets(&arrived(&place, "acme", &[last])), [0, 2]);
}

#[test]
fn a_full_queue_drops_and_only_what_was_dropped_is_missing() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let audit = connect(&serving).queue(100, 1 << 20).build().unwrap();
    serving.stop();
    let first = publish(&audit, "acme", 0);
    let early = first.committed_blocking(Duration::from_millis(50));
    assert_eq!(early, Err(EmitError::TimedOut));
    let mut tickets = vec![first];
    tickets.extend((1..1_001).map(|n| publish(&audit, "acme", n)));
    let dropped = |ticket: &&Ticket| ticket.settled() == Some(Err(EmitError::Dropped));
    let dropped = tickets.iter().filter(dropped).count();
    // What waits in line for the delivery waits behind the queue.
    assert!((500..=901).contains(&dropped), "{dropped}");
    serving.go_on();
    let report = audit.close(SOON);
    assert_eq!(report.dropped, dropped as u64, "{report}");
    assert_eq!(report.committed, 1_001 - report.dropped, "{report}");
    assert_eq!(serving.signal("TERM"), Some(0));
    let events = arrived(&place, "acme", &receipts(&tickets));
    let committed = |n: &usize| matches!(tickets[*n].settled(), Some(Ok(_)));
    let committed: Vec<_> = (0..tickets.len()).filter(committed).collect();
    assert_eq!(targets(&events), committed);
}

#[test]
fn a_close_with_a_server_that_hangs_returns_and_reports_what_is_open() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let audit = connect(&serving).build().unwrap();
    publish(&audit, "acme", 0).committed_blocking(SOON).unwrap();
    serving.stop();
    let tickets: Vec<_> = (1..1_501).map(|n| publish(&audit, "acme", n)).collect();
    let report = audit.close(Duration::from_millis(200));
    assert_eq!((report.committed, report.pending), (1, 1_500), "{report}");
    assert!(publish(&audit, "acme", 1_501).settled().is_some(), "late");
    assert_eq!(audit.close(Duration::ZERO).dropped, 1);
    serving.go_on();
    // What was under way is settled by the answer; the rest was given up and is nowhere.
    let settle = |ticket: &Ticket| ticket.committed_blocking(SOON).is_ok();
    let committed = tickets.iter().filter(|ticket| settle(ticket)).count();
    assert!((1..=1_000).contains(&committed), "a batch: {committed}");
    assert_eq!(serving.signal("TERM"), Some(0));
    let events = arrived(&place, "acme", &receipts(&tickets));
    assert_eq!(targets(&events), (0..=committed).collect::<Vec<_>>());
}

#[test]
fn what_is_emitted_into_a_directory_the_command_verifies() {
    let place = Place::new();
    let audit = embedded(&place).queue(200, 1 << 20).build().unwrap();
    let mut tickets = vec![publish(&audit, "acme", 0)];
    tickets[0].committed_blocking(SOON).unwrap();
    // No disk keeps up with this.
    while audit.metrics().dropped < 50 {
        tickets.push(publish(&audit, "acme", tickets.len()));
    }
    let beside = place.ok("query --tenant acme --json --limit 0 type:content.publish");
    assert!(beside.json().len() <= tickets.len(), "it reads beside it");
    let report = audit.close(SOON);
    assert_eq!(report.committed + report.dropped, tickets.len() as u64);
    assert_eq!((report.dropped, report.pending), (50, 0), "{report}");
    let committed = |n: &usize| matches!(tickets[*n].settled(), Some(Ok(_)));
    let committed: Vec<_> = (0..tickets.len()).filter(committed).collect();
    let events = arrived(&place, "acme", &receipts(&tickets));
    assert_eq!(targets(&events), committed);
}

#[test]
fn a_close_that_gives_up_leaves_a_ledger_that_is_whole() {
    let place = Place::new();
    let audit = embedded(&place).build().unwrap();
    let tickets: Vec<_> = (0..10_000).map(|n| publish(&audit, "acme", n)).collect();
    let report = audit.close(Duration::ZERO);
    assert_eq!(report.committed + report.pending, 10_000, "{report}");
    assert!(report.pending > 0, "{report}");
    drop(audit);
    let settle = |ticket: &Ticket| ticket.committed_blocking(SOON).is_ok();
    let committed = tickets.iter().filter(|ticket| settle(ticket)).count();
    // The directory is let go when the batch under way is done, a moment after its tickets are.
    let next = loop {
        match embedded(&place).build() {
            Err(Error::Locked(..)) => std::thread::sleep(Duration::from_millis(5)),
            other => break other.unwrap(),
        }
    };
    publish(&next, "acme", committed);
    assert!(next.close(SOON).is_clean());
    let events = arrived(&place, "acme", &receipts(&tickets));
    assert_eq!(targets(&events), (0..=committed).collect::<Vec<_>>());
}

/// Something between that sends every request twice, and passes the second answer on.
fn doubling(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // A test ends in the middle of one.
            let _ = double(&mut stream, &server);
        }
    });
    address
}

fn double(stream: &mut TcpStream, server: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
        if !line.starts_with("connection:") {
            head.push_str(
                &line
                    .replacen("post /v1", "POST /v1", 1)
                    .replace("http/1.1", "HTTP/1.1"),
            );
            head.push_str("\r\n");
        }
    }
    head.push_str("connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut answer = Vec::new();
    for _ in 0..2 {
        let mut server = TcpStream::connect(server)?;
        server.write_all(head.as_bytes())?;
        server.write_all(&body)?;
        answer.clear();
        server.read_to_end(&mut answer)?;
    }
    stream.write_all(&answer)
}

#[test]
fn what_something_between_sends_twice_is_there_once_and_not_declared_lost() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let address = format!("http://{}", doubling(serving.address.clone()));
    let audit = Audit::connect(&address).unwrap().service("shop");
    let audit = audit.retry(patient()).build().unwrap();
    let tickets: Vec<_> = (0..500).map(|n| publish(&audit, "acme", n)).collect();
    for _ in 0..5 {
        audit.left_out("acme", "sampled: one in 4");
    }
    let report = audit.close(SOON);
    assert_eq!((report.committed, report.pending), (500, 0), "{report}");
    assert_eq!(audit.metrics().others_failed, 0);
    assert_eq!(serving.signal("TERM"), Some(0));
    assert_eq!(arrived(&place, "acme", &receipts(&tickets)).len(), 500);
    let told = place.ok("verify --tenant acme").out;
    let loss = "declared loss (5, sampled: one in 4)";
    assert!(told.contains(loss) && !told.contains("gap"), "{told}");
}
