//! Dead letters: what is refused or given up is kept, its neighbours are committed, and nothing
//! that went on without its event is kept.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use indelible_buffer::Random;
use indelible_disk::{Disk, FaultyDisk, RealDisk};
use indelible_emit::{
    Actor, Attached, Class, DeadLetter, DeadLetters, EmitError, Emitter, EventBuilder, Options,
    Outgoing, SpoolBounds, SpoolOptions, Verdict, json,
};
use indelible_event::{AuditId, Micros, Problem, ProblemCode};
use serde_json::Value;
use support::{Memory, With, quick, start, surroundings};

const SOON: Duration = Duration::from_secs(20);

fn event<'a>(emitter: &'a Emitter, tenant: &str, target: &str) -> EventBuilder<'a> {
    emitter
        .for_tenant(tenant)
        .action("content.publish")
        .actor(Actor::agent("publisher"))
        .target("post", target)
        .succeeded()
}

fn with_letters(disk: impl Disk + 'static) -> Options {
    let mut options = quick();
    options.dead_letters.disk = Some(Arc::new(disk));
    options
}

fn random() -> Random {
    Arc::new(|bytes: &mut [u8]| indelible_emit::Surroundings::fill(&*surroundings(), bytes))
}

fn kept(disk: impl Disk + 'static) -> Vec<DeadLetter> {
    let letters = DeadLetters::new(Arc::new(disk), u64::MAX, random());
    let mut all = Vec::new();
    for file in letters.files().unwrap() {
        let mut take = |_, letter| {
            all.push(letter);
            true
        };
        assert!(letters.read(&file, &mut take).unwrap());
    }
    all
}

