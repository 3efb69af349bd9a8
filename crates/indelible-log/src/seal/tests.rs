//! Sealing and its way back, over the in-memory key store.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::{Json, canonicalize, is_canonical};
use indelible_event::{EventView, Field};
use indelible_merkle::Hash;
use indelible_store::State;
use indelible_store::memory::MemoryState;

use super::*;
use crate::keyring::tests::Counting;
use crate::keyring::{MasterKey, Opened};
use crate::policy::Draft;

const ID: AuditId = AuditId([0x42; 16]);

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub(super) fn keyring() -> Arc<Keyring> {
    let store: Arc<dyn State> = Arc::new(MemoryState::new());
    let master = Some(MasterKey::from_bytes([9; 32]));
    Keyring::open(store, master, Counting::new(1)).unwrap()
}

fn canonical(event: &str) -> Vec<u8> {
    canonicalize(event.as_bytes()).unwrap().into_owned()
}

pub(super) fn seal<'a>(keyring: &Keyring, event: &'a [u8]) -> SealedEvent<'a> {
    seal_event(event, ID, &SealingPolicy::default(), keyring, &tenant()).unwrap()
}

pub(super) fn open(keyring: &Keyring, sealed: &SealedEvent<'_>) -> Vec<Opened> {
    let open = |value| keyring.open_value(&tenant(), value).unwrap();
    sealed.sealed.iter().map(open).collect()
}

/// Pointers and values that left the event, sorted by pointer.
pub(super) fn left(keyring: &Keyring, sealed: &SealedEvent<'_>) -> Vec<(String, String)> {
    let mut left: Vec<_> = open(keyring, sealed)
        .into_iter()
        .map(|opened| match opened {
            Opened::Value { pointer, value } => (pointer, value),
            Opened::Sealed(why) => panic!("{why:?}"),
        })
        .collect();
    left.sort();
    left
}

pub(super) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const EVENT: &str = r#"{
    "action":"PutObject",
    "actor":{"email":"bob@example.com","id":"u-1","ip":"192.0.2.7","name":"Bob","type":"user",
             "user_agent":"curl/8.5"},
    "data":{"contact":"Carol@Example.com","list":[1.50,{"publicIp":"198.51.100.9","z":0}],
            "publicIpsSet":["203.0.113.5"],"version":"1.2.3.4"},
    "description":"mail bob@example.com or call +49 30 1234567 from 192.0.2.7",
    "event_type":"object.put","outcome":"success",
    "target":{"id":"amy@example.com","name":"Amy","type":"user"},
    "zebra":"z"}"#;

#[test]
fn personal_values_leave_and_the_rest_stays() {
    let keyring = keyring();
    let event = canonical(EVENT);
    let sealed = seal(&keyring, &event);
    assert!(is_canonical(&sealed.bytes), "{}", text(&sealed.bytes));
    let amy = keyring
        .subject(
            &tenant(),
            Identity::from_tokens("\"user\"", "\"amy@example.com\""),
        )
        .unwrap();
    let json = Json::parse(&sealed.bytes).unwrap();
    let commitments = json.pointer("/sealed").unwrap().to_canonical();
    let expected = format!(
        concat!(
            r#"{{"action":"PutObject","actor":{{"id":"u-1","type":"user"}},"#,
            r#""data":{{"list":[1.50,{{"z":0}}],"publicIpsSet":["[sealed]"],"#,
            r#""version":"1.2.3.4"}},"description":"mail [email] or call [phone] from [ip]","#,
            r#""event_type":"object.put","outcome":"success","sealed":{},"#,
            r#""target":{{"id":"{}","type":"user"}},"zebra":"z"}}"#,
        ),
        text(&commitments),
        amy.handle_text(),
    );
    assert_eq!(text(&sealed.bytes), expected);
    let pointers: Vec<_> = left(&keyring, &sealed)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    let expected = [
        "/actor/email",
        "/actor/ip",
        "/actor/name",
        "/actor/user_agent",
        "/data/contact",
        "/data/list/1/publicIp",
        "/data/publicIpsSet/0",
        "/description",
        "/target/id",
        "/target/name",
    ];
    assert_eq!(pointers, expected);
    assert_eq!(
        unseal(&sealed.bytes, &open(&keyring, &sealed)).unwrap(),
        event
    );
    assert_eq!(sealed.policy, 1);
    assert!(!sealed.is_durable() && !sealed.is_superseded());
    keyring.flush_pending().unwrap();
    assert!(sealed.is_durable());
    let view = EventView::parse(&sealed.bytes).unwrap();
    assert_eq!(view.raw(Field::ActorName), None);
}

