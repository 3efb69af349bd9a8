//! The open tail: the index in memory of a file of records that is still growing, or is to be
//! sealed.
//!
//! Not here: which rows are filed under which term (`filed`). Everything is bounded by the rows of
//! a segment.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Frontier, Hash};
use indelible_store::{Column, FindHash};
use roaring::RoaringBitmap;

use crate::block::SealedRef;
use crate::bytes::to_u32;
use crate::directory::{BlockPlace, Directory};
use crate::filed::Filed;
use crate::hashing::Hashing;
use crate::segment::column::CHUNK_ROWS;

/// What the tail needs to know of a record, beside the bytes.
pub(crate) struct Entry<'a> {
    pub(crate) record_hash: Hash,
    pub(crate) audit_id: AuditId,
    pub(crate) occurred_at: Micros,
    pub(crate) ingested_at: Micros,
    /// Hashes of its terms.
    pub(crate) terms: &'a [u64],
    pub(crate) numbers: &'a [(Column, f64)],
    pub(crate) sealed: &'a [SealedRef],
}

/// Where no byte of any file stands: a row that is looked for there is found to be damaged.
pub(crate) const NOWHERE: u64 = 1 << 50;

/// A personal row: where it stands in the file, and what finds it where that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PersonalPlace {
    pub(crate) at: u64,
    pub(crate) find: Option<FindHash>,
}

/// The index of a growing file of records.
pub(crate) struct Tail {
    pub(crate) hashing: Hashing,
    pub(crate) directory: Directory,
    pub(crate) occurred: Vec<i64>,
    pub(crate) ingested: Vec<i64>,
    /// Positions of a clustered file; a committed one has none.
    pub(crate) positions: Vec<i64>,
    zones: Vec<(i64, i64)>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) numbers: Vec<(Column, u32, f64)>,
    filed: Filed,
    pub(crate) ids: Vec<AuditId>,
    id_rows: HashTable<u32>,
    pub(crate) personal: Vec<PersonalPlace>,
    personal_rows: HashMap<u128, u32, RandomState>,
    finds: HashMap<FindHash, Vec<u32>, RandomState>,
    /// Frontiers of the tenants before their first record here, by tenant number.
    pub(crate) frontiers: Vec<Frontier>,
    random: RandomState,
}

