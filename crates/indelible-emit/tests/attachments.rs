//! Attachments: what does not fit an event is stored before it is delivered, whatever dies; and
//! nothing is cut short.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indelible_buffer::SpoolBounds;
use indelible_disk::RealDisk;
use indelible_emit::{
    ATTACHED_MAX, ATTACHMENT_BYTES_MAX, Actor, Attached, Attachment, DeadLetter, DeadLetters,
    EmitError, Emitter, EventBuilder, Options, Outgoing, Proof, SpoolOptions, Transport, Verdict,
    json,
};
use indelible_event::limits::EVENT_BYTES_MAX;
use indelible_event::{Problem, ProblemCode, TenantId};
use serde_json::Value;
use support::{Memory, Stuck, quick, start};

const SOON: Duration = Duration::from_mins(1);

/// A ledger that takes no event of which an attachment is missing.
#[derive(Clone, Default)]
struct Shelf {
    memory: Memory,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    bytes: HashMap<String, Arc<[u8]>>,
    uploads: usize,
    /// So many batches more are delivered after what was stored has been lost.
    losing: usize,
    /// What the next uploads come to.
    verdicts: Vec<Verdict>,
}

impl Shelf {
    fn look<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap())
    }
}

impl Transport for Shelf {
    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        assert_eq!(tenant.as_str(), "acme");
        assert!(attached.len() <= ATTACHED_MAX);
        self.look(|kept| {
            for (place, attached) in attached.iter().enumerate() {
                if let Some(verdict) = kept.verdicts.pop() {
                    return Err((place, verdict));
                }
                kept.uploads += 1;
                kept.bytes
                    .insert(attached.digest.clone(), Arc::clone(&attached.bytes));
            }
            Ok(())
        })
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        self.look(|kept| {
            if kept.losing > 0 {
                kept.losing -= 1;
                kept.bytes.clear();
            }
        });
        let verdict = |outgoing: &Outgoing| {
            assert!(outgoing.event.len() <= EVENT_BYTES_MAX);
            let there =
                |(digest, _): &(String, u64)| self.look(|kept| kept.bytes.contains_key(digest));
            if named(&outgoing.event).iter().all(there) {
                return Verdict::Committed(self.memory.commit(outgoing));
            }
            let code = ProblemCode::AttachmentMissing;
            Verdict::Refused(vec![Problem::at("/data", code, "is not here")])
        };
        batch.iter().map(verdict).collect()
    }
}

