//! What a stored attachment withstands: changed bytes, cut files, failing disks, power cuts, and
//! being removed while it is named.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use indelible_disk::{Fault, FaultyDisk};
use indelible_merkle::sha256;
use indelible_store::memory::MemoryState;
use serde_json::{Value, json};

use super::*;
use crate::env::{Clock, Random};
use crate::keyring::{MasterKey, hex_into};

const HOUR: i64 = 3_600_000_000;

#[derive(Default)]
struct Time(AtomicI64);

impl Clock for Time {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes 0, 1, 2 …
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
        }
    }
}

struct World {
    disk: FaultyDisk,
    keys: Arc<MemoryState>,
    time: Arc<Time>,
    random: Arc<Counting>,
}

impl World {
    fn new() -> Self {
        let time = Arc::new(Time::default());
        time.0.store(1_769_999_000_000_000, Ordering::SeqCst);
        Self {
            disk: FaultyDisk::new(3),
            keys: Arc::default(),
            time,
            random: Arc::default(),
        }
    }

    fn try_open(&self) -> Result<Arc<Attachments>> {
        let env = Env {
            clock: Arc::clone(&self.time) as _,
            random: Arc::clone(&self.random) as _,
        };
        let master = Some(MasterKey::from_bytes([9; 32]));
        let keyring = Keyring::open(Arc::clone(&self.keys) as _, master, env.random.clone())?;
        Attachments::open(Arc::new(self.disk.clone()), keyring, env)
    }

    fn open(&self) -> Arc<Attachments> {
        self.try_open().unwrap()
    }

    fn wait(&self, micros: i64) {
        self.time.0.fetch_add(micros, Ordering::SeqCst);
    }

    fn now(&self) -> Micros {
        self.time.now()
    }
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn named(bytes: &[u8]) -> Reference {
    Reference {
        bytes: bytes.len() as u64,
        digest: Digest(sha256(bytes)),
        media_type: "image/png".to_owned(),
    }
}

fn put(store: &Arc<Attachments>, bytes: &[u8]) -> std::result::Result<Stored, UploadError> {
    let mut upload = store.put(&acme(), named(bytes).digest, "image/png")?;
    // In pieces that end nowhere near a chunk's end.
    for piece in bytes.chunks(50_001) {
        upload.write(piece)?;
    }
    upload.finish()
}

fn read(whole: &Whole) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for number in 0..whole.chunks() {
        all.extend_from_slice(&whole.chunk(number)?);
    }
    whole.check().map(|()| all)
}

fn get(store: &Attachments, bytes: &[u8]) -> Option<Vec<u8>> {
    let found = store.get(&acme(), &named(bytes).digest).unwrap()?;
    assert_eq!(found.bytes(), bytes.len() as u64);
    assert_eq!(found.media_type(), "image/png");
    Some(read(&found).unwrap())
}

fn pattern(length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|n| u8::try_from(n * 31 % 251).unwrap());
    bytes.collect()
}

/// The one file below a directory.
fn only(disk: &FaultyDisk, dir: &str) -> String {
    let names = disk.list(dir).unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    format!("{dir}/{}", names[0])
}

