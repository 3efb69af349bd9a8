//! The vectors of `spec/vectors`, made by an independent program.

use indelible_merkle::{Hash, leaf_hash, root_of, verify_consistency};
use indelible_proof::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use indelible_proof::disclosure::{
    ChosenDisclosures, DisclosureLine, commitment_root, commitments, disclosure_bytes,
};
use indelible_proof::finding::Span;
use indelible_proof::note::{Note, NoteError, SigningKey, VerifierKey};
use indelible_proof::registry::{RecordProof, Snapshot};
use indelible_proof::verify::{Expected, LogVerifier, Trust};
use serde_json::Value;

use crate::forge::{anchored_to, key};

/// The log of the vectors.
const LOG: &str = "indelible.dev/00112233445566778899aabbccddeeff/ffeeddccbbaa99887766554433221100";

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn hash(value: &Value) -> Hash {
    text(value).parse().unwrap()
}

fn leaves(value: &Value) -> Vec<&[u8]> {
    list(value)
        .iter()
        .map(|leaf| text(leaf).as_bytes())
        .collect()
}

#[test]
fn chain() {
    let vectors = read(include_str!("../../../../spec/vectors/chain.json"));
    let sound = leaves(&vectors["cases"][0]["leaves"]);
    let hashes: Vec<Hash> = sound.iter().map(|leaf| leaf_hash(leaf)).collect();
    assert_eq!(
        hashes,
        list(&vectors["record_hashes"])
            .iter()
            .map(hash)
            .collect::<Vec<_>>()
    );
    assert_eq!(root_of(hashes), hash(&vectors["root"]));
    let cases = list(&vectors["cases"]);
    assert_eq!(cases.len(), 19);
    for case in cases {
        let name = text(&case["name"]);
        let mut verifier = LogVerifier::new(text(&vectors["tenant_id"]));
        for checkpoint in list(&case["checkpoints"]) {
            let (size, root) = (number(&checkpoint["size"]), hash(&checkpoint["root"]));
            let origin = LOG.to_owned();
            let key = key().renamed(LOG).unwrap();
            let signed = SignedCheckpoint::sign(Checkpoint { origin, size, root }, &key).unwrap();
            assert!(verifier.checkpoint(&signed, &key.verifier_key(), Trust::Key));
        }
        for (at, leaf) in leaves(&case["leaves"]).into_iter().enumerate() {
            let record_hash = case.get("stored_hashes").map(|stored| hash(&stored[at]));
            verifier.push_expecting(
                leaf,
                Expected {
                    record_hash,
                    ..Expected::default()
                },
            );
        }
        let verdict = verifier.finish();
        let found = verdict
            .integrity
            .iter()
            .map(|f| (f.kind.code(), f.records))
            .collect::<Vec<_>>();
        let expected = list(&case["findings"]).iter().map(|finding| {
            let span = Span::new(number(&finding["first"]), number(&finding["last"]));
            (text(&finding["finding"]), Some(span))
        });
        assert_eq!(
            found,
            expected.collect::<Vec<_>>(),
            "{name}: {:#?}",
            verdict.integrity
        );
        assert_eq!(
            verdict.records_checked,
            number(&case["records_checked"]),
            "{name}"
        );
        let anchored = case["anchored"].as_u64();
        if name != "empty" {
            assert_eq!(anchored_to(&verdict), anchored, "{name}");
        }
    }
}

#[test]
fn stream() {
    let vectors = read(include_str!("../../../../spec/vectors/stream.json"));
    let cases = list(&vectors["cases"]);
    assert_eq!(cases.len(), 14);
    for case in cases {
        let mut verifier = LogVerifier::new(text(&vectors["tenant_id"]));
        for leaf in leaves(&case["leaves"]) {
            verifier.push(leaf);
        }
        let verdict = verifier.finish();
        assert_eq!(verdict.integrity, [], "{}", case["name"]);
        let said = verdict
            .completeness
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let expected = list(&case["verdicts"]).iter().map(text).collect::<Vec<_>>();
        assert_eq!(said, expected, "{}", case["name"]);
    }
}

#[test]
fn checkpoint_keys_and_notes() {
    let vectors = read(include_str!("../../../../spec/vectors/checkpoint.json"));
    for vector in list(&vectors["keys"]) {
        let seed = [u8::try_from(number(&vector["seed_byte"])).unwrap(); 32];
        let make = match vector["witness"].as_bool() {
            Some(true) => SigningKey::witness_from_seed,
            _ => SigningKey::from_seed,
        };
        let key = make(text(&vector["name"]), &seed).unwrap();
        assert_eq!(key.verifier_key().to_string(), text(&vector["vkey"]));
        assert_eq!(key.to_private(), text(&vector["private"]));
        assert_eq!(
            format!("{:08x}", key.verifier_key().id()),
            text(&vector["key_id"])
        );
        let read = SigningKey::parse_private(text(&vector["private"])).unwrap();
        assert_eq!(read.verifier_key(), text(&vector["vkey"]).parse().unwrap());
    }
    let foreign = &vectors["foreign"];
    let key = SigningKey::parse_private(text(&foreign["private"])).unwrap();
    assert_eq!(key.verifier_key().to_string(), text(&foreign["vkey"]));
    let note = Note::sign(text(&foreign["text"]), &key).unwrap();
    assert_eq!(note.to_string(), text(&foreign["note"]));
    let parsed = Note::parse(text(&foreign["note"]).as_bytes()).unwrap();
    assert_eq!(parsed.verify(&key.verifier_key()), Ok(None));
}

