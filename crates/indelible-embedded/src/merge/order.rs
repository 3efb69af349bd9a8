//! Which row of which source becomes which row of the merged segment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use indelible_event::ids::TenantId;
use indelible_store::Result;

use crate::segment::Segment;

/// A row that is in no tenant's log: it could not be read when its file was sealed.
const NOWHERE: u32 = u32::MAX;

/// Consecutive rows of one source that stay together.
pub(super) struct Stretch {
    pub(super) source: usize,
    pub(super) rows: Range<u32>,
    pub(super) tenant: TenantId,
    pub(super) first_seq: u64,
}

/// The order of the merged rows: by tenant, then by sequence number.
pub(super) struct Order {
    pub(super) stretches: Vec<Stretch>,
    /// For each source its rows' new numbers.
    map: Vec<Vec<u32>>,
    pub(super) rows: u32,
}

impl Order {
    pub(super) fn new(sources: &[Arc<Segment>]) -> Result<Self> {
        let mut tenants: BTreeMap<TenantId, Vec<(usize, u32)>> = BTreeMap::new();
        let mut map = Vec::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            let directory = &source.columns()?.directory;
            map.push(vec![NOWHERE; directory.rows as usize]);
            for (tenant, part) in (0_u32..).zip(&directory.tenants) {
                tenants
                    .entry(part.tenant.clone())
                    .or_default()
                    .push((number, tenant));
            }
        }
        let mut order = Self {
            stretches: Vec::new(),
            map,
            rows: 0,
        };
        for (tenant, parts) in tenants {
            for (source, number) in parts {
                let Some(segment) = sources.get(source) else {
                    continue;
                };
                let directory = &segment.columns()?.directory;
                for (rows, first_seq) in directory.rows_between(number, 0..u64::MAX) {
                    order.add(Stretch {
                        source,
                        rows,
                        tenant: tenant.clone(),
                        first_seq,
                    });
                }
            }
        }
        Ok(order)
    }

    fn add(&mut self, stretch: Stretch) {
        if let Some(map) = self.map.get_mut(stretch.source) {
            for (row, new) in stretch.rows.clone().zip(self.rows..) {
                if let Some(place) = map.get_mut(row as usize) {
                    *place = new;
                }
            }
        }
        self.rows += stretch.rows.end - stretch.rows.start;
        self.stretches.push(stretch);
    }

    /// The new number of a source's row, if it has one.
    pub(super) fn new_row(&self, source: usize, row: u32) -> Option<u32> {
        let new = *self.map.get(source)?.get(row as usize)?;
        (new != NOWHERE).then_some(new)
    }

    /// A column of the merged rows from those of the sources.
    pub(super) fn gather(&self, columns: &[Vec<i64>]) -> Vec<i64> {
        let mut merged = Vec::with_capacity(self.rows as usize);
        for stretch in &self.stretches {
            let column = columns.get(stretch.source).map_or(&[][..], Vec::as_slice);
            let rows = stretch.rows.start as usize..stretch.rows.end as usize;
            merged.extend_from_slice(column.get(rows).unwrap_or_default());
        }
        merged
    }
}