/// The attachments that an event names: digests and lengths.
fn named(event: &[u8]) -> Vec<(String, u64)> {
    fn seek(value: &Value, found: &mut Vec<(String, u64)>) {
        if let Some(it) = value.get("attachment") {
            let digest = it["digest"].as_str().unwrap().to_owned();
            found.push((digest, it["bytes"].as_u64().unwrap()));
        }
        match value {
            Value::Object(members) => members.values().for_each(|value| seek(value, found)),
            Value::Array(items) => items.iter().for_each(|value| seek(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    seek(&serde_json::from_slice(event).unwrap(), &mut found);
    found
}

fn event(emitter: &Emitter) -> EventBuilder<'_> {
    let event = emitter.for_tenant("acme").action("llm.call");
    event
        .actor(Actor::agent("writer"))
        .target("post", "1")
        .succeeded()
}

/// Room for what tests emit.
fn roomy() -> Options {
    let mut options = quick();
    options.room.best_effort.bytes_max = 256 << 20;
    options.room.spooled.bytes_max = 256 << 20;
    options
}

fn with_spool(path: &std::path::Path) -> Options {
    let mut options = roomy();
    options.spool = Some(SpoolOptions {
        disk: Arc::new(RealDisk::new(path)),
        bounds: SpoolBounds::default(),
    });
    options
}

fn bytes(n: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| n ^ at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
        .collect()
}

#[test]
fn attachments_of_one_name_stand_side_by_side() {
    let shelf = Shelf::default();
    let emitter = start(shelf.clone(), Options::default());
    let text = |text: &str| Attachment::bytes("text/plain", text.to_owned());
    let event = event(&emitter).metadata(json!({"page": "mine"}));
    let event = event
        .attach("page", text("one"))
        .attach("page", text("two"));
    let ticket = event.emit();
    ticket.committed_blocking(SOON).unwrap();
    emitter.close(SOON);
    assert_eq!(shelf.look(|kept| kept.uploads), 2);
    let event = shelf.memory.look(|kept| kept.events[0].event.clone());
    let event: Value = serde_json::from_slice(&event).unwrap();
    let metadata = &event["metadata"];
    assert_eq!(metadata["page"], "mine");
    for name in ["page_2", "page_3"] {
        assert_eq!(metadata[name]["attachment"]["bytes"], 3, "{metadata}");
    }
}

#[test]
fn an_attachment_under_a_name_of_a_secret_is_refused_and_not_lost_in_silence() {
    let shelf = Shelf::default();
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new(directory.path()));
    let mut options = Options::default();
    options.dead_letters.disk = Some(Arc::clone(&disk) as _);
    let emitter = start(shelf.clone(), options);
    let event = emitter.for_tenant("acme").action("file.send");
    let event = event
        .actor(Actor::user("dana"))
        .target("file", "1")
        .succeeded();
    let ticket = event
        .attach("password", Attachment::bytes("text/plain", "hello"))
        .emit();
    let settled = ticket.committed_blocking(SOON);
    let Err(EmitError::Refused(problems)) = settled else {
        panic!("{settled:?}");
    };
    assert!(
        problems[0].message.contains("name of a secret"),
        "{problems:?}"
    );
    assert_eq!(problems[0].pointer, "/metadata/password");
    assert_eq!(shelf.look(|kept| kept.uploads), 0);
    emitter.close(Duration::from_secs(5));
    // Nor is it sent again as it is: the ledger would take it, and nobody find what stood beside.
    let letters = DeadLetters::new(disk, u64::MAX, Arc::new(|bytes: &mut [u8]| bytes.fill(1)));
    let files = letters.files().unwrap();
    let mut told = Vec::new();
    let mut look = |_, letter: DeadLetter| {
        told.push((letter.attached.len(), letter.outgoing()));
        true
    };
    assert!(letters.read(&files[0], &mut look).unwrap());
    assert_eq!((files.len(), told), (1, vec![(1, None)]));
}

#[test]
fn what_is_long_is_stored_before_its_event_and_bytes_are_named() {
    let shelf = Shelf::default();
    let emitter = start(shelf.clone(), roomy());
    let (prompt, picture) = ("p".repeat(5 << 20), bytes(1, 3 << 20));
    let long = event(&emitter)
        .data(json!({"prompt": prompt, "password": "hunter2", "n": 1}))
        .proof(Proof::picture(Attachment::bytes(
            "image/png",
            picture.clone(),
        )))
        .attach("empty", Attachment::bytes("text/plain", ""))
        .metadata(json!({"kept": true}))
        .emit();
    let short = event(&emitter).emit();
    for ticket in [&long, &short] {
        ticket.committed_blocking(SOON).unwrap();
    }
    assert!(emitter.close(SOON).is_clean());
    let event = shelf.memory.look(|kept| {
        let of_it = |it: &&Outgoing| it.audit_id == long.audit_id();
        kept.events.iter().find(of_it).unwrap().event.clone()
    });
    let json: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(
        (&json["data"]["n"], &json["metadata"]["kept"]),
        (&1.into(), &true.into())
    );
    assert_eq!(json["proof"]["data"]["attachment"]["type"], "image/png");
    assert_eq!(json["proof"]["type"], "screenshot");
    let stored = |place: &Value| {
        let digest = place["attachment"]["digest"].as_str().unwrap();
        shelf.look(|kept| kept.bytes[digest].to_vec())
    };
    assert_eq!(stored(&json["data"]["prompt"]), prompt.as_bytes());
    assert_eq!(stored(&json["proof"]["data"]), picture);
    assert_eq!(stored(&json["metadata"]["empty"]), b"");
    assert_eq!(shelf.look(|kept| kept.uploads), 3);
}

#[test]
fn no_secret_stands_beside_an_event() {
    let shelf = Shelf::default();
    let emitter = start(shelf.clone(), roomy());
    let many: Vec<_> = (0..3_000)
        .map(|n| json!({"n": n, "password": "hunter2hunter2"}))
        .collect();
    let ticket = event(&emitter).data(json!({ "many": many })).emit();
    ticket.committed_blocking(SOON).unwrap();
    let bytes = shelf.look(|kept| kept.bytes.values().next().unwrap().to_vec());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\"password\":\"[REDACTED]\"") && !text.contains("hunter2"));
}

#[test]
fn what_the_other_side_lost_is_stored_again_but_not_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    shelf.look(|kept| kept.losing = 2);
    let mut options = roomy();
    options.retry.attempts_max = None;
    options.dead_letters.disk = Some(Arc::new(RealDisk::new(directory.path())));
    let emitter = start(shelf.clone(), options);
    let image = || Attachment::bytes("image/png", bytes(2, 100_000));
    let ticket = event(&emitter).picture_proof(image()).emit();
    ticket.committed_blocking(SOON).unwrap();
    assert_eq!(shelf.look(|kept| kept.uploads), 3);
    shelf.look(|kept| kept.losing = usize::MAX);
    let settled = event(&emitter)
        .picture_proof(image())
        .emit()
        .committed_blocking(SOON);
    assert!(matches!(settled, Err(EmitError::Refused(_))), "{settled:?}");
    assert_eq!(emitter.close(SOON).dead_lettered, 1);
    assert_eq!(
        letter(directory.path()).attached[0].bytes[..],
        bytes(2, 100_000)
    );
}

