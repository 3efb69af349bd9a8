//! What of a row is checked exactly: tenant, times, mark.

use indelible_event::ids::Micros;
use indelible_store::{Place, Query, Result};

use crate::directory::Directory;
use crate::part::Part;
use crate::segment::column::CHUNK_ROWS;

/// The values of the chunk looked at last.
struct Cached {
    chunk: usize,
    values: Vec<i64>,
}

impl Cached {
    fn new() -> Self {
        Self {
            chunk: usize::MAX,
            values: Vec::new(),
        }
    }

    fn value(
        &mut self,
        row: u32,
        read: impl FnOnce(usize, &mut Vec<i64>) -> Result<()>,
    ) -> Result<i64> {
        let chunk = row as usize / CHUNK_ROWS;
        if chunk != self.chunk {
            read(chunk, &mut self.values)?;
            self.chunk = chunk;
        }
        let value = self.values.get(row as usize % CHUNK_ROWS);
        value
            .copied()
            .ok_or_else(|| crate::failure::corrupt("a column is too short"))
    }
}

/// Checks rows of one part against a query.
pub(super) struct Filter<'a> {
    part: &'a dyn Part,
    query: &'a Query,
    directory: &'a Directory,
    tenants: Vec<bool>,
    occurred: Cached,
    ingested: Option<Cached>,
    mark: Option<u64>,
}

impl<'a> Filter<'a> {
    /// The filter for a part; `None` when nothing in it is wanted.
    pub(super) fn new(part: &'a dyn Part, query: &'a Query) -> Result<Option<Self>> {
        let directory = part.directory()?;
        let tenants: Vec<_> = directory
            .tenants
            .iter()
            .map(|part| query.wants_tenant(&part.tenant))
            .collect();
        let end = part.first() + u64::from(directory.rows);
        let mark = query.as_of.filter(|mark| *mark < end);
        if !tenants.contains(&true) || mark.is_some_and(|mark| mark <= part.first()) {
            return Ok(None);
        }
        let ever = Query::default().ingested;
        let ingested = (query.ingested != ever).then(Cached::new);
        let occurred = Cached::new();
        Ok(Some(Self {
            part,
            query,
            directory,
            tenants,
            occurred,
            ingested,
            mark,
        }))
    }

    /// Rows of the part.
    pub(super) fn rows(&self) -> u32 {
        self.directory.rows
    }

    /// `occurred_at` of a row.
    pub(super) fn occurred(&mut self, row: u32) -> Result<i64> {
        let part = self.part;
        self.occurred
            .value(row, |chunk, out| part.occurred(chunk, out))
    }

    /// Whether [`Filter::is_seen`] need not be asked.
    pub(super) fn sees_all(&self) -> bool {
        self.ingested.is_none() && self.mark.is_none()
    }

    /// Whether a row was committed when the query asks for, and before its mark.
    pub(super) fn is_seen(&mut self, row: u32) -> Result<bool> {
        if let Some(cached) = &mut self.ingested {
            let part = self.part;
            let ingested = cached.value(row, |chunk, out| part.ingested(chunk, out))?;
            if !self.query.ingested.contains(&Micros(ingested)) {
                return Ok(false);
            }
        }
        Ok(match self.mark {
            Some(mark) => self.part.position(row)? < mark,
            None => true,
        })
    }

    /// Which of the part's tenants are asked for, by number.
    pub(super) fn tenants(&self) -> &[bool] {
        &self.tenants
    }

    /// The place of a row, if the query wants it.
    pub(super) fn place(&mut self, row: u32, occurred: i64) -> Result<Option<Place>> {
        if !self.query.occurred.contains(&Micros(occurred)) {
            return Ok(None);
        }
        let Some((number, sequence_number)) = self.directory.place(row) else {
            return Ok(None);
        };
        if !self.tenants.get(number as usize).copied().unwrap_or(false) || !self.is_seen(row)? {
            return Ok(None);
        }
        let tenant = self
            .directory
            .tenant(number)
            .map(|part| part.tenant.clone());
        let occurred_at = Micros(occurred);
        Ok(tenant.map(|tenant| Place {
            occurred_at,
            tenant,
            sequence_number,
        }))
    }
}