/// Source: `spec/spool.md` §4.
#[test]
fn files_are_as_the_specification_says() {
    let vectors = include_str!("../../../spec/vectors/dead-letters.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let bytes = |value: &Value| text(value).into_bytes();
    let attached = |value: &Value| Attached {
        digest: text(&value["digest"]),
        media_type: text(&value["type"]),
        bytes: bytes(&value["bytes"]).into(),
    };
    let letter = |value: &Value| DeadLetter {
        at: Micros::parse(&text(&value["at"])).unwrap(),
        tenant: text(&value["tenant_id"]),
        audit_id: AuditId::parse(&text(&value["audit_id"])).unwrap(),
        stream: serde_json::from_value(value["stream"].clone()).unwrap(),
        problem: serde_json::from_value(value["problem"].clone()).unwrap(),
        event: bytes(&value["event"]),
        attached: value["attached"]
            .as_array()
            .unwrap()
            .iter()
            .map(attached)
            .collect(),
    };
    let letters: Vec<_> = vectors["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(letter)
        .collect();
    let key = unhex(&text(&vectors["key"]));
    let given = key.clone();
    let random: Random = Arc::new(move |bytes: &mut [u8]| {
        bytes.copy_from_slice(&given[..bytes.len()]);
    });
    let directory = tempfile::tempdir().unwrap();
    let disk = || Arc::new(RealDisk::new(directory.path()));
    let dead = DeadLetters::new(disk(), u64::MAX, random);
    let (name, count) = dead.keep(letters[0].at, &letters).unwrap();
    assert_eq!(
        (name.as_str(), count),
        (text(&vectors["name"]).as_str(), letters.len())
    );
    let file = |ending: &str| {
        let path = directory.path().join("dead-letters");
        std::fs::read(path.join(format!("{name}.{ending}"))).unwrap()
    };
    assert_eq!(file("key"), key);
    assert_eq!(hex(&file("spool")), text(&vectors["file"]));
    assert_eq!(kept(RealDisk::new(directory.path())), letters);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

/// A ledger that refuses events on a target `poison`, and says nothing of those on `silence`.
fn picky(memory: &Memory) -> With<impl FnMut(&[Outgoing]) -> Vec<Verdict> + Send + use<>> {
    let memory = memory.clone();
    let has = |outgoing: &Outgoing, word: &str| {
        String::from_utf8_lossy(&outgoing.event).contains(&format!("\"id\":\"{word}\""))
    };
    With(move |batch: &[Outgoing]| {
        let verdict = |outgoing: &Outgoing| {
            if has(outgoing, "poison") {
                let problem = Problem::at("/target/id", ProblemCode::UnknownWord, "is poison");
                Verdict::Refused(vec![problem])
            } else if has(outgoing, "taken") {
                Verdict::Conflict(None)
            } else if has(outgoing, "silence") {
                Verdict::Again {
                    after: None,
                    reached: false,
                    reason: "nobody is there".into(),
                }
            } else {
                Verdict::Committed(memory.commit(outgoing))
            }
        };
        batch.iter().map(verdict).collect()
    })
}

#[test]
fn what_is_refused_or_given_up_is_kept_and_its_neighbours_are_committed() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let options = with_letters(RealDisk::new(directory.path()));
    let emitter = start(picky(&memory), options);
    let targets = ["a", "poison", "b", "taken", "silence", "c"];
    let tickets = targets.map(|target| {
        let event = event(&emitter, "acme", target);
        event.data(json!({"password": "hunter2"})).emit()
    });
    let report = emitter.close(SOON);
    assert_eq!(
        (report.committed, report.failed, report.dead_lettered),
        (3, 3, 3),
        "{report}"
    );
    assert!(
        report.to_string().contains("3 of them dead letters"),
        "{report}"
    );
    assert_eq!(memory.look(|kept| kept.events.len()), 3);
    let mut kept = kept(RealDisk::new(directory.path()));
    kept.sort_by_key(|letter| letter.stream.as_ref().map(|claim| claim.number));
    let reasons = kept.iter().map(|letter| {
        let problem = &letter.problem;
        let number = letter.stream.as_ref().unwrap().number;
        (number, problem.status, problem.pointer.as_deref())
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(
        reasons,
        [(1, 422, Some("/target/id")), (3, 409, None), (4, 502, None)]
    );
    assert_eq!(kept[0].problem.problems[0].message, "is poison");
    assert!(kept[2].problem.detail.contains("nobody is there"));
    for (letter, ticket) in kept.iter().zip([&tickets[1], &tickets[3], &tickets[4]]) {
        assert_eq!(
            (letter.audit_id, letter.tenant.as_str()),
            (ticket.audit_id(), "acme")
        );
        let event = String::from_utf8(letter.event.clone()).unwrap();
        assert!(event.contains(&ticket.audit_id().to_string()));
        assert!(
            event.contains("password") && !event.contains("hunter2"),
            "{event}"
        );
    }
}

#[test]
fn what_cannot_be_sent_is_kept_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let emitter = start(
        memory.clone(),
        with_letters(RealDisk::new(directory.path())),
    );
    let long = "x".repeat(300_000);
    let tickets = [
        event(&emitter, "no tenant", "a").emit(),
        event(&emitter, "acme", "b").description(long).emit(),
        event(&emitter, "acme", "c").emit(),
    ];
    let report = emitter.close(SOON);
    assert_eq!((report.committed, report.dead_lettered), (1, 2), "{report}");
    let kept = kept(RealDisk::new(directory.path()));
    let [nobody, large] = &kept[..] else {
        panic!("{kept:?}")
    };
    assert_eq!(nobody.problem.pointer.as_deref(), Some("/tenant_id"));
    assert_eq!(
        (nobody.tenant.as_str(), &nobody.stream),
        ("no tenant", &None)
    );
    assert_eq!(nobody.audit_id, tickets[0].audit_id());
    assert_eq!(large.problem.problems[0].code, "too-large");
    assert!(large.event.len() > 300_000 && large.stream.is_some());
}

#[test]
fn what_its_caller_did_not_go_on_without_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let emitter = start(
        picky(&memory),
        with_letters(RealDisk::new(directory.path())),
    );
    let long = "x".repeat(300_000);
    let tickets = [
        event(&emitter, "acme", "poison"),
        event(&emitter, "acme", "b").description(long),
    ]
    .map(|event| event.class(Class::FailClosed).emit());
    for ticket in tickets {
        assert!(ticket.committed_blocking(SOON).is_err());
    }
    assert_eq!(emitter.close(SOON).dead_lettered, 0);
    assert_eq!(kept(RealDisk::new(directory.path())), []);
}

/// With a spool they lie beside it, and an event leaves it only when it is kept.
#[test]
fn an_event_of_the_spool_is_kept_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let mut options = quick();
    options.spool = Some(SpoolOptions {
        disk: Arc::new(RealDisk::new(directory.path())),
        bounds: SpoolBounds::default(),
    });
    // Who comes second finds what the first left, in the same slot.
    let never = With(|_: &[Outgoing]| Vec::new());
    let before = start(never, options.clone());
    let ticket = event(&before, "acme", "poison").emit();
    ticket.spooled_blocking(SOON).unwrap();
    assert_eq!(before.close(Duration::ZERO).spooled, 1);
    drop(before);
    let emitter = start(picky(&memory), options);
    event(&emitter, "acme", "a")
        .emit()
        .committed_blocking(SOON)
        .unwrap();
    let report = emitter.close(SOON);
    assert_eq!((report.committed, report.dead_lettered), (1, 1), "{report}");
    assert_eq!(emitter.metrics().dead_lettered, 1);
    let kept = kept(RealDisk::new(directory.path()));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].audit_id, ticket.audit_id());
}

