//! Lines of disclosures, and the disclosures chosen of one.

use std::sync::LazyLock;

use indelible_proof::disclosure::{ChosenDisclosures, DisclosureLine, Shown};

use crate::vectors::{texts, vectors};

static LEAVES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| texts(&vectors("receipt"), &["leaves"]));

/// The values that the leaves committed to: no others can be shown.
static VALUES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let lines = texts(&vectors("receipt"), &["line"]);
    let lines = lines
        .iter()
        .filter_map(|line| DisclosureLine::parse(line).ok());
    let values = lines.flat_map(|line| line.disclosures);
    values.map(|value| value.get().to_owned()).collect()
});

/// Whether it is a line or a choice; panics where one changes by being written, where what is
/// chosen has another root, or where values are shown to be in a leaf that are not.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let chosen = chosen(input);
    let Ok(line) = DisclosureLine::parse(input) else {
        return chosen;
    };
    let written = serde_json::to_vec(&line).expect("a line is JSON");
    let again = DisclosureLine::parse(&written).expect("what is written is read");
    assert_eq!(serde_json::to_vec(&again).ok(), Some(written));
    assert_eq!(again.root(), line.root());
    for shown in [true, false] {
        let choice = ChosenDisclosures::choose(&line, |_| shown);
        assert!(choice.is_ok() || line.root().is_err());
        if let Ok(choice) = choice {
            verify(&choice);
        }
    }
    true
}

fn chosen(input: &[u8]) -> bool {
    let Ok(choice) = serde_json::from_slice::<ChosenDisclosures>(input) else {
        return false;
    };
    let written = serde_json::to_vec(&choice).expect("a choice is JSON");
    let again: ChosenDisclosures =
        serde_json::from_slice(&written).expect("what is written is read");
    assert_eq!(serde_json::to_vec(&again).ok(), Some(written));
    verify(&choice);
    true
}

fn verify(choice: &ChosenDisclosures) {
    for leaf in LEAVES.iter() {
        if choice.verify(leaf).is_err() {
            continue;
        }
        for shown in &choice.leaves {
            if let Shown::Disclosed(raw) = shown {
                assert!(VALUES.iter().any(|value| value == raw.get()));
            }
        }
    }
}

/// The line of the vectors and what is chosen of it.
pub fn seeds() -> Vec<Vec<u8>> {
    let vectors = vectors("receipt");
    let mut seeds = vec![vectors["disclosures"]["chosen"].to_string().into_bytes()];
    seeds.extend(texts(&vectors["disclosures"], &["line"]));
    seeds
}
