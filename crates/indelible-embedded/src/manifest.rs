//! The manifest: which segments are live, with length and checksum of each of their files.
//!
//! Replaced as a whole. Derived: without it the segments are found by their directories.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_disk::Disk;
use indelible_store::Result;
use serde::{Deserialize, Serialize};

use crate::container::FileFacts;
use crate::failure::from_disk;
use crate::format::{lines, parse_lines};
use crate::frame::FILE_ROWS_MAX;

/// The file below `segments/`.
pub(crate) const PATH: &str = "segments/MANIFEST";

/// Length and checksum of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileLine {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32c: u32,
}

impl FileLine {
    pub(crate) fn new(name: &str, facts: FileFacts) -> Self {
        Self {
            name: name.to_owned(),
            bytes: facts.bytes,
            crc32c: facts.crc,
        }
    }

    pub(crate) fn facts(&self) -> FileFacts {
        FileFacts {
            bytes: self.bytes,
            crc: self.crc32c,
        }
    }
}

/// What is known of a segment without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentFacts {
    /// First position.
    pub(crate) first: u64,
    /// The position after the last.
    pub(crate) end: u64,
    /// Whether it is clustered by tenant: made from others.
    pub(crate) clustered: bool,
    /// Smallest and largest `occurred_at`, microseconds.
    pub(crate) occurred: (i64, i64),
    /// Smallest and largest `ingested_at`, microseconds.
    pub(crate) ingested: (i64, i64),
    /// Smallest and largest time in an audit id, milliseconds.
    pub(crate) ids: (u64, u64),
    /// `records`, the derived files, and `personal`.
    pub(crate) files: Vec<FileLine>,
}

impl SegmentFacts {
    pub(crate) fn range(&self) -> Range<u64> {
        self.first..self.end
    }

    pub(crate) fn file(&self, name: &str) -> Option<&FileLine> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// The live segments in the order of their positions, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) segments: Vec<SegmentFacts>,
}

impl Manifest {
    /// Position after the last sealed record.
    pub(crate) fn end(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end)
    }

    /// Whether it has the segment, with the same files.
    pub(crate) fn names(&self, segment: &SegmentFacts) -> bool {
        self.segments.contains(segment)
    }

    pub(crate) fn store(&self, disk: &dyn Disk) -> Result<()> {
        disk.replace(PATH, lines(self)?.as_bytes())
            .map_err(from_disk)
    }

    /// Stores `next` and puts it in the place of this one. While `unsettled`, either may be on the
    /// disk, and no file that one of them names may go.
    pub(crate) fn replace(
        &mut self,
        disk: &dyn Disk,
        next: Self,
        unsettled: &AtomicBool,
    ) -> Result<()> {
        unsettled.store(true, Ordering::Relaxed);
        next.store(disk)?;
        unsettled.store(false, Ordering::Relaxed);
        *self = next;
        Ok(())
    }

    /// Makes sure that this one is on the disk, if that is not known.
    pub(crate) fn settle(&self, disk: &dyn Disk, unsettled: &AtomicBool) -> Result<()> {
        if unsettled.load(Ordering::Relaxed) {
            self.store(disk)?;
            unsettled.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The manifest; `None` when it is missing or damaged.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>> {
        if disk.len(PATH).map_err(from_disk)?.is_none() {
            return Ok(None);
        }
        let manifest: Option<Self> = parse_lines(&disk.read(PATH).map_err(from_disk)?);
        Ok(manifest.filter(Self::is_whole))
    }

    fn is_whole(&self) -> bool {
        let mut at = 0;
        self.segments.iter().all(|segment| {
            let rows = segment.end.saturating_sub(segment.first);
            let follows = segment.first == at && (1..=FILE_ROWS_MAX.into()).contains(&rows);
            at = segment.end;
            follows
        })
    }
}