#[test]
fn commitments_are_the_roots_over_the_disclosures() {
    let keyring = keyring();
    let event = canonical(EVENT);
    let sealed = seal(&keyring, &event);
    let json = Json::parse(&sealed.bytes).unwrap();
    let disclosed = keyring.disclosures(&tenant(), ID, &sealed.sealed).unwrap();
    let disclosed: Vec<_> = disclosed
        .into_iter()
        .map(std::result::Result::unwrap)
        .collect();
    let subjects = json.pointer("/sealed").unwrap().as_list().unwrap();
    assert_eq!(subjects.len(), 3, "actor, target and the record itself");
    let mut before = String::new();
    for subject in subjects {
        let handle = subject.pointer("/subject").unwrap().as_text().unwrap();
        assert!(before.as_str() < handle, "sorted by subject");
        before = handle.to_owned();
        let handle = crate::keyring::parse_handle(handle).unwrap();
        let own: Vec<_> = disclosed.iter().filter(|d| d.handle == handle).collect();
        assert!(own.windows(2).all(|pair| pair[0].pointer < pair[1].pointer));
        let leaves = own.iter().map(|d| {
            let salt = Hash::from(d.salt);
            let pointer = indelible_event::canonical::string_token(&d.pointer);
            let bytes = format!(r#"["{salt}",{pointer},{}]"#, d.value);
            assert!(is_canonical(bytes.as_bytes()));
            indelible_merkle::leaf_hash(bytes.as_bytes())
        });
        let root = indelible_merkle::root_of(leaves).to_string();
        assert_eq!(
            subject.pointer("/root").unwrap().as_text(),
            Some(root.as_str())
        );
    }
}

#[test]
fn who_the_subjects_are() {
    let keyring = keyring();
    let handles = |event: &str| {
        let event = canonical(event);
        let sealed = seal(&keyring, &event);
        let mut handles: Vec<_> = sealed.sealed.iter().map(|value| value.handle).collect();
        handles.dedup();
        handles
    };
    let user = |id: &str| {
        let id = format!("\"{id}\"");
        keyring
            .subject(&tenant(), Identity::from_tokens("\"user\"", &id))
            .unwrap()
            .handle()
    };
    let record = keyring
        .subject(&tenant(), RecordIdentity::new(ID).identity())
        .unwrap()
        .handle();
    let one = r#"{"actor":{"id":"a","name":"A","type":"user"},
                  "target":{"id":"a","name":"A","type":"user"}}"#;
    assert_eq!(
        handles(one),
        [user("a")],
        "one person, once actor and once target"
    );
    let uid = r#"{"target":{"name":"A","type":"user","uid":"b"}}"#;
    assert_eq!(handles(uid), [user("b")]);
    for nobody in [
        r#"{"actor":{"id":"a","name":"A"}}"#,
        r#"{"actor":{"id":"","name":"A","type":"user"}}"#,
        r#"{"actor":{"id":7,"name":"A","type":"user"}}"#,
        r#"{"actor":{"id":null,"name":"A","type":"user"}}"#,
        r#"{"data":{"x":"a@example.com"}}"#,
        r#"{"contact":"a@example.com"}"#,
    ] {
        assert_eq!(handles(nobody), [record], "{nobody}");
    }
    let mail = r#"{"actor":{"id":"a","role":"a@example.com","type":"user"}}"#;
    assert_eq!(
        handles(mail),
        [user("a")],
        "what stands under the actor is the actor's"
    );
}

