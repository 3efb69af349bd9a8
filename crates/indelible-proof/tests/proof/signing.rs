//! Keys, notes and the guarded signer: what is refused, and what a crash leaves behind.

use std::cell::{Cell, RefCell};

use indelible_merkle::{Hash, consistency_proof, leaf_hash, root_of};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::FindingKind;
use indelible_proof::note::{KeyKind, Note, NoteError, SigningKey, VerifierKey};
use indelible_proof::signer::{GuardedSigner, SignError, SignerState};
use proptest::prelude::*;

use crate::forge::{ORIGIN, key};

const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn every_part_and_every_mangling_of_a_key_is_refused() {
    assert!(VKEY.parse::<VerifierKey>().is_ok());
    for from in 0..VKEY.len() {
        for to in from + 1..=VKEY.len() {
            let part = &VKEY[from..to];
            assert!(
                part == VKEY || part.parse::<VerifierKey>().is_err(),
                "{part}"
            );
        }
        let mut mangled = VKEY.as_bytes().to_vec();
        mangled[from] += 1;
        let mangled = String::from_utf8(mangled).unwrap();
        assert!(mangled.parse::<VerifierKey>().is_err(), "{mangled}");
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert!(matches!(
            SigningKey::from_seed(name, &[1; 32]),
            Err(NoteError::KeyName(_))
        ));
    }
    // A key of small order verifies anything and is no key.
    let weak = VerifierKey::new("weak", KeyKind::Ed25519, &[0; 32]);
    assert!(weak.is_err());
    let secret = key();
    let shown = format!("{secret:?}");
    assert!(!shown.contains(secret.to_private().rsplit('+').next().unwrap()));
}

#[test]
fn a_failing_signature_of_a_known_key_refuses_the_note_even_beside_a_good_one() {
    let note = Note::sign("text\n", &key()).unwrap();
    let mut two = note.clone();
    let other = Note::sign("other\n", &key()).unwrap();
    two.add(other.signatures()[0].clone());
    let refused = Err(NoteError::BadSignature(ORIGIN.to_owned()));
    assert_eq!(two.verify(&key().verifier_key()), refused);
    let stranger = SigningKey::from_seed("example.com/x", &[3; 32]).unwrap();
    let mut known = note;
    known.add(Note::sign("other\n", &stranger).unwrap().signatures()[0].clone());
    assert_eq!(known.verify(&key().verifier_key()), Ok(None));
    assert_eq!(Note::parse(known.to_string().as_bytes()), Ok(known));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Note::parse(&bytes).is_ok(), SignedCheckpoint::parse(&bytes).is_ok());
    }

    #[test]
    fn any_text_signs_and_verifies(text in "[ -~é\u{2014}\n]{0,80}") {
        let text = text + "\n";
        let note = Note::sign(&text, &key()).unwrap();
        let parsed = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(parsed.text(), &text);
        prop_assert_eq!(parsed.verify(&key().verifier_key()), Ok(None));
    }
}

/// A state that can be told to fail before or after a swap.
#[derive(Default)]
struct Kept {
    value: RefCell<Option<Vec<u8>>>,
    fails: Cell<Option<Fault>>,
}

#[derive(Clone, Copy)]
enum Fault {
    Lost,
    Persisted,
    Raced,
}

impl SignerState for &Kept {
    type Error = &'static str;

    fn load(&self) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.value.borrow().clone())
    }

    fn compare_and_swap(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Self::Error> {
        let fault = self.fails.take();
        if let Some(Fault::Lost) = fault {
            return Err("lost");
        }
        if let Some(Fault::Raced) = fault {
            return Ok(false);
        }
        if self.value.borrow().as_deref() != old {
            return Ok(false);
        }
        *self.value.borrow_mut() = Some(new.to_vec());
        if fault.is_some() {
            Err("unknown")
        } else {
            Ok(true)
        }
    }
}

fn tree(size: u64) -> Vec<Hash> {
    (0..size)
        .map(|n| leaf_hash(n.to_string().as_bytes()))
        .collect()
}

fn head(size: u64) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: root_of(tree(size)),
    }
}

