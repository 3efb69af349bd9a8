//! What a program emits and an event has no room for: read back equal by its digest, over HTTP and
//! in a directory, also when the server had lost it; and what the verifier says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indelible::{Actor, Attachment, Audit, Micros, TenantId, Ticket, json};
use indelible_emit::http::{Http, HttpOptions};
use indelible_emit::{Attached, Emitter, Options, Outgoing, Surroundings, Transport, Verdict};
use serde_json::Value;
use support::Place;
use support::served::{Client, Serving};

const SOON: Duration = Duration::from_mins(1);
const MIB: usize = 1 << 20;

fn prompt() -> String {
    let words: Vec<_> = (0..5 * MIB / 8).map(|n| format!("{n:07}")).collect();
    words.join(" ")
}

fn picture() -> Vec<u8> {
    (0..3 * MIB).map(|n| n.to_le_bytes()[1]).collect()
}

fn emit(audit: &Audit) -> Ticket {
    let event = audit.for_tenant("acme").action("llm.call");
    let event = event.actor(Actor::agent("writer")).target("post", "1");
    event
        .succeeded()
        .data(json!({"prompt": prompt(), "model": "m-1"}))
        .picture_proof(Attachment::bytes("image/png", picture()))
        .emit()
}

fn get(serving: &Serving, path: &str) -> (u16, Vec<u8>) {
    let mut client = Client::connect(&serving.address).unwrap();
    let answer = client.ask("GET", path, &[], b"").unwrap();
    (answer.status, answer.body)
}

/// What an event holds is there, byte for byte, and all is well with the ledger.
fn is_whole(place: &Place, serving: &mut Serving, ticket: &Ticket) {
    let receipt = ticket.committed_blocking(SOON).unwrap();
    let path = format!("/v1/records/{}?tenant=acme", receipt.audit_id);
    let (status, record) = get(serving, &path);
    assert_eq!(status, 200);
    let record: Value = serde_json::from_slice(&record).unwrap();
    let event = &record["record"]["event"];
    assert_eq!(event["data"]["model"], "m-1");
    for (place, bytes) in [
        (&event["data"]["prompt"], prompt().into_bytes()),
        (&event["proof"]["data"], picture()),
    ] {
        let named = &place["attachment"];
        assert_eq!(named["bytes"], bytes.len());
        let digest = named["digest"].as_str().unwrap();
        let (status, found) = get(serving, &format!("/v1/attachments/{digest}?tenant=acme"));
        assert!(
            status == 200 && found == bytes,
            "{status}: {} bytes",
            found.len()
        );
    }
    assert_eq!(serving.signal("TERM"), Some(0));
    place.ok("verify --require-anchor");
}

#[test]
fn five_mebibytes_go_over_http_and_come_back() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let address = format!("http://{}", serving.address);
    let audit = Audit::connect(&address).unwrap().build().unwrap();
    let ticket = emit(&audit);
    is_whole(&place, &mut serving, &ticket);
}

#[test]
fn five_mebibytes_go_into_a_directory_and_come_back() {
    let place = Place::new();
    let audit = Audit::embedded(place.at("indelible-data"));
    let audit = audit.keys(place.at("home/.config/indelible"));
    let audit = audit.spool(place.at("spool")).build().unwrap();
    let ticket = emit(&audit);
    let report = audit.close(SOON);
    assert!(report.is_clean(), "{report}");
    drop(audit);
    let mut serving = Serving::start(&place, "");
    is_whole(&place, &mut serving, &ticket);
}

struct Process(Instant);

impl Surroundings for Process {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }
}

/// The way to a server, which loses what it was given before the first event comes.
struct Losing {
    http: Http,
    waiting: Option<PathBuf>,
    uploads: Arc<std::sync::atomic::AtomicUsize>,
}

impl Transport for Losing {
    fn names_tenant(&self) -> bool {
        true
    }

    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        self.uploads
            .fetch_add(attached.len(), std::sync::atomic::Ordering::SeqCst);
        self.http.attach(tenant, attached)
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        if let Some(waiting) = self.waiting.take() {
            let files = std::fs::read_dir(waiting).unwrap();
            let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            assert_eq!(files.len(), 1);
            std::fs::remove_file(&files[0]).unwrap();
        }
        self.http.deliver(batch)
    }
}

/// As when it was stored more than a day before its event came.
#[test]
fn a_server_that_has_lost_an_upload_gets_it_again() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let uploads = Arc::default();
    let way = Losing {
        http: Http::new(
            &format!("http://{}", serving.address),
            HttpOptions::default(),
        )
        .unwrap(),
        waiting: Some(place.at("indelible-data/attachments/waiting")),
        uploads: Arc::clone(&uploads),
    };
    let emitter = Emitter::start(way, Options::default(), Arc::new(Process(Instant::now())));
    let emitter = emitter.unwrap();
    let event = emitter.for_tenant("acme").action("llm.call");
    let event = event
        .actor(Actor::agent("writer"))
        .target("post", "1")
        .succeeded();
    let ticket = event
        .picture_proof(Attachment::bytes("image/png", picture()))
        .emit();
    ticket.committed_blocking(SOON).unwrap();
    assert_eq!(uploads.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert!(emitter.close(SOON).is_clean());
    assert_eq!(serving.signal("TERM"), Some(0));
    place.ok("verify --require-anchor");
}