#[test]
fn without_room_or_disk_the_event_is_counted_and_nobody_waits() {
    let memory = Memory::default();
    let disk = FaultyDisk::new(1);
    let mut options = with_letters(disk.clone());
    options.dead_letters.bytes_max = 10_000;
    let emitter = start(picky(&memory), options);
    for target in ["poison", "a", "poison", "b"] {
        let ticket = event(&emitter, "acme", target).emit();
        let settled = ticket.committed_blocking(SOON);
        let refused = matches!(settled, Err(EmitError::Refused(_)));
        assert_eq!(refused, target == "poison", "{settled:?}");
    }
    let metrics = emitter.metrics();
    assert_eq!((metrics.dead_lettered, metrics.dead_letters_lost), (1, 1));
    assert!(emitter.disk_error().unwrap().starts_with("dead letters: "));
    drop(emitter);
    assert_eq!(kept(disk.clone()).len(), 1);

    let disk = FaultyDisk::new(2);
    let emitter = start(picky(&memory), with_letters(disk.clone()));
    disk.set_room(Some(100));
    let settled = event(&emitter, "acme", "poison")
        .emit()
        .committed_blocking(SOON);
    assert!(matches!(settled, Err(EmitError::Refused(_))));
    disk.set_room(None);
    let settled = event(&emitter, "acme", "poison")
        .emit()
        .committed_blocking(SOON);
    assert!(matches!(settled, Err(EmitError::Refused(_))));
    let report = emitter.close(SOON);
    assert_eq!((report.failed, report.dead_lettered), (2, 1), "{report}");
    assert_eq!(kept(disk).len(), 1);
}

#[test]
fn many_emitters_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let disk = RealDisk::new(directory.path());
                let emitter = start(picky(&memory), with_letters(disk));
                for _ in 0..25 {
                    let ticket = event(&emitter, "acme", "poison").emit();
                    assert!(ticket.committed_blocking(SOON).is_err());
                }
                assert_eq!(emitter.close(SOON).dead_lettered, 25);
            });
        }
    });
    let kept = kept(RealDisk::new(directory.path()));
    let mut ids: Vec<_> = kept.iter().map(|letter| letter.audit_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}
