//! A sealed segment: its records and what is derived from them, opened when first needed.
//!
//! Records and derived files never change. The derived files lie beside the records, but for the
//! find index of personal rows, which lies under `personal/`.

pub(crate) mod column;
pub(crate) mod columns;
pub(crate) mod ids;
pub(crate) mod personal;
pub(crate) mod postings;
pub(crate) mod tiles;
pub(crate) mod write;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use indelible_disk::{Disk, Open};
use indelible_store::Result;
use roaring::RoaringBitmap;

use self::columns::Columns;
use self::ids::Ids;
use self::personal::Personal;
use self::postings::Postings;
use self::tiles::Tiles;
use crate::manifest::SegmentFacts;
use crate::records::{Caches, RecordFile};

/// A value made when it is first asked for; a failure is not kept.
struct Lazy<T>(OnceLock<Arc<T>>);

impl<T> Lazy<T> {
    fn new() -> Self {
        Self(OnceLock::new())
    }

    /// What was made so far; nothing when it is to be made `anew`.
    fn keep(&self, anew: bool) -> Self {
        if anew {
            Self::new()
        } else {
            Self(self.0.clone())
        }
    }

    fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(value) = self.0.get() {
            return Ok(value);
        }
        let made = Arc::new(make()?);
        Ok(self.0.get_or_init(|| made))
    }
}

/// A sealed segment.
pub(crate) struct Segment {
    disk: Arc<dyn Disk>,
    /// Derived files that were made again in memory, and where.
    made: Option<(Arc<dyn Disk>, Vec<String>)>,
    /// Rows that those lack, since their records could not be read.
    pub(crate) unfiled: RoaringBitmap,
    pub(super) caches: Arc<Caches>,
    pub(crate) facts: SegmentFacts,
    records: Lazy<RecordFile>,
    columns: Lazy<Columns>,
    postings: Lazy<Postings>,
    ids: Lazy<Ids>,
    tiles: Lazy<Tiles>,
    personal: Lazy<Personal>,
}

/// The directory of a segment.
pub(crate) fn dir_of(range: &Range<u64>) -> String {
    format!(
        "segments/{:020}-{:020}",
        range.start,
        range.end.saturating_sub(1)
    )
}

/// The find index of a segment.
pub(crate) fn personal_of(range: &Range<u64>) -> String {
    format!(
        "personal/{:020}-{:020}",
        range.start,
        range.end.saturating_sub(1)
    )
}

impl Segment {
    /// The segment the manifest speaks of; nothing is opened yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, caches: Arc<Caches>, facts: SegmentFacts) -> Self {
        Self {
            disk,
            made: None,
            unfiled: RoaringBitmap::new(),
            caches,
            facts,
            records: Lazy::new(),
            columns: Lazy::new(),
            postings: Lazy::new(),
            ids: Lazy::new(),
            tiles: Lazy::new(),
            personal: Lazy::new(),
        }
    }

    /// The same segment with the file `name` on the disk [`Segment::made`] names, which lacks the
    /// rows `unfiled`; what else is open stays open.
    pub(crate) fn with_made(
        &self,
        disk: Arc<dyn Disk>,
        name: &str,
        unfiled: &RoaringBitmap,
    ) -> Self {
        let mut names = self.made.as_ref().map_or(Vec::new(), |(_, n)| n.clone());
        names.push(name.to_owned());
        Self {
            disk: Arc::clone(&self.disk),
            made: Some((disk, names)),
            unfiled: &self.unfiled | unfiled,
            caches: Arc::clone(&self.caches),
            facts: self.facts.clone(),
            records: self.records.keep(false),
            columns: self.columns.keep(name == "columns"),
            postings: self.postings.keep(name == "postings"),
            ids: self.ids.keep(name == "ids"),
            tiles: self.tiles.keep(name == "tiles"),
            personal: self.personal.keep(name == "personal"),
        }
    }

    /// Where derived files were made again in memory, if any were.
    pub(crate) fn made(&self) -> Option<Arc<dyn Disk>> {
        self.made.as_ref().map(|(disk, _)| Arc::clone(disk))
    }

    /// Whether the file was made again in memory.
    pub(crate) fn is_made(&self, name: &str) -> bool {
        let made = self.made.as_ref();
        made.is_some_and(|(_, names)| names.iter().any(|made| made == name))
    }

    fn disk(&self, name: &str) -> &dyn Disk {
        match &self.made {
            Some((disk, _)) if self.is_made(name) => &**disk,
            _ => &*self.disk,
        }
    }

    /// Opens every file, so that the segment can be read even after it was removed.
    pub(crate) fn open_all(&self) -> Result<()> {
        self.records()?;
        self.columns()?;
        self.postings()?;
        self.ids()?;
        self.tiles()?;
        self.personal()?;
        Ok(())
    }

    /// First position and the one after the last.
    pub(crate) fn range(&self) -> Range<u64> {
        self.facts.range()
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", dir_of(&self.range()))
    }

    pub(crate) fn records_path(&self) -> String {
        self.path("records")
    }

    pub(crate) fn records(&self) -> Result<&RecordFile> {
        let path = self.path("records");
        self.records
            .get(|| RecordFile::open(&*self.disk, &path, Open::Read, &self.caches))
    }

    pub(crate) fn columns(&self) -> Result<&Columns> {
        self.columns
            .get(|| Columns::open(self.disk("columns"), &self.path("columns")))
    }

    pub(crate) fn postings(&self) -> Result<&Postings> {
        self.postings
            .get(|| Postings::open(self.disk("postings"), &self.path("postings")))
    }

    pub(crate) fn ids(&self) -> Result<&Ids> {
        self.ids
            .get(|| Ids::open(self.disk("ids"), &self.path("ids"), &self.caches.marks))
    }

    pub(crate) fn tiles(&self) -> Result<&Tiles> {
        self.tiles
            .get(|| Tiles::open(self.disk("tiles"), &self.path("tiles")))
    }

    pub(crate) fn personal(&self) -> Result<&Personal> {
        let path = personal_of(&self.range());
        self.personal
            .get(|| Personal::open(self.disk("personal"), &path))
    }
}
