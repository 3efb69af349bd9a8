//! The keyring over the in-memory state: generations, writers that race, and what is left without
//! keys.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};

use indelible_event::ids::AuditId;
use indelible_store::memory::MemoryState;
use indelible_store::{FindHash, Finder, RowOpener, SealedValue};

use super::*;

/// Bytes that differ from call to call and are the same in every run.
pub(crate) struct Counting(AtomicU64);

impl Counting {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed << 32)))
    }
}

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            let hash = indelible_merkle::sha256(&n.to_be_bytes()).to_hex();
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
    }
}

fn master() -> MasterKey {
    MasterKey::from_bytes([9; 32])
}

fn open(store: &Arc<MemoryState>, seed: u64) -> Arc<Keyring> {
    let store: Arc<dyn State> = Arc::clone(store) as _;
    Keyring::open(store, Some(master()), Counting::new(seed)).unwrap()
}

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn bob() -> Identity<'static> {
    Identity::from_tokens("\"user\"", "\"bob\"")
}

fn alice() -> Identity<'static> {
    Identity::from_tokens("\"user\"", "\"alice\"")
}

/// Seals one value the way a record does.
fn value(keyring: &Keyring, subject: &Subject, text: &str) -> SealedValue {
    let token = format!("\"{text}\"");
    let value = Value {
        pointer: "/actor/name",
        search_name: Some("/actor/name"),
        token: &token,
    };
    let row = keyring.rows.row(subject, value).unwrap();
    SealedValue {
        handle: subject.handle(),
        find: row.find,
        blob: false,
        row: row.cipher,
    }
}

#[test]
fn a_subject_keeps_its_handle_over_restarts() {
    let store = Arc::new(MemoryState::new());
    let first = open(&store, 1);
    let made = first.subject(&tenant(), bob()).unwrap();
    assert!(!made.is_durable());
    assert_eq!(first.pending_subjects(), 1);
    assert_eq!(
        first.subject(&tenant(), bob()).unwrap().handle(),
        made.handle()
    );
    let sealed = value(&first, &made, "Bob");
    assert_eq!(
        first.flush_pending().unwrap(),
        Flushed {
            written: 1,
            superseded: 0
        }
    );
    assert!(made.is_durable());
    assert_eq!(first.flush_pending().unwrap(), Flushed::default());

    let second = open(&store, 2);
    let found = second.subject(&tenant(), bob()).unwrap();
    assert_eq!((found.handle(), found.is_durable()), (made.handle(), true));
    assert_ne!(
        second.subject(&tenant(), alice()).unwrap().handle(),
        made.handle()
    );
    assert_eq!(
        value(&second, &found, "Bob"),
        sealed,
        "equal rows are equal bytes"
    );
    let opened = second.open_value(&tenant(), &sealed).unwrap();
    let expected = Opened::Value {
        pointer: "/actor/name".into(),
        value: "\"Bob\"".into(),
    };
    assert_eq!(opened, expected);
    assert_eq!(
        RowOpener::find(&*second, &tenant(), made.handle(), &sealed.row),
        sealed.find
    );
    let asked = Finder::find(&*second, &tenant(), "/actor/name", " BOB ");
    assert_eq!(asked, sealed.find, "found whatever the case and space");
    assert_ne!(
        Finder::find(&*second, &tenant(), "/target/name", "bob"),
        sealed.find
    );
}

#[test]
fn a_tenant_opens_only_its_own() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    let other = TenantId::parse("other").unwrap();
    let bobs = keyring.subject(&tenant(), bob()).unwrap();
    let sealed = value(&keyring, &bobs, "Bob");
    keyring.flush_pending().unwrap();
    for keyring in [&keyring, &open(&store, 2)] {
        let opened = keyring.open_value(&other, &sealed).unwrap();
        assert_eq!(opened, Opened::Sealed(Sealed::NoKey));
        let none = Finder::find(&**keyring, &other, "/actor/name", "bob");
        assert_eq!(none, Some(FindHash([0; 16])));
    }
    let others = keyring.subject(&other, bob()).unwrap();
    assert_ne!(others.handle(), bobs.handle());
    assert_ne!(value(&keyring, &others, "Bob").find, sealed.find);
}