/// The one dead letter of a directory.
fn letter(path: &std::path::Path) -> DeadLetter {
    let disk = Arc::new(RealDisk::new(path));
    let letters = DeadLetters::new(disk, 0, Arc::new(|_: &mut [u8]| ()));
    let files = letters.files().unwrap();
    let mut found = Vec::new();
    for file in files {
        let mut take = |number, letter| {
            assert_eq!(number, 0);
            found.push(letter);
            true
        };
        assert!(letters.read(&file, &mut take).unwrap());
    }
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn an_upload_that_fails_holds_nobody_up_and_one_that_is_refused_is_its_events_end() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    let again = Verdict::Again {
        after: None,
        reached: false,
        reason: "not now".into(),
    };
    let verdicts = vec![
        Verdict::Failed("no pictures here".into()),
        again.clone(),
        again,
    ];
    shelf.look(|kept| kept.verdicts = verdicts);
    let mut options = roomy();
    options.dead_letters.disk = Some(Arc::new(RealDisk::new(directory.path())));
    let emitter = start(shelf.clone(), options);
    let image = Attachment::bytes("image/png", bytes(3, 9 << 20));
    let refused = event(&emitter).picture_proof(image).emit();
    let neighbours = [(); 3].map(|()| event(&emitter).emit());
    for ticket in neighbours {
        ticket.committed_blocking(SOON).unwrap();
    }
    let settled = refused.committed_blocking(SOON);
    let Err(EmitError::Failed(why)) = settled else {
        panic!("{settled:?}")
    };
    assert_eq!(&*why, "no pictures here");
    assert!(emitter.metrics().retried >= 2);
    assert_eq!(emitter.close(SOON).dead_lettered, 1);
    let letter = letter(directory.path());
    assert_eq!(
        letter.attached[0].bytes[..],
        bytes(3, 9 << 20),
        "in three pieces"
    );
    assert_eq!(letter.audit_id, refused.audit_id());
}

#[test]
fn an_attachment_that_the_other_side_refuses_is_named_by_its_place() {
    let shelf = Shelf::default();
    let problem = Problem::at("", ProblemCode::TooLarge, "not so long");
    let verdicts = vec![Verdict::Refused(vec![problem])];
    shelf.look(|kept| kept.verdicts = verdicts);
    let emitter = start(shelf, roomy());
    let file = |n| Attachment::bytes("text/plain", vec![n]);
    let event = event(&emitter).metadata(indelible_emit::json!({"a/b": [1]}));
    let ticket = event.attach("x/y~z", file(1)).emit();
    let settled = ticket.committed_blocking(SOON);
    let Err(EmitError::Refused(problems)) = settled else {
        panic!("{settled:?}")
    };
    assert_eq!(problems[0].pointer, "/metadata/x~1y~0z");
}

#[test]
fn the_spool_keeps_what_stands_beside_its_events() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    let before = start(Stuck::default(), with_spool(directory.path()));
    let mut digests = HashSet::new();
    for n in 0..4 {
        let image = Attachment::bytes("image/png", bytes(n, 9 << 20));
        let ticket = event(&before)
            .picture_proof(image)
            .data(json!({"prompt": format!("{n}").repeat(5 << 20)}))
            .emit();
        ticket.spooled_blocking(SOON).unwrap();
        event(&before).emit().spooled_blocking(SOON).unwrap();
    }
    assert_eq!(before.close(Duration::ZERO).spooled, 8);
    // Its thread hangs on; what it took over from the spool is not done.
    drop(before);
    let emitter = start(shelf.clone(), with_spool(directory.path()));
    event(&emitter).emit().committed_blocking(SOON).unwrap();
    let report = emitter.close(SOON);
    assert!(report.is_clean(), "{report}");
    let metrics = emitter.metrics();
    // The events, and what is said of their stream: that it is there, and that it ended.
    assert_eq!((metrics.recovered, metrics.unreadable), (10, 0));
    assert_eq!(metrics.spool_bytes, 0);
    shelf.memory.look(|kept| {
        for event in &kept.events {
            digests.extend(named(&event.event));
        }
    });
    assert_eq!(digests.len(), 8);
    shelf.look(|kept| {
        for (digest, length) in &digests {
            assert_eq!(kept.bytes[digest].len() as u64, *length);
        }
    });
}

