//! What is derived of a merged segment, from what is derived of its sources.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use indelible_store::{Column, Result};

use super::order::Order;
use super::records::Merged;
use crate::bytes::to_u32;
use crate::container::FileFacts;
use crate::segment::columns::{self, Source};
use crate::segment::postings::{PostingsWriter, Terms};
use crate::segment::tiles::{self, Tile};
use crate::segment::{Segment, ids};
use crate::store::Store;

/// The terms of a source, and the one that comes next with its rows.
struct Walk<'a> {
    terms: Terms<'a>,
    hash: Option<u64>,
    rows: Vec<u32>,
}

impl Store {
    /// Writes the derived files of a merged segment into `dir`.
    pub(super) fn merge_derived(
        &self,
        sources: &[Arc<Segment>],
        order: &Order,
        merged: &mut Merged,
        dir: &str,
    ) -> Result<Vec<(&'static str, FileFacts)>> {
        Ok(vec![
            (
                "postings",
                self.merge_postings(sources, order, merged, dir)?,
            ),
            ("columns", self.merge_columns(sources, order, merged, dir)?),
            ("ids", self.merge_ids(sources, order, dir)?),
            ("tiles", self.merge_tiles(sources, merged, dir)?),
        ])
    }

    fn merge_columns(
        &self,
        sources: &[Arc<Segment>],
        order: &Order,
        merged: &Merged,
        dir: &str,
    ) -> Result<FileFacts> {
        let (mut occurred, mut ingested, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, source) in sources.iter().enumerate() {
            let columns = source.columns()?;
            occurred.push(columns.occurred.read_all(&columns.file)?);
            ingested.push(columns.ingested.read_all(&columns.file)?);
            for (column, _) in Column::ALL {
                columns.numbers(column, &mut |row, value| {
                    numbers.extend(order.new_row(number, row).map(|row| (column, row, value)));
                })?;
            }
        }
        numbers.sort_by_key(|&(column, row, _)| (column as u8, row));
        let source = Source {
            directory: &merged.directory,
            occurred: &order.gather(&occurred),
            ingested: &order.gather(&ingested),
            positions: &merged.positions,
            personal: &merged.personal,
            numbers: &numbers,
        };
        columns::write(&*self.disk, &format!("{dir}/columns"), &source)
    }

    fn merge_ids(&self, sources: &[Arc<Segment>], order: &Order, dir: &str) -> Result<FileFacts> {
        let mut entries = Vec::with_capacity(order.rows as usize);
        for (number, source) in sources.iter().enumerate() {
            let all = source.ids()?.all()?;
            let kept = all
                .into_iter()
                .filter_map(|(hash, row)| Some((hash, order.new_row(number, row)?)));
            entries.extend(kept);
        }
        ids::write(&*self.disk, &format!("{dir}/ids"), &mut entries)
    }

    fn merge_tiles(
        &self,
        sources: &[Arc<Segment>],
        merged: &Merged,
        dir: &str,
    ) -> Result<FileFacts> {
        let mut all = Vec::new();
        for source in sources {
            let directory = &source.columns()?.directory;
            for tile in source.tiles()?.all() {
                let tenant = directory.tenant(tile.tenant);
                let number = tenant.and_then(|part| merged.directory.find(&part.tenant));
                all.extend(number.map(|tenant| Tile { tenant, ..*tile }));
            }
        }
        tiles::write(&*self.disk, &format!("{dir}/tiles"), &mut all)
    }

    /// Terms of the sources in the order of their hashes; personal rows have new numbers and so new
    /// hashes.
    fn merge_postings(
        &self,
        sources: &[Arc<Segment>],
        order: &Order,
        merged: &mut Merged,
        dir: &str,
    ) -> Result<FileFacts> {
        let mut old_personal = 0;
        let mut walks = Vec::with_capacity(sources.len());
        for source in sources {
            old_personal = old_personal.max(source.columns()?.personal_rows());
            let (mut terms, mut rows) = (source.postings()?.terms(), Vec::new());
            let hash = terms.next_term(&mut rows)?;
            walks.push(Walk { terms, hash, rows });
        }
        let skipped: HashSet<u64, RandomState> = (0..old_personal)
            .map(|row| self.hashing.personal(row))
            .collect();
        let personal = self.personal_terms(merged);
        let mut personal = personal.iter().peekable();
        let mut writer = PostingsWriter::create(&*self.disk, &format!("{dir}/postings"))?;
        let mut rows: Vec<u32> = Vec::new();
        loop {
            let term = walks.iter().filter_map(|walk| walk.hash).min();
            let until = term.unwrap_or(u64::MAX);
            while let Some((hash, rows)) = personal.next_if(|(hash, _)| *hash <= until) {
                writer.term(*hash, rows)?;
            }
            let Some(term) = term else {
                return writer.finish();
            };
            rows.clear();
            for (number, walk) in walks.iter_mut().enumerate() {
                if walk.hash == Some(term) {
                    let new = |row: &u32| order.new_row(number, *row);
                    rows.extend(walk.rows.iter().filter_map(new));
                    walk.hash = walk.terms.next_term(&mut walk.rows)?;
                }
            }
            if !skipped.contains(&term) && !rows.is_empty() {
                rows.sort_unstable();
                writer.term(term, &rows)?;
            }
        }
    }

    /// The terms of the merged personal rows, by hash.
    fn personal_terms(&self, merged: &mut Merged) -> Vec<(u64, Vec<u32>)> {
        merged.personal_uses.sort_unstable();
        merged.personal_uses.dedup();
        let mut terms: Vec<(u64, Vec<u32>)> = Vec::with_capacity(merged.finds.len());
        let mut uses = merged.personal_uses.iter().peekable();
        for row in 0..to_u32(merged.finds.len()) {
            let mut rows = Vec::new();
            while let Some((_, used)) = uses.next_if(|(personal, _)| *personal == row) {
                rows.push(*used);
            }
            terms.push((self.hashing.personal(row), rows));
        }
        terms.retain(|(_, rows)| !rows.is_empty());
        terms.sort_unstable_by_key(|(hash, _)| *hash);
        merged.personal_uses = Vec::new();
        terms
    }
}
