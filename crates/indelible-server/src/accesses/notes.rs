//! The notes themselves: what is told apart, what is counted, and for how many there is room.

use std::collections::HashMap;

use indelible_event::ids::{Micros, TenantId};

use super::What;

/// Notes that there is room for.
const NOTES_MAX: usize = 8_192;
/// Bytes of texts that there is room for.
const BYTES_MAX: usize = 4 << 20;
/// What one principal, or all that are nobody, asks in so many words is told apart; what it asks
/// beyond that in the same minute is counted together.
const WORDINGS_MAX: usize = 128;

/// Who did what, asked how: what is one note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) what: What,
    /// Kind and id.
    pub(super) actor: (&'static str, Box<str>),
    pub(super) tenant: Option<TenantId>,
    pub(super) route: Box<str>,
    pub(super) detail: Detail,
}

/// In what words it was asked, or why it was denied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Detail {
    Query(Box<str>),
    /// The name of the problem, the key that was claimed, and the network it was claimed from.
    Refused(&'static str, Option<Box<str>>, Option<Box<str>>),
    /// Of a viewer token, and how many microseconds it lasts.
    Viewer {
        has_query: bool,
        lasts: i64,
    },
    /// More than are told apart.
    Others,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) requests: u64,
    pub(super) records: u64,
    pub(super) since: Micros,
    pub(super) until: Micros,
}

impl Note {
    fn new(now: Micros) -> Self {
        Self {
            requests: 0,
            records: 0,
            since: now,
            until: now,
        }
    }

    fn count(&mut self, requests: u64, records: u64, now: Micros) {
        self.requests += requests;
        self.records += records;
        self.until = self.until.max(now);
    }
}

/// Notes that were taken out, and what found no room.
type Due = (Vec<(Key, Note)>, Vec<(What, Note)>);

/// All notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: HashMap<Key, Note>,
    bytes: usize,
    /// How many each actor has that are told apart.
    wordings: HashMap<Box<str>, usize>,
    /// What found no room.
    left_out: [Option<Note>; What::ALL.len()],
}

impl Key {
    fn bytes(&self) -> usize {
        let detail = match &self.detail {
            Detail::Query(text) => text.len(),
            Detail::Refused(_, key, network) => [key, network]
                .into_iter()
                .map(|text| text.as_ref().map_or(0, |text| text.len()))
                .sum(),
            Detail::Viewer { .. } | Detail::Others => 0,
        };
        let tenant = self
            .tenant
            .as_ref()
            .map_or(0, |tenant| tenant.as_str().len());
        self.actor.1.len() + tenant + self.route.len() + detail
    }

    /// The one that it is counted under where no more are told apart.
    fn with_others(self) -> Self {
        // Records were seen of tenants that are there; what was denied may have any name.
        let tenant = self.tenant.filter(|_| self.what != What::Denied);
        Self {
            tenant,
            detail: Detail::Others,
            ..self
        }
    }
}

impl Notes {
    /// Counts to a note, a new one if there is room.
    pub(super) fn count(&mut self, mut key: Key, requests: u64, records: u64, now: Micros) {
        if let Some(note) = self.notes.get_mut(&key) {
            return note.count(requests, records, now);
        }
        let told_apart = self.wordings.get(&key.actor.1).copied().unwrap_or_default();
        if told_apart >= WORDINGS_MAX {
            key = key.with_others();
            if let Some(note) = self.notes.get_mut(&key) {
                return note.count(requests, records, now);
            }
        }
        let bytes = key.bytes();
        let mut note = Note::new(now);
        note.count(requests, records, now);
        if self.notes.len() >= NOTES_MAX || self.bytes + bytes > BYTES_MAX {
            let mut left_out = What::ALL.into_iter().zip(&mut self.left_out);
            if let Some((_, left_out)) = left_out.find(|(what, _)| *what == key.what) {
                let left_out = left_out.get_or_insert(Note::new(now));
                left_out.count(requests, records, now);
            }
            return;
        }
        if told_apart < WORDINGS_MAX {
            let actor = key.actor.1.clone();
            *self.wordings.entry(actor).or_default() += 1;
        }
        self.bytes += bytes;
        self.notes.insert(key, note);
    }