#[test]
fn what_has_no_room_is_dropped_and_what_is_too_long_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    let emitter = start(shelf.clone(), roomy());
    let image = Attachment::bytes("image/png", vec![1; ATTACHMENT_BYTES_MAX + 1]);
    let settled = event(&emitter)
        .picture_proof(image)
        .emit()
        .committed_blocking(SOON);
    let Err(EmitError::Refused(problems)) = settled else {
        panic!("{settled:?}")
    };
    assert_eq!(problems[0].code, ProblemCode::TooLarge);
    let place = &problems[0].pointer;
    assert!(place.starts_with("/proof/"), "{place}");
    let image = Attachment::bytes("image/png", vec![1; ATTACHMENT_BYTES_MAX]);
    event(&emitter)
        .picture_proof(image)
        .emit()
        .committed_blocking(SOON)
        .unwrap();
    // More than the queue: its caller goes on.
    let image = Attachment::bytes("image/png", vec![1; 300 << 20]);
    let settled = event(&emitter)
        .picture_proof(image)
        .emit()
        .committed_blocking(SOON);
    assert_eq!(settled, Err(EmitError::Dropped));
    drop(emitter);
    // More than the spool: it stays in memory.
    let mut options = with_spool(directory.path());
    options.spool.as_mut().unwrap().bounds.bytes_max = 1 << 20;
    let stuck = Stuck::default();
    let emitter = start(stuck.clone(), options);
    let image = Attachment::bytes("image/png", vec![1; 2 << 20]);
    let ticket = event(&emitter).picture_proof(image).emit();
    assert!(matches!(
        ticket.spooled_blocking(SOON),
        Err(EmitError::NotSpooled(_))
    ));
    stuck.let_go();
    ticket.committed_blocking(SOON).unwrap();
}

/// While nothing is delivered, no more is held than the lanes and the lines may hold.
#[test]
fn what_waits_is_bounded_in_bytes() {
    let mut options = quick();
    options.retry.attempts_max = None;
    let emitter = start(Stuck::default(), options);
    let image = |n| Attachment::bytes("image/png", bytes(n, 1 << 20));
    let tickets: Vec<_> = (0..100)
        .map(|n| event(&emitter).picture_proof(image(n)).emit())
        .collect();
    let dropped =
        |ticket: &&indelible_emit::Ticket| ticket.settled() == Some(Err(EmitError::Dropped));
    let dropped = tickets.iter().filter(dropped).count();
    // 32 MiB in the lane, two batches of 4 MiB in line, and one or two of them on the way.
    assert!(
        (100 - 31 - 9 - 9..=100 - 31).contains(&dropped),
        "{dropped}"
    );
}

#[test]
fn a_content_type_that_cannot_be_sent_refuses_its_event_alone() {
    let shelf = Shelf::default();
    let emitter = start(shelf.clone(), quick());
    let say = |media_type: &str| {
        let event = emitter.for_tenant("acme").action("a.b");
        let event = event.actor(Actor::user("ada")).target("x", "1").succeeded();
        let attachment = Attachment::bytes(media_type, vec![1, 2]);
        event.attach("file", attachment).emit()
    };
    let long = "x".repeat(128);
    for bad in ["", "a\r\nX: y", "a\0", "\u{e9}", long.as_str()] {
        let (bad, good) = (say(bad), say("image/png"));
        assert!(emitter.flush(SOON));
        let Some(Err(EmitError::Refused(problems))) = bad.settled() else {
            panic!("{bad:?}")
        };
        assert_eq!(problems[0].pointer, "/metadata/file");
        assert!(matches!(good.settled(), Some(Ok(_))));
    }
}

#[test]
fn an_attachment_without_a_name_or_a_content_type_is_refused_with_its_place() {
    let emitter = start(Shelf::default(), quick());
    for (name, media_type, place) in [
        ("", "text/plain", "/metadata/"),
        ("page", "badtype", "/metadata/page"),
        ("page", "image/", "/metadata/page"),
        ("page", "/png", "/metadata/page"),
    ] {
        let event = event(&emitter).attach(name, Attachment::bytes(media_type, "x"));
        let settled = event.emit().committed_blocking(SOON);
        let Err(EmitError::Refused(problems)) = settled else {
            panic!("{name} {media_type}: {settled:?}");
        };
        assert_eq!(problems[0].pointer, place, "{problems:?}");
    }
    let good = event(&emitter).attach("page", Attachment::bytes("text/plain; charset=utf-8", "x"));
    assert!(good.emit().committed_blocking(SOON).is_ok());
}