impl Tail {
    pub(crate) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            directory: Directory::default(),
            occurred: Vec::new(),
            ingested: Vec::new(),
            positions: Vec::new(),
            zones: Vec::new(),
            hashes: Vec::new(),
            numbers: Vec::new(),
            filed: Filed::default(),
            ids: Vec::new(),
            id_rows: HashTable::new(),
            personal: Vec::new(),
            personal_rows: HashMap::default(),
            finds: HashMap::default(),
            frontiers: Vec::new(),
            random: RandomState::default(),
        }
    }

    /// Makes room for as much as another tail has, so that nothing is moved as this one grows.
    pub(crate) fn make_room_like(&mut self, other: &Self) {
        let rows = other.ids.len();
        self.filed.make_room_like(&other.filed);
        self.occurred.reserve(rows);
        self.ingested.reserve(rows);
        self.hashes.reserve(rows);
        self.ids.reserve(rows);
        self.numbers.reserve(other.numbers.len());
        let (ids, random) = (&self.ids, &self.random);
        let hash_of = |row: &u32| id_hash(random, ids.get(*row as usize));
        self.id_rows.reserve(rows, hash_of);
    }

    pub(crate) fn rows(&self) -> u32 {
        self.directory.rows
    }

    /// The tenant's number; `frontier` is its tree before its first record here.
    pub(crate) fn tenant(&mut self, tenant: &TenantId, frontier: impl FnOnce() -> Frontier) -> u32 {
        let number = self.directory.tenant_number(tenant);
        if number as usize == self.frontiers.len() {
            self.frontiers.push(frontier());
        }
        number
    }

    /// Rows up to `row` are there and cannot be read.
    pub(crate) fn hole(&mut self, row: u32) {
        let from = self.rows();
        self.directory.push_hole(row);
        for _ in from..row {
            self.column(0, 0);
            self.hashes.push(Hash::ZERO);
            self.ids.push(AuditId([0; 16]));
        }
    }

    fn column(&mut self, occurred: i64, ingested: i64) {
        if self.occurred.len().is_multiple_of(CHUNK_ROWS) {
            self.zones.push((occurred, occurred));
        } else if let Some(zone) = self.zones.last_mut() {
            *zone = (zone.0.min(occurred), zone.1.max(occurred));
        }
        self.occurred.push(occurred);
        self.ingested.push(ingested);
    }

    /// Adds the next record, the one with sequence number `seq` of tenant `tenant`.
    pub(crate) fn push(&mut self, tenant: u32, seq: u64, entry: &Entry<'_>) {
        let row = self.rows();
        self.directory.push_run(tenant, seq, 1);
        self.directory.occurred(tenant, entry.occurred_at.0);
        self.column(entry.occurred_at.0, entry.ingested_at.0);
        self.hashes.push(entry.record_hash);
        self.ids.push(entry.audit_id);
        let (ids, random) = (&self.ids, &self.random);
        let hash_of = |row: &u32| id_hash(random, ids.get(*row as usize));
        let hash = id_hash(random, Some(&entry.audit_id));
        self.id_rows.insert_unique(hash, row, hash_of);
        self.numbers.extend(
            entry
                .numbers
                .iter()
                .map(|&(column, value)| (column, row, value)),
        );
        for &hash in entry.terms {
            self.filed.push(hash, row);
        }
        for value in entry.sealed {
            if let SealedRef::Row(number) = value {
                self.filed.push(self.hashing.personal(*number), row);
            }
        }
    }

    /// Counts a block of the file.
    pub(crate) fn block(&mut self, row: u32, at: u64, bytes: usize) {
        self.directory.blocks.push(BlockPlace {
            row,
            at,
            bytes: to_u32(bytes),
        });
    }

    /// The number of an equal personal row, if the file has one.
    pub(crate) fn personal_number(&self, key: u128) -> Option<u32> {
        self.personal_rows.get(&key).copied()
    }

    /// Adds the next personal row.
    pub(crate) fn push_personal(&mut self, key: u128, place: PersonalPlace) {
        let number = to_u32(self.personal.len());
        self.personal_rows.insert(key, number);
        if let Some(find) = place.find {
            self.finds.entry(find).or_default().push(number);
        }
        self.personal.push(place);
    }

    /// Leaves out the personal rows up to `number`, which stood in frames that cannot be read, so
    /// that those after them keep their numbers.
    pub(crate) fn personal_hole(&mut self, number: u32) {
        while to_u32(self.personal.len()) < number {
            self.personal.push(PersonalPlace {
                at: NOWHERE,
                find: None,
            });
        }
    }

    /// Personal rows that hold the value.
    pub(crate) fn personal_with(&self, find: &FindHash) -> &[u32] {
        self.finds.get(find).map_or(&[], Vec::as_slice)
    }

    /// Rows filed under the term with this hash.
    pub(crate) fn term(&self, hash: u64) -> RoaringBitmap {
        self.filed.rows(hash)
    }

    /// Rows with this audit id.
    pub(crate) fn with_id(&self, id: &AuditId, out: &mut Vec<u32>) {
        let hash = id_hash(&self.random, Some(id));
        let same = |row: &&u32| self.ids.get(**row as usize) == Some(id);
        out.extend(self.id_rows.iter_hash(hash).filter(same));
    }

    /// Minimum and maximum of `occurred_at` in each chunk of rows.
    pub(crate) fn zones(&self) -> &[(i64, i64)] {
        &self.zones
    }

    /// All terms in the order of their hashes, each with its rows in order.
    pub(crate) fn each_term(
        &self,
        visit: &mut dyn FnMut(u64, &[u32]) -> indelible_store::Result<()>,
    ) -> indelible_store::Result<()> {
        self.filed.each(visit)
    }
}

fn id_hash(random: &RandomState, id: Option<&AuditId>) -> u64 {
    use std::hash::BuildHasher as _;
    random.hash_one(id.map(AuditId::bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_store::Key;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn terms_and_ids_are_found(
            records in proptest::collection::vec(
                (proptest::collection::vec(0_u8..30, 0..6), any::<[u8; 10]>()), 1..200),
        ) {
            let hashing = Hashing::new(&[7; 16]);
            let mut tail = Tail::new(hashing);
            let tenant = tail.tenant(&TenantId::parse("acme").unwrap(), Frontier::new);
            let mut expected: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            for (row, (words, random)) in records.iter().enumerate() {
                let row = to_u32(row);
                let mut terms = Vec::new();
                for word in words {
                    let word = word.to_string();
                    let hash = hashing.term(Key::Word, word.as_bytes());
                    terms.push(hash);
                    let rows = expected.entry(hash).or_default();
                    if rows.last() != Some(&row) {
                        rows.push(row);
                    }
                }
                tail.push(tenant, u64::from(row), &Entry {
                    record_hash: Hash::ZERO,
                    audit_id: AuditId::mint(5, *random),
                    occurred_at: Micros(i64::from(row)),
                    ingested_at: Micros(0),
                    terms: &terms,
                    numbers: &[],
                    sealed: &[],
                });
            }
            let mut found = BTreeMap::new();
            tail.each_term(&mut |hash, rows| {
                found.insert(hash, rows.to_vec());
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(&found, &expected);
            for (hash, rows) in &expected {
                prop_assert_eq!(&tail.term(*hash).iter().collect::<Vec<_>>(), rows);
            }
            for (row, (_, random)) in records.iter().enumerate() {
                let mut rows = Vec::new();
                tail.with_id(&AuditId::mint(5, *random), &mut rows);
                prop_assert!(rows.contains(&to_u32(row)));
            }
        }
    }
}
