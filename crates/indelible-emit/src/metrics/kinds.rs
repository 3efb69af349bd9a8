//! Events by type and status, for a metric whose labels must stay few.
//!
//! Of a type only the first two segments are told, and of those only so many: a program may make
//! types out of paths or names, and a metric keeps every one it was ever told.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indelible_event::Outcome;

/// How many types are told apart.
const KINDS_MAX: usize = 100;
/// The longest type that is told, in bytes.
const KIND_BYTES_MAX: usize = 64;
/// All others, and a status that is no outcome.
const OTHER: &str = "other";
/// Every outcome, and the rest.
const STATUSES: usize = Outcome::ALL.len() + 1;

/// Counts of events.
#[derive(Debug, Default)]
pub(crate) struct Kinds(Mutex<BTreeMap<String, [u64; STATUSES]>>);

impl Kinds {
    /// Counts an event. Only the worker does; whoever reads keeps it for a moment.
    pub(crate) fn count(&self, event_type: &str, status: Option<Outcome>) {
        let kind = kind(event_type);
        let place = |outcome| Outcome::ALL.iter().position(|known| *known == outcome);
        let place = status.and_then(place).unwrap_or(Outcome::ALL.len());
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = kinds.get_mut(kind) {
            counts[place] += 1;
            return;
        }
        let kind = if kinds.len() < KINDS_MAX { kind } else { OTHER };
        kinds.entry(kind.to_owned()).or_default()[place] += 1;
    }

    /// What was counted: type, status and number.
    pub(crate) fn read(&self) -> Vec<(String, &'static str, u64)> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = Outcome::WORDS.iter().copied().chain([OTHER]);
        let told = |(kind, counts): (&String, &[u64; STATUSES])| {
            let counts = words.clone().zip(*counts);
            let counted = counts.filter(|(_, count)| *count > 0);
            let kind = kind.clone();
            counted
                .map(move |(word, count)| (kind.clone(), word, count))
                .collect::<Vec<_>>()
        };
        kinds.iter().flat_map(told).collect()
    }
}

/// The first two segments, where they are words: letters, digits, `_` and `-`.
fn kind(event_type: &str) -> &str {
    let end = event_type.match_indices('.').nth(1).map(|(at, _)| at);
    let kind = event_type.get(..end.unwrap_or(event_type.len()));
    let kind = kind.unwrap_or_default();
    let word = |text: &str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        !text.is_empty() && text.bytes().all(letter)
    };
    if kind.len() <= KIND_BYTES_MAX && kind.split('.').all(word) {
        kind
    } else {
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_type_two_segments_are_told_and_nothing_that_may_name_somebody() {
        for (event_type, told) in [
            ("auth.login", "auth.login"),
            ("aianalysis.rego.evaluation", "aianalysis.rego"),
            ("a.b.c.d", "a.b"),
            ("heartbeat", "heartbeat"),
            ("api.get./posts/{id}", "api.get"),
            ("api.get./v1.2/posts", "api.get"),
            ("mail.ada@example.com", OTHER),
            ("a..b", OTHER),
            ("", OTHER),
            (&"x".repeat(KIND_BYTES_MAX + 1), OTHER),
        ] {
            assert_eq!(kind(event_type), told, "{event_type}");
        }
    }

    #[test]
    fn types_are_told_apart_up_to_a_bound() {
        let kinds = Kinds::default();
        for n in 0..10 * KINDS_MAX {
            kinds.count(&format!("made.up{n}"), Some(Outcome::Success));
        }
        kinds.count("made.up1", None);
        let told = kinds.read();
        let beyond = 9 * KINDS_MAX as u64;
        assert_eq!(told.len(), KINDS_MAX + 2);
        assert!(told.contains(&(OTHER.to_owned(), "success", beyond)));
        assert!(told.contains(&("made.up1".to_owned(), OTHER, 1)));
    }
}