fn proof(old: u64, new: u64) -> Vec<Hash> {
    let leaves = tree(new);
    let subtree = |level: u32, index: u64| {
        let place = |n: u64| usize::try_from(n << level).unwrap();
        Ok::<_, std::convert::Infallible>(root_of(
            leaves[place(index)..place(index + 1)].iter().copied(),
        ))
    };
    consistency_proof(old, new, subtree).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, SignError<&'static str>>) -> FindingKind {
    match result {
        Err(SignError::Refused(finding)) => finding.kind,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn only_what_extends_the_kept_checkpoint_is_signed() {
    let kept = Kept::default();
    let signer = GuardedSigner::new(key(), &kept);
    assert!(signer.kept().unwrap().is_none());
    let first = signer.sign(head(3), &[]).unwrap();
    assert_eq!(signer.kept().unwrap(), Some(first.clone()));
    // The same again gives the same note, without moving anything.
    assert_eq!(signer.sign(head(3), &[]).unwrap(), first);
    signer.sign(head(7), &proof(3, 7)).unwrap();

    assert_eq!(refused(signer.sign(head(5), &[])), FindingKind::RolledBack);
    assert_eq!(refused(signer.sign(head(0), &[])), FindingKind::RolledBack);
    assert_eq!(
        refused(signer.check(&head(6), &[])),
        FindingKind::RolledBack
    );
    let forked = Checkpoint {
        root: leaf_hash(b"other"),
        ..head(7)
    };
    assert_eq!(refused(signer.sign(forked, &[])), FindingKind::Forked);
    let forked = Checkpoint {
        root: leaf_hash(b"other"),
        ..head(9)
    };
    assert_eq!(
        refused(signer.sign(forked, &proof(7, 9))),
        FindingKind::Forked
    );
    assert_eq!(
        refused(signer.sign(head(9), &proof(6, 9))),
        FindingKind::Forked
    );
    assert_eq!(refused(signer.sign(head(9), &[])), FindingKind::Forked);
    signer.check(&head(9), &proof(7, 9)).unwrap();
    assert_eq!(signer.kept().unwrap().unwrap().unverified(), &head(7));
    let elsewhere = Checkpoint {
        origin: "example.com/other".to_owned(),
        ..head(9)
    };
    assert!(matches!(
        signer.sign(elsewhere, &proof(7, 9)),
        Err(SignError::Checkpoint(_))
    ));
}

#[test]
fn a_replaced_state_is_noticed() {
    let kept = Kept::default();
    let signer = GuardedSigner::new(key(), &kept);
    let note = signer.sign(head(3), &[]).unwrap().to_string();
    let put = |text: String| *kept.value.borrow_mut() = Some(text.into_bytes());
    put(note.replacen("\n3\n", "\n2\n", 1));
    assert_eq!(
        refused(signer.sign(head(3), &[])),
        FindingKind::BadSignature
    );
    put("nonsense".to_owned());
    assert_eq!(refused(signer.kept()), FindingKind::BadSignature);
    let other = SigningKey::from_seed("example.com/other", &[7; 32]).unwrap();
    let foreign = Checkpoint {
        origin: other.name().to_owned(),
        ..head(3)
    };
    put(SignedCheckpoint::sign(foreign, &other).unwrap().to_string());
    assert_eq!(
        refused(signer.check(&head(3), &[])),
        FindingKind::UnknownCheckpoint
    );
}

#[test]
fn no_signature_leaves_before_the_state_has_moved() {
    for (fault, moved) in [
        (Fault::Lost, false),
        (Fault::Persisted, true),
        (Fault::Raced, false),
    ] {
        let kept = Kept::default();
        let signer = GuardedSigner::new(key(), &kept);
        signer.sign(head(2), &[]).unwrap();
        kept.fails.set(Some(fault));
        let failed = signer.sign(head(5), &proof(2, 5)).unwrap_err();
        assert!(matches!(failed, SignError::State(_) | SignError::Raced));
        let size = if moved { 5 } else { 2 };
        assert_eq!(signer.kept().unwrap().unwrap().unverified(), &head(size));
        // Asking again is safe: what may have been signed is signed, nothing else is.
        let again = signer.sign(head(5), &proof(size, 5)).unwrap();
        assert_eq!(again, SignedCheckpoint::sign(head(5), &key()).unwrap());
        if moved {
            let fork = Checkpoint {
                root: leaf_hash(b"other"),
                ..head(5)
            };
            assert_eq!(refused(signer.sign(fork, &[])), FindingKind::Forked);
        }
    }
}