#[test]
fn the_wrong_master_key_is_told_at_once() {
    let store = Arc::new(MemoryState::new());
    open(&store, 1);
    let wrong = Some(MasterKey::from_bytes([8; 32]));
    let error = Keyring::open(Arc::clone(&store) as _, wrong, Counting::new(2)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(
        error.to_string().contains("does not open the key store"),
        "{error}"
    );
}

#[test]
fn without_the_master_key_nothing_is_sealed_or_read() {
    let store = Arc::new(MemoryState::new());
    let with = open(&store, 1);
    let subject = with.subject(&tenant(), bob()).unwrap();
    let sealed = value(&with, &subject, "Bob");
    with.flush_pending().unwrap();
    let without = Keyring::open(store, None, Counting::new(2)).unwrap();
    assert!(!without.has_master());
    assert_eq!(
        without.subject(&tenant(), bob()).unwrap_err().kind(),
        Kind::Unavailable
    );
    let opened = without.open_value(&tenant(), &sealed).unwrap();
    assert_eq!(opened, Opened::Sealed(Sealed::NoMasterKey));
    assert_eq!(
        Finder::find(&*without, &tenant(), "/actor/name", "bob"),
        None
    );
    assert_eq!(
        RowOpener::find(&*without, &tenant(), sealed.handle, &sealed.row),
        None
    );
    assert_eq!(without.flush_pending().unwrap(), Flushed::default());
}

#[test]
fn of_two_writers_the_first_wins_and_the_other_seals_again() {
    let store = Arc::new(MemoryState::new());
    let (one, two) = (open(&store, 1), open(&store, 2));
    let first = one.subject(&tenant(), bob()).unwrap();
    let second = two.subject(&tenant(), bob()).unwrap();
    let own = two.subject(&tenant(), alice()).unwrap();
    assert_ne!(first.handle(), second.handle());
    one.flush_pending().unwrap();
    // The tenant itself was new to both, so both subjects of the second are lost.
    assert_eq!(
        two.flush_pending().unwrap(),
        Flushed {
            written: 0,
            superseded: 2
        }
    );
    assert!(second.is_superseded() && own.is_superseded() && first.is_durable());
    let adopted = two.subject(&tenant(), bob()).unwrap();
    assert_eq!(
        (adopted.handle(), adopted.is_durable()),
        (first.handle(), true)
    );
    assert_eq!(value(&two, &adopted, "Bob"), value(&one, &first, "Bob"));

    // Now the tenant is known: only the person both met is lost.
    let carol = Identity::from_tokens("\"user\"", "\"carol\"");
    let own = two.subject(&tenant(), alice()).unwrap();
    let (ours, theirs) = (
        two.subject(&tenant(), carol).unwrap(),
        one.subject(&tenant(), carol).unwrap(),
    );
    one.flush_pending().unwrap();
    assert_eq!(
        two.flush_pending().unwrap(),
        Flushed {
            written: 1,
            superseded: 1
        }
    );
    assert!(own.is_durable() && ours.is_superseded());
    assert_eq!(
        two.subject(&tenant(), carol).unwrap().handle(),
        theirs.handle()
    );
    assert_eq!(
        one.subject(&tenant(), alice()).unwrap().handle(),
        own.handle()
    );
}

/// Applies a change set and then says that it does not know.
struct Forgetful(Arc<MemoryState>, AtomicU64);

impl State for Forgetful {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        self.0.get(space, key)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>, u64)>> {
        self.0.scan(space, prefix, after, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        self.0.apply(changes)?;
        match self.1.fetch_add(1, Ordering::Relaxed) {
            1 => Err(Error::new(Kind::UnknownOutcome, "the line went dead")),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_write_of_which_nothing_was_heard_is_our_own() {
    let store = Arc::new(Forgetful(Arc::new(MemoryState::new()), AtomicU64::new(0)));
    let keyring = Keyring::open(store, Some(master()), Counting::new(1)).unwrap();
    let subject = keyring.subject(&tenant(), bob()).unwrap();
    assert_eq!(
        keyring.flush_pending().unwrap_err().kind(),
        Kind::UnknownOutcome
    );
    assert!(!subject.is_durable());
    assert_eq!(keyring.pending_subjects(), 1);
    keyring.flush_pending().unwrap();
    assert!(subject.is_durable());
    assert_eq!(
        keyring.subject(&tenant(), bob()).unwrap().handle(),
        subject.handle()
    );
}

/// A store in which another writer is faster than any set of more than so many changes.
struct Overtaken(Arc<MemoryState>, AtomicU64);

const OVERTAKEN_FROM: usize = 40;

impl State for Overtaken {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        self.0.get(space, key)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>, u64)>> {
        self.0.scan(space, prefix, after, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        if changes.len() >= OVERTAKEN_FROM {
            let number = self.1.fetch_add(1, Ordering::Relaxed);
            let rival = open(&self.0, 1_000 + number);
            let id = format!("\"rival-{number}\"");
            let person = Identity::from_tokens("\"user\"", &id);
            rival.subject(&tenant(), person)?;
            assert_eq!(rival.flush_pending()?.written, 1);
        }
        self.0.apply(changes)
    }
}

#[test]
fn many_keys_are_written_beside_a_writer_that_is_always_faster() {
    let store = Arc::new(Overtaken(Arc::new(MemoryState::new()), AtomicU64::new(0)));
    let keyring = Keyring::open(store.clone(), Some(master()), Counting::new(1)).unwrap();
    let of_tenant = keyring.subject(&tenant(), bob()).unwrap();
    keyring.flush_pending().unwrap();
    let ids = (0..1_000).map(|n| format!("\"user-{n}\""));
    let made: Vec<_> = ids
        .map(|id| {
            let person = Identity::from_tokens("\"user\"", &id);
            keyring.subject(&tenant(), person).unwrap()
        })
        .collect();
    let flushed = keyring.flush_pending().unwrap();
    assert_eq!((flushed.written, flushed.superseded), (1_000, 0));
    assert!(made.iter().chain([&of_tenant]).all(|one| one.is_durable()));
    assert!(store.1.load(Ordering::Relaxed) > 5, "it was overtaken");
}

#[test]
fn generations_follow_each_other() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    assert_eq!(
        keyring.rotate(&tenant(), bob()).unwrap_err().kind(),
        Kind::NotFound
    );
    let old = keyring.subject(&tenant(), bob()).unwrap();
    let sealed = value(&keyring, &old, "Bob");
    let new = keyring.rotate(&tenant(), bob()).unwrap();
    let generations = keyring.generations(&tenant(), bob()).unwrap();
    assert_eq!(generations, [old.handle(), new.handle()]);
    for keyring in [&keyring, &open(&store, 2)] {
        assert_eq!(
            keyring.subject(&tenant(), bob()).unwrap().handle(),
            new.handle()
        );
        let among = |handles: &[Handle]| keyring.subject_among(&tenant(), bob(), handles).unwrap();
        let (subject, found) = among(&[old.handle()]);
        assert_eq!((subject.handle(), found), (old.handle(), Found::Known));
        assert_eq!(value(keyring, &subject, "Bob"), sealed);
        assert_eq!(among(&[]).1, Found::Stranger);
        assert_eq!(
            keyring.pending_subjects(),
            0,
            "a stranger leaves nothing behind"
        );
        assert!(matches!(
            keyring.open_value(&tenant(), &sealed).unwrap(),
            Opened::Value { .. }
        ));
    }
}

#[test]
fn a_destroyed_key_opens_nothing_and_the_others_go_on() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    // Enough people that bob's bucket has others in it.
    let ids: Vec<String> = (0..300).map(|n| format!("\"user-{n}\"")).collect();
    let people: Vec<_> = ids
        .iter()
        .map(|id| Identity::from_tokens("\"user\"", id))
        .collect();
    let bobs = keyring.subject(&tenant(), bob()).unwrap();
    let mut others: Vec<_> = Vec::new();
    for person in &people {
        let subject = keyring.subject(&tenant(), *person).unwrap();
        others.push((value(&keyring, &subject, "x"), subject.handle()));
    }
    let sealed = value(&keyring, &bobs, "Bob");
    keyring.flush_pending().unwrap();
    let name = subject_key(&tenant(), bobs.handle());
    let bucket = bucket_key(&tenant(), bucket_of(bobs.handle()));
    let stolen = store.get(SPACE_SUBJECTS, &name).unwrap().unwrap().0;
    let old_bucket = store.get(SPACE_BUCKETS, &bucket).unwrap().unwrap().0;

    keyring.destroy(&tenant(), &[bobs.handle()]).unwrap();
    assert_eq!(store.get(SPACE_SUBJECTS, &name).unwrap(), None);
    let new_bucket = store.get(SPACE_BUCKETS, &bucket).unwrap().unwrap().0;
    assert_ne!(old_bucket, new_bucket);
    for keyring in [&keyring, &open(&store, 2)] {
        assert_eq!(
            keyring.open_value(&tenant(), &sealed).unwrap(),
            Opened::Sealed(Sealed::NoKey)
        );
        for (sealed, _) in &others {
            let opened = keyring.open_value(&tenant(), sealed).unwrap();
            assert!(matches!(opened, Opened::Value { .. }));
        }
        let handles = [bobs.handle()];
        let (gone, found) = keyring.subject_among(&tenant(), bob(), &handles).unwrap();
        assert_eq!((gone.handle(), found), (bobs.handle(), Found::Gone));
    }
    assert!(
        others
            .iter()
            .any(|(_, h)| bucket_of(*h) == bucket_of(bobs.handle()))
    );
    // A copy of the wrapped key, put back, opens nothing: its bucket key is gone.
    let back = Change {
        space: SPACE_SUBJECTS,
        key: name,
        expected: None,
        value: Some(stolen),
    };
    store.apply(&[back]).unwrap();
    let error = open(&store, 3).open_value(&tenant(), &sealed).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    // Somebody who is met again after that begins a new generation.
    let again = keyring.generations(&tenant(), bob()).unwrap();
    assert_eq!(again, [bobs.handle()]);
}

#[test]
fn after_destruction_a_person_begins_anew() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    let old = keyring.subject(&tenant(), bob()).unwrap();
    keyring.destroy(&tenant(), &[old.handle()]).unwrap();
    assert!(old.is_superseded());
    let new = keyring.subject(&tenant(), bob()).unwrap();
    assert_ne!(new.handle(), old.handle());
    keyring.flush_pending().unwrap();
    let generations = open(&store, 2).generations(&tenant(), bob()).unwrap();
    assert_eq!(generations, [old.handle(), new.handle()]);
    // The first key, its destruction and the second key.
    assert_eq!(open(&store, 3).writes().unwrap(), 3);
    keyring.rotate(&tenant(), bob()).unwrap();
    assert_eq!(keyring.writes().unwrap(), 4);
}

#[test]
fn the_store_holds_neither_names_nor_plain_keys() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    let subject = keyring.subject(&tenant(), bob()).unwrap();
    keyring.flush_pending().unwrap();
    let spaces = [
        SPACE_MASTER,
        SPACE_TENANTS,
        SPACE_BUCKETS,
        SPACE_SUBJECTS,
        SPACE_IDENTITIES,
    ];
    for space in spaces {
        let entries = store.scan(space, b"", None, 100).unwrap();
        // The check value and the count of writes.
        let count = if space == SPACE_MASTER { 2 } else { 1 };
        assert_eq!(entries.len(), count, "{space}");
        for (key, value, _) in entries {
            let all = [key, value].concat();
            for secret in [
                &b"bob"[..],
                &subject.key[..],
                &subject.tenant.index[..],
                &[9; 32],
            ] {
                assert!(!all.windows(secret.len()).any(|w| w == secret), "{space}");
            }
        }
    }
}