    /// Counts so many notes that were taken out and could not be written.
    pub(super) fn lose(&mut self, notes: usize, now: Micros) {
        let [read, ..] = &mut self.left_out;
        let lost = read.get_or_insert(Note::new(now));
        lost.count(notes as u64, 0, now);
    }

    /// Takes out what began before a time, and what found no room.
    pub(super) fn take(&mut self, before: Micros) -> Due {
        let due = self.notes.extract_if(|_, note| note.since < before);
        let due: Vec<_> = due.collect();
        for (key, _) in &due {
            self.bytes = self.bytes.saturating_sub(key.bytes());
            if key.detail != Detail::Others
                && let Some(told_apart) = self.wordings.get_mut(&key.actor.1)
            {
                *told_apart -= 1;
                if *told_apart == 0 {
                    self.wordings.remove(&key.actor.1);
                }
            }
        }
        let left_out = What::ALL.into_iter().zip(&mut self.left_out);
        let left_out = left_out.filter_map(|(what, note)| {
            let due = note.take_if(|note| note.since < before)?;
            Some((what, due))
        });
        (due, left_out.collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key(actor: &str, query: &str) -> Key {
        Key {
            what: What::Read,
            actor: ("service", actor.into()),
            tenant: Some(TenantId::parse("acme").unwrap()),
            route: "/v1/records".into(),
            detail: Detail::Query(query.into()),
        }
    }

    #[test]
    fn what_is_asked_alike_is_one_note_until_it_is_written() {
        let mut notes = Notes::default();
        for n in 0..100 {
            notes.count(key("key:a", "ada"), 1, 10, Micros(n));
        }
        assert_eq!(notes.take(Micros(0)), (vec![], vec![]));
        let (due, left_out) = notes.take(Micros(1));
        let note = Note {
            requests: 100,
            records: 1_000,
            since: Micros(0),
            until: Micros(99),
        };
        assert_eq!(due, [(key("key:a", "ada"), note)]);
        assert!(left_out.is_empty());
        assert_eq!((notes.bytes, notes.wordings.len()), (0, 0));
    }

    #[test]
    fn one_principal_has_so_many_wordings_and_all_there_is_has_a_bound() {
        let mut notes = Notes::default();
        for n in 0..100_000 {
            notes.count(key("key:a", &n.to_string()), 1, 1, Micros(n));
        }
        assert_eq!(notes.notes.len(), WORDINGS_MAX + 1);
        let others = notes.notes[&key("key:a", "").with_others()];
        assert_eq!(others.requests, 100_000 - WORDINGS_MAX as u64);
        for n in 0..2 * NOTES_MAX {
            notes.count(key(&format!("key:{n}"), "x"), 1, 0, Micros(0));
        }
        assert_eq!(notes.notes.len(), NOTES_MAX);
        let (due, left_out) = notes.take(Micros(i64::MAX));
        let counted: u64 = due.iter().map(|(_, note)| note.requests).sum();
        let [(What::Read, rest)] = left_out.as_slice() else {
            panic!("{left_out:?}");
        };
        assert_eq!(counted + rest.requests, 100_000 + 2 * NOTES_MAX as u64);
        assert_eq!((notes.bytes, notes.wordings.len()), (0, 0));
    }

    #[test]
    fn long_texts_are_bounded_too() {
        let mut notes = Notes::default();
        let long = "x".repeat(4_096);
        for n in 0..2_000 {
            let actor = format!("key:{}", n / 100);
            notes.count(key(&actor, &format!("{n}{long}")), 1, 0, Micros(0));
        }
        assert!(notes.bytes <= BYTES_MAX);
        assert!(notes.take(Micros(1)).1.len() == 1);
    }
}