#[test]
fn what_is_not_personal_makes_no_keys() {
    let keyring = keyring();
    for event in [
        "{}",
        r#"{"actor":{"id":"a","type":"user"}}"#,
        r#"{"actor":{"id":"a","name":"","email":null,"type":"user"}}"#,
        r#"{"actor":{"id":"svc","ip":"ec2.amazonaws.com","type":"service",
                     "user_agent":"AWS Internal"}}"#,
        r#"{"data":{"host":"192.0.2.1","zip":"10.0.0.1","mail":"write to a@example.com","n":1.0}}"#,
        r#"{"description":"version 1.2.3.4 of 2023-07-10"}"#,
        r#"{"source_event_id":"a@example.com"}"#,
    ] {
        let event = canonical(event);
        let sealed = seal(&keyring, &event);
        assert_eq!(text(&sealed.bytes), text(&event));
        assert!(sealed.sealed.is_empty());
        assert_eq!(unseal(&sealed.bytes, &[]).unwrap(), event);
    }
    assert_eq!(keyring.pending_subjects(), 0);
    let off = seal_event(
        EVENT.as_bytes(),
        ID,
        &SealingPolicy::off(),
        &keyring,
        &tenant(),
    );
    assert_eq!(off.unwrap_err().kind(), Kind::Invalid, "not canonical");
    let event = canonical(EVENT);
    let off = seal_event(&event, ID, &SealingPolicy::off(), &keyring, &tenant()).unwrap();
    assert_eq!((&*off.bytes, off.sealed.len()), (&*event, 0));
}

#[test]
fn a_sealed_of_the_producers_own_is_refused() {
    for policy in [SealingPolicy::default(), SealingPolicy::off()] {
        let event = br#"{"sealed":[]}"#;
        let error = seal_event(event, ID, &policy, &keyring(), &tenant()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("/sealed"), "{error}");
    }
    let inside = br#"{"data":{"sealed":"a@example.com"}}"#;
    assert_eq!(seal(&keyring(), inside).sealed.len(), 1);
}