#[test]
fn checkpoint_signed_and_cosigned() {
    let vectors = read(include_str!("../../../../spec/vectors/checkpoint.json"));
    let [log, witness] = [0, 1].map(|at| {
        text(&vectors["keys"][at]["vkey"])
            .parse::<VerifierKey>()
            .unwrap()
    });
    let private =
        |at: usize| SigningKey::parse_private(text(&vectors["keys"][at]["private"])).unwrap();
    let vector = &vectors["checkpoint"];
    let expected = Checkpoint {
        origin: text(&vector["origin"]).to_owned(),
        size: number(&vector["size"]),
        root: hash(&vector["root"]),
    };
    assert_eq!(expected.to_string(), text(&vector["text"]));
    let signed = SignedCheckpoint::parse(text(&vector["note"]).as_bytes()).unwrap();
    assert_eq!(signed.verify(&log).unwrap(), &expected);
    let time = number(&vector["cosigned_at"]);
    assert_eq!(signed.verify_cosignature(&witness), Ok(time));
    // Ed25519 is deterministic: signing gives the same bytes.
    let mut again = SignedCheckpoint::sign(expected, &private(0)).unwrap();
    again.add(again.cosign(&private(1), time));
    assert_eq!(again.to_string(), text(&vector["note"]));

    let refused = list(&vectors["refused"]);
    assert_eq!(refused.len(), 11);
    for case in refused {
        let parsed = SignedCheckpoint::parse(text(&case["note"]).as_bytes());
        match text(&case["refused"]) {
            "form" => assert!(parsed.is_err(), "{}", case["name"]),
            "signature" => assert!(parsed.unwrap().verify(&log).is_err(), "{}", case["name"]),
            other => panic!("unknown reason {other}"),
        }
    }
    for case in list(&vectors["consistency"]) {
        let proof: Vec<Hash> = list(&case["proof"]).iter().map(hash).collect();
        let (old, new) = (number(&case["old"]), number(&case["new"]));
        let (old_root, new_root) = (hash(&case["old_root"]), hash(&case["new_root"]));
        assert_eq!(
            verify_consistency(old, new, &proof, &old_root, &new_root),
            Ok(())
        );
    }
}

#[test]
fn a_cosignature_is_no_signature_and_holds_for_one_text_and_time() {
    let vectors = read(include_str!("../../../../spec/vectors/checkpoint.json"));
    let note = text(&vectors["checkpoint"]["note"]);
    let witness: VerifierKey = text(&vectors["keys"][1]["vkey"]).parse().unwrap();
    let log: VerifierKey = text(&vectors["keys"][0]["vkey"]).parse().unwrap();
    let altered = note.replacen("\n5\n", "\n6\n", 1);
    let altered = SignedCheckpoint::parse(altered.as_bytes()).unwrap();
    let bad = |key: &VerifierKey| Err(NoteError::BadSignature(key.name().to_owned()));
    assert_eq!(altered.verify_cosignature(&witness), bad(&witness));
    let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    assert!(signed.verify_cosignature(&log).is_err());
    let stranger = SigningKey::witness_from_seed(witness.name(), &[9; 32])
        .unwrap()
        .verifier_key();
    assert!(matches!(
        signed.verify_cosignature(&stranger),
        Err(NoteError::NotSigned(_))
    ));
    assert!(matches!(
        signed.verify(&witness),
        Err(CheckpointError::Origin { .. })
    ));
}

#[test]
fn receipts_and_proofs_of_records() {
    let vectors = read(include_str!("../../../../spec/vectors/receipt.json"));
    let key: VerifierKey = text(&vectors["vkey"]).parse().unwrap();
    let leaves = leaves(&vectors["leaves"]);
    for line in list(&vectors["snapshots"]) {
        let snapshot: Snapshot = serde_json::from_str(text(line)).unwrap();
        assert_eq!(snapshot.line(), text(line));
    }
    let proofs = list(&vectors["proofs"]);
    assert_eq!(proofs.len(), leaves.len());
    for (proof, leaf) in proofs.iter().zip(&leaves) {
        let parsed: RecordProof = serde_json::from_value(proof.clone()).unwrap();
        let proved = parsed.verify(&key, Some(leaf)).unwrap();
        assert_eq!(proved.snapshot.number, 1);
        assert_eq!(proved.receipt.as_ref(), Some(&parsed.receipt));
        // Without the leaf nothing speaks for the rest of the receipt.
        let proved_alone = parsed.verify(&key, None).unwrap();
        assert_eq!(proved_alone.receipt, None);
        assert_eq!(proved_alone.record_hash, parsed.receipt.record_hash);
        assert_eq!(proved.checkpoint.unverified().size, 3);
        assert_eq!(&serde_json::to_value(&parsed).unwrap(), proof);
        for other in leaves.iter().filter(|other| other != &leaf) {
            assert!(parsed.verify(&key, Some(other)).is_err());
        }
    }
}

