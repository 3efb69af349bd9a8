//! Keys, signed notes and checkpoints as text.

use std::sync::LazyLock;

use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::note::{Note, VerifierKey};

use crate::vectors::{texts, vectors};

static KEYS: LazyLock<Vec<VerifierKey>> = LazyLock::new(|| {
    let keys = texts(&vectors("checkpoint"), &["vkey"]);
    let keys = keys.iter().filter_map(|key| str::from_utf8(key).ok());
    keys.filter_map(|key| key.parse().ok()).collect()
});

/// Texts that the keys of the vectors signed: nobody can make others.
static SIGNED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let notes = texts(&vectors("checkpoint"), &["note"]);
    let notes = notes.iter().filter_map(|note| Note::parse(note).ok());
    notes.map(|note| note.text().to_owned()).collect()
});

/// Whether it is a key, a note or a checkpoint; panics where one is not written as it was read, or
/// where a text verifies that nobody signed.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let mut taken = false;
    if let Ok(text) = str::from_utf8(input) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert_eq!(key.to_string(), text);
            taken = true;
        }
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            assert_eq!(checkpoint.to_string(), text);
            taken = true;
        }
    }
    let signed = SignedCheckpoint::parse(input);
    if let Ok(signed) = &signed {
        assert_eq!(signed.to_string().as_bytes(), input);
        assert_eq!(signed.unverified().to_string(), signed.note().text());
        for key in KEYS.iter() {
            let _ = (signed.verify(key), signed.verify_cosignature(key));
        }
    }
    let Ok(note) = Note::parse(input) else {
        assert!(signed.is_err());
        return taken;
    };
    assert_eq!(note.to_string().as_bytes(), input);
    for key in KEYS.iter() {
        if note.verify(key).is_ok() {
            assert!(SIGNED.iter().any(|text| text == note.text()));
        }
    }
    true
}

/// Keys, notes, checkpoints, and what is none.
pub fn seeds() -> Vec<Vec<u8>> {
    texts(&vectors("checkpoint"), &["vkey", "text", "note"])
}