#[test]
fn nothing_personal_is_sealed_without_the_master_key() {
    let keyring = Keyring::open(Arc::new(MemoryState::new()), None, Counting::new(1)).unwrap();
    let policy = SealingPolicy::default();
    let seal = |event: &str| {
        let event = canonical(event);
        let sealed = seal_event(&event, ID, &policy, &keyring, &tenant())?;
        Ok::<_, Error>(sealed.bytes.into_owned())
    };
    assert_eq!(seal(EVENT).unwrap_err().kind(), Kind::Unavailable);
    assert!(seal(r#"{"actor":{"id":"a","type":"user"}}"#).is_ok());
}

#[test]
fn find_hashes_follow_the_kind_of_value() {
    let keyring = keyring();
    let draft = Draft {
        fields: vec![
            "/actor/ip".into(),
            "/data/phone".into(),
            "/data/people/*/name".into(),
        ],
        ..Draft::default()
    };
    let policy = SealingPolicy::try_from(draft).unwrap();
    let event = canonical(
        r#"{"actor":{"id":"a","ip":"2001:DB8::1","type":"user"},
            "data":{"mail":"A@b.example","people":[{"name":"X"},{"name":"y@z.example"}],
                    "phone":491234567,"sourceIp":"192.0.2.1"},
            "raw":{"a":1}}"#,
    );
    let sealed = seal_event(&event, ID, &policy, &keyring, &tenant()).unwrap();
    let find = |name: &str, value: &str| {
        indelible_store::Finder::find(&*keyring, &tenant(), name, value).unwrap()
    };
    for (name, value) in [
        ("/actor/ip", "2001:db8:0::1"),
        ("email", "a@B.example"),
        ("/data/people/*/name", "x"),
        ("email", "y@z.example"),
        ("/data/phone", "491234567"),
        ("ip", "192.0.2.1"),
    ] {
        let hash = Some(find(name, value));
        // The tenant's key is not durable yet; it is the one that sealed all the same.
        assert_eq!(
            sealed.sealed.iter().filter(|v| v.find == hash).count(),
            1,
            "{name}"
        );
    }
    let blobs: Vec<_> = sealed.sealed.iter().filter(|value| value.blob).collect();
    assert_eq!(blobs.len(), 1);
    assert_eq!(blobs[0].find, None);
    assert_eq!(
        unseal(&sealed.bytes, &open(&keyring, &sealed)).unwrap(),
        event
    );
}

#[test]
fn long_values_are_blobs() {
    let keyring = keyring();
    for (length, blob) in [(1_024, false), (1_025, true)] {
        let name = "x".repeat(length);
        let event = format!(r#"{{"actor":{{"id":"a","name":"{name}","type":"user"}}}}"#);
        let sealed = seal(&keyring, event.as_bytes());
        assert_eq!(
            (sealed.sealed[0].blob, sealed.sealed[0].find.is_none()),
            (blob, blob)
        );
        assert_eq!(
            left(&keyring, &sealed),
            [("/actor/name".into(), format!("\"{name}\""))]
        );
    }
}

#[test]
fn a_repeat_is_sealed_as_its_first_record_was() {
    let keyring = keyring();
    let policy = SealingPolicy::default();
    let event = canonical(EVENT);
    let first = seal(&keyring, &event);
    keyring.flush_pending().unwrap();
    assert_eq!(seal(&keyring, &event).bytes, first.bytes);
    let bob = Identity::from_tokens("\"user\"", "\"u-1\"");
    let old = keyring.subject(&tenant(), bob).unwrap().handle();
    let handles: Vec<_> = first.sealed.iter().map(|value| value.handle).collect();
    keyring.rotate(&tenant(), bob).unwrap();
    assert_ne!(seal(&keyring, &event).bytes, first.bytes);
    let again = seal_again(&event, ID, &policy, &keyring, (&tenant(), &handles)).unwrap();
    assert_eq!((&again.bytes, again.erased), (&first.bytes, false));
    assert_eq!(again.sealed, first.sealed);

    keyring.destroy(&tenant(), &[old]).unwrap();
    let again = seal_again(&event, ID, &policy, &keyring, (&tenant(), &handles)).unwrap();
    assert!(again.erased);
    assert_ne!(
        again.bytes, first.bytes,
        "the commitment cannot be made again"
    );
    assert_eq!(unsealed_part(&again.bytes), unsealed_part(&first.bytes));
    assert_eq!(
        keyring.pending_subjects(),
        0,
        "an erased person gets no new key"
    );

    let other = canonical(&EVENT.replace("\"z\"", "\"y\""));
    let other = seal_again(&other, ID, &policy, &keyring, (&tenant(), &handles)).unwrap();
    assert_ne!(unsealed_part(&other.bytes), unsealed_part(&first.bytes));
}

#[test]
fn values_that_stay_closed_leave_their_commitment_in_place() {
    let keyring = keyring();
    let event = canonical(EVENT);
    let sealed = seal(&keyring, &event);
    let mut opened = open(&keyring, &sealed);
    opened[0] = Opened::Sealed(crate::keyring::Sealed::NoKey);
    let partly = unseal(&sealed.bytes, &opened).unwrap();
    assert!(is_canonical(&partly));
    let json = Json::parse(&partly).unwrap();
    assert_eq!(
        json.pointer("/sealed"),
        Json::parse(&sealed.bytes).unwrap().pointer("/sealed")
    );
    let foreign = Opened::Value {
        pointer: "/nobody/name".into(),
        value: "1".into(),
    };
    assert_eq!(
        unseal(&sealed.bytes, &[foreign]).unwrap_err().kind(),
        Kind::Corrupt
    );
}

#[test]
fn bytes_that_are_not_canonical_never_panic() {
    let event = canonical(EVENT);
    let (keyring, policy) = (keyring(), SealingPolicy::default());
    for at in 0..event.len() {
        let cut = seal_event(&event[..at], ID, &policy, &keyring, &tenant());
        assert_eq!(cut.unwrap_err().kind(), Kind::Invalid);
        for byte in *b"\"{}[],:\\x" {
            let mut changed = event.clone();
            changed[at] = byte;
            let _ = seal_event(&changed, ID, &policy, &keyring, &tenant());
            let _ = unseal(&changed, &[]);
        }
    }
}
