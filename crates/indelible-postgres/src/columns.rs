//! What is derived from a record's event and stands beside its leaf: what it is found by, and the
//! columns that people filter by in SQL.
//!
//! Everything here can be made again from leaves; bytes that are no leaf have none of it.

use std::borrow::Cow;

use indelible_event::leaf::LeafView;
use indelible_event::{EventView, Field};
use indelible_store::terms::extract_hashes;
use indelible_store::{NewRecord, TermKey};

/// The columns, as they are called, and the fields they hold.
pub(crate) const COLUMNS: [(&str, Field); 13] = [
    ("event_type", Field::EventType),
    ("category", Field::Category),
    ("action", Field::Action),
    ("outcome", Field::Outcome),
    ("severity", Field::Severity),
    ("actor_type", Field::ActorType),
    ("actor_id", Field::ActorId),
    ("target_type", Field::TargetType),
    ("target_id", Field::TargetId),
    ("correlation_id", Field::CorrelationId),
    ("investigation_id", Field::InvestigationId),
    ("alert_id", Field::AlertId),
    ("source_service", Field::SourceService),
];

/// The number that no key of a term has, for what finds a personal value.
pub(crate) const PERSONAL: u8 = 255;

/// What is derived of one record.
pub(crate) struct Derived<'a> {
    /// Hashes of its terms and of its personal values, in order, each once.
    pub(crate) terms: Vec<i64>,
    /// In the order of [`COLUMNS`].
    pub(crate) columns: [Option<Cow<'a, str>>; COLUMNS.len()],
}

/// Derives it.
pub(crate) fn derived(record: &NewRecord, key: TermKey) -> Derived<'_> {
    let leaf = LeafView::locate(&record.leaf).ok();
    let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
    let mut hashes = Vec::new();
    match (&record.filed, &event) {
        (Some(filed), _) => hashes.extend_from_slice(&filed.terms),
        (None, Some(event)) => extract_hashes(event, &key, &mut hashes, &mut Vec::new()),
        (None, None) => {}
    }
    let finds = record.sealed.iter().filter_map(|value| value.find);
    hashes.extend(finds.map(|find| key.hash(PERSONAL, &find.0)));
    hashes.sort_unstable();
    hashes.dedup();
    let column = |(_, field)| event.as_ref()?.text(field).map(without_nul);
    Derived {
        terms: hashes.into_iter().map(u64::cast_signed).collect(),
        columns: COLUMNS.map(column),
    }
}

/// PostgreSQL has no U+0000 in a text.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text
    }
}