/// The page shows a receipt as it is written.
#[test]
fn receipts_are_written_in_the_order_of_the_page() {
    let vectors = read(include_str!("../../../../spec/vectors/receipt.json"));
    let proof: RecordProof = serde_json::from_value(vectors["proofs"][0].clone()).unwrap();
    let page = include_str!("../../../../spec/receipt.md");
    let shown = page.lines().find(|line| line.starts_with("    {")).unwrap();
    let keys = |text: &str| -> Vec<String> {
        let quoted = text.split('"').skip(1).step_by(2);
        quoted
            .filter(|part| part.contains('_'))
            .map(str::to_owned)
            .collect()
    };
    let written = serde_json::to_string(&proof.receipt).unwrap();
    assert_eq!(keys(&written), keys(shown));
    assert_eq!(keys(shown).len(), 5);
}

/// Every hash, number and text of a proof matters: changing any one refuses it.
#[test]
fn a_proof_with_anything_altered_is_refused() {
    let vectors = read(include_str!("../../../../spec/vectors/receipt.json"));
    let key: VerifierKey = text(&vectors["vkey"]).parse().unwrap();
    let leaf = leaves(&vectors["leaves"])[2];
    let good = vectors["proofs"][2].to_string();
    let refused = |altered: &str| match serde_json::from_str::<RecordProof>(altered) {
        Ok(proof) => proof.verify(&key, Some(leaf)).is_err(),
        Err(_) => true,
    };
    assert!(!refused(&good));
    let mut tried = 0;
    for (at, byte) in good.bytes().enumerate() {
        let other = match byte {
            b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => byte + 1,
            b'9' | b'z' | b'Z' => byte - 1,
            _ => continue,
        };
        let mut altered = good.clone().into_bytes();
        altered[at] = other;
        let altered = String::from_utf8(altered).unwrap();
        // The escaped line feeds and the name of the escape stay what they are.
        if good[..at].ends_with('\\') || altered == good {
            continue;
        }
        assert!(
            refused(&altered),
            "byte {at}: {}",
            &altered[at.saturating_sub(30)..at + 10]
        );
        tried += 1;
    }
    assert!(tried > 1_000);
}

#[test]
fn disclosures_and_chosen_disclosures() {
    let vectors = read(include_str!("../../../../spec/vectors/receipt.json"));
    let vector = &vectors["disclosures"];
    let all = leaves(&vectors["leaves"]);
    let leaf = all[2];
    let line = DisclosureLine::parse(text(&vector["line"]).as_bytes()).unwrap();
    assert_eq!(line.root().unwrap(), hash(&vector["root"]));
    let commitment = &commitments(leaf).unwrap()[0];
    assert_eq!(
        (commitment.root, &commitment.subject),
        (hash(&vector["root"]), &line.subject)
    );
    assert_eq!(commitments(all[3]).unwrap(), []);

    let full: Value = read(text(&vector["line"]));
    let bytes: Vec<Vec<u8>> = list(&full["disclosures"])
        .iter()
        .map(|disclosure| {
            let salt = hash(&disclosure[0]).to_bytes();
            disclosure_bytes(
                &salt,
                text(&disclosure[1]),
                disclosure[2].to_string().as_bytes(),
            )
        })
        .collect();
    assert_eq!(commitment_root(&bytes), hash(&vector["root"]));

    let chosen = ChosenDisclosures::choose(&line, |pointer| pointer != "/actor/ip").unwrap();
    assert_eq!(serde_json::to_value(&chosen).unwrap(), vector["chosen"]);
    let chosen: ChosenDisclosures = serde_json::from_str(&vector["chosen"].to_string()).unwrap();
    let shown = chosen.verify(leaf).unwrap();
    let expected: Vec<(String, String)> = serde_json::from_value(vector["shown"].clone()).unwrap();
    assert_eq!(shown, expected);
    for (from, to) in [
        ("zoe@", "joe@"),
        ("/actor/email", "/actor/phone"),
        ("sub_00", "sub_01"),
    ] {
        let altered = vector["chosen"].to_string().replacen(from, to, 1);
        let altered: ChosenDisclosures = serde_json::from_str(&altered).unwrap();
        assert!(altered.verify(leaf).is_err(), "{from}");
    }
    assert!(chosen.verify(all[3]).is_err());
}