#[test]
fn what_is_stored_comes_back_at_every_length_around_a_chunk() {
    let world = World::new();
    let store = world.open();
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 200_000] {
        let bytes = pattern(length);
        assert_eq!(get(&store, &bytes), None);
        assert_eq!(put(&store, &bytes).unwrap(), Stored::New);
        assert_eq!(get(&store, &bytes).as_ref(), Some(&bytes));
        assert_eq!(put(&store, &bytes).unwrap(), Stored::Repeat);
        assert_eq!(store.keep(&acme(), &named(&bytes)).unwrap(), Kept::Yes);
        assert_eq!(put(&store, &bytes).unwrap(), Stored::Repeat);
        assert_eq!(get(&store, &bytes).as_ref(), Some(&bytes));
    }
    assert_eq!(world.disk.list(WAITING).unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_leaves_nothing() {
    let world = World::new();
    let store = world.open();
    let mut upload = store
        .put(&acme(), named(b"one").digest, "text/plain")
        .unwrap();
    upload.write(b"other").unwrap();
    let refused = upload.finish();
    assert!(matches!(refused, Err(UploadError::WrongDigest(d)) if d == named(b"other").digest));
    let mut upload = store
        .put(&acme(), named(b"one").digest, "text/plain")
        .unwrap();
    let piece = vec![0; 1 << 20];
    let mut wrote = Ok(());
    for _ in 0..65 {
        wrote = upload.write(&piece);
    }
    assert!(matches!(wrote, Err(UploadError::TooLarge)));
    drop(upload);
    for bad in ["a\nb", "é", &"x".repeat(TYPE_BYTES_MAX + 1)] {
        assert!(store.put(&acme(), named(b"one").digest, bad).is_err());
    }
    assert_eq!(world.disk.list(WAITING).unwrap(), Vec::<String>::new());
    assert_eq!(get(&store, b"one"), None);
    // What a crash left of an upload is gone when the ledger is opened.
    std::mem::forget(store.put(&acme(), named(b"one").digest, "a/b").unwrap());
    assert!(only(&world.disk, WAITING).ends_with(NEW));
    drop(world.open());
    assert_eq!(world.disk.list(WAITING).unwrap(), Vec::<String>::new());
}

#[test]
fn another_tenant_or_another_master_key_finds_nothing() {
    let world = World::new();
    let store = world.open();
    put(&store, b"secret bytes").unwrap();
    let other = TenantId::parse("globex").unwrap();
    let reference = named(b"secret bytes");
    assert!(store.get(&other, &reference.digest).unwrap().is_none());
    assert_eq!(store.keep(&other, &reference).unwrap(), Kept::Missing);
    // Neither the bytes nor what they hash to stand on the disk.
    let path = only(&world.disk, WAITING);
    let file = world.disk.read(&path).unwrap();
    let digest = reference.digest.to_string();
    for plain in [&b"secret bytes"[..], &digest.as_bytes()[7..], b"image/png"] {
        assert!(memchr::memmem::find(&file, plain).is_none());
        assert!(memchr::memmem::find(path.as_bytes(), plain).is_none());
    }
    let random = Arc::clone(&world.random) as Arc<dyn Random>;
    let keyring = Keyring::open(Arc::clone(&world.keys) as _, None, random.clone()).unwrap();
    let env = Env {
        clock: Arc::clone(&world.time) as _,
        random,
    };
    let without = Attachments::open(Arc::new(world.disk.clone()), keyring, env).unwrap();
    let refused = without.get(&acme(), &reference.digest).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
}

#[test]
fn a_destroyed_key_destroys_the_attachment_and_it_can_be_sent_again() {
    let world = World::new();
    let store = world.open();
    put(&store, b"personal").unwrap();
    store.keep(&acme(), &named(b"personal")).unwrap();
    let id = named(b"personal").digest.token();
    let handles = store.keyring.generations(&acme(), identity(&id)).unwrap();
    store.keyring.destroy(&acme(), &handles).unwrap();
    assert_eq!(get(&store, b"personal"), None);
    assert_eq!(
        store.keep(&acme(), &named(b"personal")).unwrap(),
        Kept::Missing
    );
    assert_eq!(put(&store, b"personal").unwrap(), Stored::New);
    assert_eq!(get(&store, b"personal").as_deref(), Some(&b"personal"[..]));
}

#[test]
fn every_changed_bit_cut_and_exchange_is_noticed() {
    let world = World::new();
    let store = world.open();
    let bytes = pattern(2 * CHUNK_BYTES + 100);
    put(&store, &bytes).unwrap();
    let path = only(&world.disk, WAITING);
    let file = world.disk.read(&path).unwrap();
    let fails = |changed: &[u8], what: &str| {
        world.disk.replace(&path, changed).unwrap();
        let found = store.get(&acme(), &named(&bytes).digest);
        let error = found.and_then(|whole| read(&whole.unwrap())).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{what}: {error}");
    };
    let sealed = CHUNK_BYTES + 16;
    let start = file.len() - 2 * sealed - 116;
    let near = |at: usize| at.saturating_sub(20)..(at + 20).min(file.len());
    let ends = [start + sealed, start + 2 * sealed, file.len()];
    for place in (0..start + 40).chain(ends.into_iter().flat_map(near)) {
        for bit in [0, 7] {
            let mut changed = file.clone();
            changed[place] ^= 1 << bit;
            fails(&changed, &format!("bit {bit} of byte {place}"));
        }
    }
    for end in (0..start + 40).chain(ends.into_iter().flat_map(near)) {
        fails(&file[..end], &format!("cut at {end}"));
    }
    let (head, body) = file.split_at(start);
    let (one, rest) = body.split_at(sealed);
    let (two, three) = rest.split_at(sealed);
    for exchanged in [
        [two, one, three],
        [one, one, three],
        [one, three, &[]],
        [two, three, &[]],
    ] {
        fails(&[head, &exchanged.concat()].concat(), "exchanged chunks");
    }
    fails(&[&file[..], &[0]].concat(), "a byte more");
    // Sent again, it is whole again.
    assert_eq!(put(&store, &bytes).unwrap(), Stored::Repeat);
    assert_eq!(get(&store, &bytes), Some(bytes));
}

#[test]
fn the_first_content_type_stays_while_the_file_can_be_read() {
    let world = World::new();
    let store = world.open();
    let digest = named(b"text").digest;
    let sent = |media_type: &str| {
        let mut upload = store.put(&acme(), digest, media_type).unwrap();
        upload.write(b"text").unwrap();
        let said = upload.media_type().to_owned();
        upload.finish().unwrap();
        let found = store.get(&acme(), &digest).unwrap().unwrap();
        assert_eq!(found.media_type(), said);
        said
    };
    assert_eq!(sent("image/png"), "image/png");
    assert_eq!(sent("text/html"), "image/png");
    assert_eq!(store.keep(&acme(), &named(b"text")).unwrap(), Kept::Yes);
    assert_eq!(sent("text/html"), "image/png");
    // Nobody can say what it was.
    world
        .disk
        .damage(&only(&world.disk, KEPT), 30, |byte| *byte ^= 1)
        .unwrap();
    assert_eq!(sent("text/html"), "text/html");
}

#[test]
fn only_what_nobody_named_is_collected_and_only_after_its_time() {
    let world = World::new();
    let store = world.open();
    for bytes in [&b"named"[..], b"orphan", b"sent again"] {
        put(&store, bytes).unwrap();
    }
    store.keep(&acme(), &named(b"named")).unwrap();
    world.wait(HOUR);
    let collect = |hours: i64| store.collect(Micros(world.now().0 - hours * HOUR)).unwrap();
    assert_eq!(collect(2), 0);
    put(&store, b"sent again").unwrap();
    let begun = store.put(&acme(), named(b"slow").digest, "a/b").unwrap();
    assert_eq!(collect(1), 1);
    assert_eq!(get(&store, b"orphan"), None);
    assert_eq!(
        store.keep(&acme(), &named(b"orphan")).unwrap(),
        Kept::Missing
    );
    let long = Reference {
        bytes: 3,
        ..named(b"sent again")
    };
    assert_eq!(store.keep(&acme(), &long).unwrap(), Kept::OtherLength(10));
    assert_eq!(collect(0), 1, "another length keeps nothing");
    let mut begun = begun;
    begun.write(b"slow").unwrap();
    assert_eq!(begun.finish().unwrap(), Stored::New);
    assert_eq!(get(&store, b"named").as_deref(), Some(&b"named"[..]));
}

#[test]
fn a_check_tells_what_is_lost_from_what_was_erased() {
    let world = World::new();
    let store = world.open();
    let tenant = acme();
    let leaf = |bytes: &[u8]| {
        let (length, digest) = (bytes.len(), named(bytes).digest);
        let named = format!(r#"{{"bytes":{length},"digest":"{digest}","type":"a/b"}}"#);
        format!(r#"{{"event":{{"data":{{"attachment":{named}}}}}}}"#)
    };
    let all = [
        &b"whole"[..],
        b"erased",
        b"damaged",
        b"waits",
        b"never stored",
    ];
    for (n, bytes) in all.into_iter().enumerate().take(4) {
        put(&store, bytes).unwrap();
        if n < 3 {
            store.keep(&tenant, &named(bytes)).unwrap();
        }
    }
    let handles = |bytes: &[u8]| {
        let id = named(bytes).digest.token();
        store.keyring.generations(&tenant, identity(&id)).unwrap()
    };
    store.keyring.destroy(&tenant, &handles(b"erased")).unwrap();
    let path = format!("{KEPT}/{}", name_of(handles(b"damaged")[0]));
    let last = world.disk.len(&path).unwrap().unwrap() - 1;
    world.disk.damage(&path, last, |byte| *byte ^= 1).unwrap();
    let mut check = Check::new(&store, &tenant);
    for (n, bytes) in (0..).zip(all) {
        check.record(n, leaf(bytes).as_bytes());
        check.record(n, leaf(bytes).as_bytes());
    }
    let checked = check.finish().unwrap();
    assert_eq!((checked.named, checked.erased, checked.lost), (5, 1, 3));
    let told: Vec<_> = checked.findings.iter().map(|f| f.message.clone()).collect();
    for (told, ends) in told.iter().zip([
        "record 2 names is damaged",
        "record 3 names is missing",
        "record 4 names is missing",
    ]) {
        assert!(told.ends_with(ends), "{told}");
    }
    assert_eq!(checked.findings[0].place.as_ref().unwrap().file, path);
}

/// What the life of three attachments acknowledged, whatever fails in it.
fn live(world: &World, stored: &mut Vec<Vec<u8>>, kept: &mut Vec<Vec<u8>>) {
    for _ in 0..2 {
        let Ok(store) = world.try_open() else {
            continue;
        };
        for n in 0..3 {
            let bytes = vec![n; 70_000];
            if put(&store, &bytes).is_ok() {
                stored.push(bytes.clone());
            }
            for _ in 0..2 {
                if n < 2 && matches!(store.keep(&acme(), &named(&bytes)), Ok(Kept::Yes)) {
                    kept.push(bytes.clone());
                }
            }
        }
    }
}

#[test]
fn whatever_fails_what_was_kept_is_whole_after_a_power_cut() {
    let whole = World::new();
    let (mut stored, mut kept) = (Vec::new(), Vec::new());
    live(&whole, &mut stored, &mut kept);
    assert_eq!((stored.len(), kept.len()), (6, 8));
    let operations = whole.disk.count();
    let faults = [
        Fault::Failed,
        Fault::FailedButPersisted,
        Fault::CrashedAfter,
        Fault::Torn { bytes: 9 },
    ];
    for at in 0..operations {
        for fault in faults {
            let world = World::new();
            world.disk.plan(at, fault);
            let (mut stored, mut kept) = (Vec::new(), Vec::new());
            live(&world, &mut stored, &mut kept);
            world.disk.crash();
            world.disk.reboot();
            let context = format!(
                "{fault:?} at {at}: {:?}",
                world.disk.history().get(usize::try_from(at).unwrap())
            );
            let store = world.open();
            for bytes in &stored {
                assert_eq!(
                    get(&store, bytes).as_ref(),
                    Some(bytes),
                    "stored, {context}"
                );
            }
            store.collect(world.now()).unwrap();
            for bytes in &kept {
                assert_eq!(get(&store, bytes).as_ref(), Some(bytes), "kept, {context}");
            }
            assert_eq!(
                put(&store, &vec![2; 70_000]).unwrap(),
                Stored::New,
                "{context}"
            );
        }
    }
}

/// Random bytes are 0, 1, 2 …; the master key is 32 times 9.
#[test]
fn the_vectors_hold() {
    let path = "../../../../spec/vectors/attachment.json";
    let world = World::new();
    let store = world.open();
    let bytes = b"a screenshot, say";
    put(&store, bytes).unwrap();
    let file = only(&world.disk, WAITING);
    let hex = |bytes: &[u8]| {
        let mut out = vec![0; 2 * bytes.len()];
        hex_into(&mut out, bytes);
        String::from_utf8(out).unwrap()
    };
    let id = named(bytes).digest.token();
    let handle = store.keyring.generations(&acme(), identity(&id)).unwrap()[0];
    let subject = store.keyring.by_handle(&acme(), handle).unwrap().unwrap();
    let made = json!({
        "attachment_key": hex(&*subject.attachment_key()),
        "bytes": str::from_utf8(bytes).unwrap(),
        "digest": named(bytes).digest.to_string(),
        "file": hex(&world.disk.read(&file).unwrap()),
        "handle": subject.handle_text(),
        "identity": identity(&id).text(),
        "name": file.rsplit_once('/').unwrap().1,
        "stored_at_micros": world.now().0,
        "subject_key": hex(&*subject.key),
        "tenant": "acme",
        "type": "image/png",
    });
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../spec/vectors/attachment.json")).unwrap();
    assert_eq!(vectors["file"], made, "{path}");
    for case in vectors["references"].as_array().unwrap() {
        let event = case["event"].as_str().unwrap();
        let found = references(event.as_bytes()).map(|r| r.digest.to_string());
        let found: Vec<_> = found.collect();
        assert_eq!(json!(found), case["digests"], "{event}");
    }
}