#[test]
fn threads_that_meet_a_person_at_once_make_one_key() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    let ids: Vec<String> = (0..200).map(|n| format!("\"u{n}\"")).collect();
    let handles: Vec<Vec<Handle>> = std::thread::scope(|scope| {
        let seal = || {
            let subject = |id: &String| {
                let identity = Identity::from_tokens("\"user\"", id);
                let subject = keyring.subject(&tenant(), identity).unwrap();
                keyring.flush_pending().unwrap();
                assert!(subject.is_durable());
                subject.handle()
            };
            ids.iter().map(subject).collect()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(seal)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(handles.windows(2).all(|pair| pair[0] == pair[1]));
    let reopened = open(&store, 2);
    for (id, handle) in ids.iter().zip(&handles[0]) {
        let identity = Identity::from_tokens("\"user\"", id);
        assert_eq!(
            reopened.subject(&tenant(), identity).unwrap().handle(),
            *handle
        );
    }
}

#[test]
fn disclosures_carry_their_salts() {
    let store = Arc::new(MemoryState::new());
    let keyring = open(&store, 1);
    let subject = keyring.subject(&tenant(), bob()).unwrap();
    let sealed = value(&keyring, &subject, "Bob");
    let foreign = SealedValue {
        handle: Handle([7; 16]),
        ..sealed.clone()
    };
    let damaged = SealedValue {
        row: sealed.row.iter().map(|b| b ^ 1).collect(),
        ..sealed.clone()
    };
    let id = AuditId([3; 16]);
    let disclosed = keyring
        .disclosures(&tenant(), id, &[sealed, foreign, damaged])
        .unwrap();
    let expected = Disclosure {
        handle: subject.handle(),
        salt: subject.salt(id, "/actor/name"),
        pointer: "/actor/name".into(),
        value: "\"Bob\"".into(),
    };
    assert_eq!(disclosed[0], Ok(expected));
    assert_eq!(disclosed[1], Err((Handle([7; 16]), Sealed::NoKey)));
    assert_eq!(disclosed[2], Err((subject.handle(), Sealed::Damaged)));
    assert_ne!(
        subject.salt(id, "/actor/name"),
        subject.salt(AuditId([4; 16]), "/actor/name")
    );
    assert_ne!(
        subject.salt(id, "/actor/name"),
        subject.salt(id, "/actor/email")
    );
}
