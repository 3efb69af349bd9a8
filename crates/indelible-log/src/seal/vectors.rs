//! The golden vectors of `spec/vectors/sealing.json`, made by other code than ours.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_store::memory::MemoryState;
use indelible_store::{Change, Finder, RowOpener, State};
use serde::Deserialize;

use super::*;
use crate::keyring::tests::Counting;
use crate::keyring::{MasterKey, Opened, normalise};

#[derive(Deserialize)]
struct Vectors {
    tenant: TenantId,
    master_key_file: String,
    identities: Vec<IdentityVector>,
    key_store: Vec<Entry>,
    find: Vec<FindVector>,
    record: RecordVector,
}

#[derive(Deserialize)]
struct IdentityVector {
    identity: String,
    handle: String,
}

#[derive(Deserialize)]
struct Entry {
    space: String,
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct FindVector {
    search_name: String,
    value: String,
    normalised: String,
    find: String,
}

#[derive(Deserialize)]
struct RecordVector {
    audit_id: AuditId,
    event: String,
    sealed_event: String,
    content_hash: String,
    values: Vec<ValueVector>,
}

#[derive(Deserialize)]
struct ValueVector {
    subject: String,
    pointer: String,
    value: String,
    search_name: Option<String>,
    row: String,
    salt: String,
    disclosure: String,
}

fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    crate::keyring::hex_into(&mut out, bytes);
    String::from_utf8(out).unwrap()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The key store of the vectors, entry by entry, opened with their master key.
fn load() -> (Vectors, Arc<Keyring>) {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../spec/vectors/sealing.json"
    );
    let vectors: Vectors = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let store = MemoryState::new();
    let change = |entry: &Entry| Change {
        space: entry.space.clone().leak(),
        key: unhex(&entry.key),
        expected: Some(0),
        value: Some(unhex(&entry.value)),
    };
    store
        .apply(&vectors.key_store.iter().map(change).collect::<Vec<_>>())
        .unwrap();
    let master = MasterKey::parse(&vectors.master_key_file).unwrap();
    let keyring = Keyring::open(Arc::new(store), Some(master), Counting::new(1)).unwrap();
    (vectors, keyring)
}

#[test]
fn keys_and_hashes() {
    let (vectors, keyring) = load();
    assert_eq!(vectors.identities.len(), 3);
    for vector in &vectors.identities {
        let (kind, id): (String, String) = serde_json::from_str(&vector.identity).unwrap();
        let (kind, id) = (format!("\"{kind}\""), format!("\"{id}\""));
        let identity = Identity::from_tokens(&kind, &id);
        let subject = keyring.subject(&vectors.tenant, identity).unwrap();
        assert_eq!(
            (subject.handle_text(), subject.is_durable()),
            (&*vector.handle, true)
        );
    }
    assert!(!vectors.find.is_empty());
    for vector in &vectors.find {
        assert_eq!(normalise(&vector.value), vector.normalised);
        for value in [&vector.value, &vector.normalised] {
            let find = Finder::find(&*keyring, &vectors.tenant, &vector.search_name, value);
            assert_eq!(hex(&find.unwrap().0), vector.find, "{}", vector.search_name);
        }
    }
}

#[test]
fn a_sealed_event() {
    let (Vectors { tenant, record, .. }, keyring) = load();
    let policy = SealingPolicy::default();
    let event = record.event.as_bytes();
    let sealed = seal_event(event, record.audit_id, &policy, &keyring, &tenant).unwrap();
    assert_eq!(str::from_utf8(&sealed.bytes).unwrap(), record.sealed_event);
    let content = indelible_event::content_hash(&sealed.bytes);
    assert_eq!(hex(&content), record.content_hash);
    assert!(sealed.is_durable(), "no key was made");

    let disclosed = keyring
        .disclosures(&tenant, record.audit_id, &sealed.sealed)
        .unwrap();
    assert_eq!(disclosed.len(), record.values.len());
    let mut opened = Vec::new();
    for ((value, disclosed), vector) in sealed.sealed.iter().zip(disclosed).zip(&record.values) {
        assert_eq!(hex(&value.row), vector.row, "{}", vector.pointer);
        let find = vector.search_name.as_ref().map(|name| {
            let text: String = serde_json::from_str(&vector.value).unwrap();
            Finder::find(&*keyring, &tenant, name, &text).unwrap()
        });
        assert_eq!((value.find, value.blob), (find, find.is_none()));
        assert_eq!(
            RowOpener::find(&*keyring, &tenant, value.handle, &value.row),
            find
        );
        let disclosed = disclosed.unwrap();
        assert_eq!(
            crate::keyring::parse_handle(&vector.subject),
            Some(disclosed.handle)
        );
        assert_eq!(hex(&disclosed.salt), vector.salt);
        assert_eq!(
            (&disclosed.pointer, &disclosed.value),
            (&vector.pointer, &vector.value)
        );
        let bytes = indelible_proof::disclosure::disclosure_bytes(
            &disclosed.salt,
            &disclosed.pointer,
            disclosed.value.as_bytes(),
        );
        assert_eq!(str::from_utf8(&bytes).unwrap(), vector.disclosure);
        let (pointer, value) = (disclosed.pointer, disclosed.value);
        opened.push(Opened::Value { pointer, value });
    }
    let unsealed = unseal(&sealed.bytes, &opened).unwrap();
    assert_eq!(str::from_utf8(&unsealed).unwrap(), record.event);
}
