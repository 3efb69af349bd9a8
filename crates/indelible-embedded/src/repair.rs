//! Finding and mending what is derived: missing or damaged files are made again from the records.

use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk, Open};
use indelible_event::ids::TenantId;
use indelible_store::{Error, Kind, Result};
use roaring::RoaringBitmap;

use crate::beside::went_away;
use crate::container::facts_of;
use crate::failure::{derived_of, from_disk, is_lost};
use crate::frame::{Arrangement, FILE_HEADER_BYTES, FileHeader};
use crate::hashing::Hashing;
use crate::manifest::{FileLine, Manifest, SegmentFacts};
use crate::open::{Tell, range_of};
use crate::options::{Options, Progress};
use crate::part::{PartRef, View};
use crate::records::{Caches, RecordFile, Scanner, Step};
use crate::replay::{Replay, Replayed, Trees};
use crate::seal::{facts, remove_tree};
use crate::segment::write::{DERIVED, derived, find_index};
use crate::segment::{Segment, dir_of, personal_of};
use crate::store::Store;
use crate::tail::Tail;

/// The manifest of the segments whose directories are there, when its own file is not.
///
/// Of segments that overlap the longer is taken: it was made from the others and is whole, since
/// it got its name last.
pub(crate) fn find_segments(
    disk: &dyn Disk,
    options: &Options,
    tell: Tell<'_>,
) -> Result<Manifest> {
    let mut ranges: Vec<_> = Vec::new();
    for name in disk.list("segments").map_err(from_disk)? {
        let records = format!("segments/{name}/records");
        if let Some(range) = range_of(&name)
            && disk.len(&records).map_err(from_disk)?.is_some()
        {
            ranges.push(range);
        }
    }
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut manifest = Manifest::default();
    for range in ranges {
        if range.start == manifest.end() {
            tell(Progress {
                what: format!("reading {}", dir_of(&range)),
                done: range.start,
                total: None,
            });
            manifest.segments.push(read_facts(disk, range)?);
        }
    }
    if !options.read_only {
        // Also when there are none: from the first opening for writing on the file is there, and
        // readers beside a writer never see it missing.
        disk.create_dir_all("segments").map_err(from_disk)?;
        disk.sync_dir("").map_err(from_disk)?;
        manifest.store(disk)?;
    }
    Ok(manifest)
}

/// What the manifest says of a segment, from its files.
fn read_facts(disk: &dyn Disk, range: std::ops::Range<u64>) -> Result<SegmentFacts> {
    let caches = Caches::default();
    let path = format!("{}/records", dir_of(&range));
    let file = RecordFile::open(disk, &path, Open::Read, &caches)?;
    let limit_row = u32::try_from(range.end - range.start).ok();
    let replayed = Replay {
        hashing: Hashing::new(&[0; 16]),
        opener: None,
        limit_bytes: None,
        limit_row,
        arrangement: Arrangement::Committed,
        progress: &mut |_| {},
    }
    .run(
        &file,
        Trees::At(&mut |_, _| Ok(indelible_merkle::Frontier::new())),
    )?;
    let clustered = replayed
        .header
        .is_some_and(|h| h.arrangement == Arrangement::Clustered);
    let mut files = vec![FileLine::new(
        "records",
        facts_of(disk, &path, Some(replayed.end))?,
    )];
    for name in DERIVED {
        let path = format!("{}/{name}", dir_of(&range));
        if disk.len(&path).map_err(from_disk)?.is_some() {
            files.push(FileLine::new(name, facts_of(disk, &path, None)?));
        }
    }
    let personal = personal_of(&range);
    if disk.len(&personal).map_err(from_disk)?.is_some() {
        files.push(FileLine::new("personal", facts_of(disk, &personal, None)?));
    }
    Ok(facts(&replayed.tail, range.start, clustered, files))
}

fn arrangement(clustered: bool) -> Arrangement {
    if clustered {
        Arrangement::Clustered
    } else {
        Arrangement::Committed
    }
}

/// What is known of the header of a file of records.
pub(crate) enum HeaderState {
    Whole,
    /// It is not what was written; this was.
    Proved([u8; FILE_HEADER_BYTES]),
    /// It is not what was written, and nothing says what was.
    Lost,
}

/// The names of all files of a segment but its records.
pub(crate) const MADE: [&str; 5] = ["postings", "columns", "ids", "tiles", "personal"];

/// Where a file of a segment is.
pub(crate) fn path_of(segment: &SegmentFacts, name: &str) -> String {
    if name == "personal" {
        personal_of(&segment.range())
    } else {
        format!("{}/{name}", dir_of(&segment.range()))
    }
}

impl Store {
    /// Makes derived files again that are missing or have another length than they should, or, when
    /// it is to be `thorough`, other bytes.
    pub(crate) fn mend_derived(&self, thorough: bool, tell: Tell<'_>) -> Result<()> {
        let segments = self.manifest.lock().segments.clone();
        for segment in &segments {
            let mut wrong = if thorough {
                self.damaged_files(segment)?
            } else {
                Vec::new()
            };
            for name in MADE.into_iter().filter(|_| !thorough) {
                let there = self.disk.len(&path_of(segment, name)).map_err(from_disk)?;
                if there.is_none() || there != segment.file(name).map(|file| file.bytes) {
                    wrong.push(name);
                }
            }
            if !wrong.is_empty() {
                self.still_names(segment)?;
                self.rebuild(segment, &wrong, tell)?;
            }
        }
        Ok(())
    }

    /// Replays the records of a segment; all are holes when their file is not there.
    pub(crate) fn replay_segment(
        &self,
        segment: &SegmentFacts,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Replayed> {
        let Some(shown) = self.shown(segment) else {
            return Err(went_away());
        };
        let file = match shown.records() {
            Err(error) if error.kind() == Kind::NotFound => {
                self.still_names(segment)?;
                let rows = u32::try_from(segment.end - segment.first).unwrap_or(u32::MAX);
                let arrangement = arrangement(segment.clustered);
                return Ok(Replayed::nothing(self.hashing, rows, arrangement));
            }
            file => file?,
        };
        let mut replay = Replay {
            hashing: self.hashing,
            opener: self.opener.as_deref(),
            limit_bytes: segment.file("records").map(|file| file.bytes),
            limit_row: u32::try_from(segment.end - segment.first).ok(),
            arrangement: arrangement(segment.clustered),
            progress,
        };
        let mut before =
            |tenant: &TenantId, size: u64| Ok(self.frontier_at(tenant, size).unwrap_or_default());
        replay.run(file, Trees::At(&mut before))
    }

    /// The header of a file of records. Where it is damaged, the ledger and the name of the file
    /// say what it must have been, and its first frame, which names its checksum, whether it was.
    pub(crate) fn header_of(&self, part: &PartRef, file: &RecordFile) -> Result<HeaderState> {
        let mut scanner = Scanner::new(Arc::clone(&file.file), None)?;
        if scanner.header.is_some() {
            return Ok(HeaderState::Whole);
        }
        let start = FILE_HEADER_BYTES as u64;
        let link = match scanner.step()? {
            Step::Frame { at, header, .. } if at == start && header.number == 0 => header.link,
            _ => return Ok(HeaderState::Lost),
        };
        let (first, ledger_id) = (part.start(), self.format.ledger_id());
        for arrangement in [Arrangement::Committed, Arrangement::Clustered] {
            let header = FileHeader {
                arrangement,
                first,
                ledger_id,
            };
            let bytes = header.encode();
            if FileHeader::parse(&bytes).is_some_and(|(_, crc)| crc == link) {
                return Ok(HeaderState::Proved(bytes));
            }
        }
        Ok(HeaderState::Lost)
    }

    /// Makes the header of a file of records again, where it is damaged and proved.
    pub(crate) fn mend_header(&self, part: &PartRef) -> Result<()> {
        let file = match part.records() {
            Err(error) if is_lost(&error) => return Ok(()),
            file => file?,
        };
        if let HeaderState::Proved(bytes) = self.header_of(part, file)? {
            let file = self.disk.open(&file.path, Open::Write).map_err(from_disk)?;
            // If we die here it is as damaged as before, or whole.
            file.write_at(&bytes, 0).map_err(from_disk)?;
            file.sync_data().map_err(from_disk)?;
        }
        Ok(())
    }

    /// Rows that the records read back lack, and what the segment's directory has on the disk.
    fn lost(&self, segment: &SegmentFacts, replayed: &Replayed) -> RoaringBitmap {
        let holes = replayed.tail.directory.holes();
        match self.shown(segment) {
            // Without the records there is nothing to make a file of.
            _ if replayed.end == 0 => holes,
            Some(shown) if !holes.is_empty() && !shown.is_made("columns") => {
                let known = shown.columns().map(|columns| columns.directory.holes());
                known.map_or_else(|_| RoaringBitmap::new(), |known| holes - known)
            }
            _ => holes,
        }
    }

    /// Makes derived files of a segment again, and says whether they were written. They are made in
    /// memory by a directory opened for reading, and from records of which some are damaged: what
    /// is known of these would be lost.
    pub(crate) fn rebuild(
        &self,
        segment: &SegmentFacts,
        names: &[&str],
        tell: Tell<'_>,
    ) -> Result<bool> {
        let what = format!(
            "rebuilding {} of {}",
            names.join(", "),
            dir_of(&segment.range())
        );
        let total = Some(segment.end - segment.first);
        let replayed = self.replay_segment(segment, &mut |done| {
            tell(Progress {
                what: what.clone(),
                done,
                total,
            });
        })?;
        let lost = self.lost(segment, &replayed);
        if self.options.read_only || !lost.is_empty() {
            self.rebuild_in_memory(segment, names, &replayed.tail, &lost)?;
            return Ok(false);
        }
        let disk = &*self.disk;
        let dir = dir_of(&segment.range());
        let mut next = segment.clone();
        for name in names {
            let line = if *name == "personal" {
                self.write_personal(&personal_of(&segment.range()), &replayed.tail)?
            } else {
                let fresh = format!("{dir}.new");
                remove_tree(disk, &fresh)?;
                disk.create_dir_all(&fresh).map_err(from_disk)?;
                let facts = derived(disk, &fresh, name, &replayed.tail)?;
                disk.rename(&format!("{fresh}/{name}"), &path_of(segment, name))
                    .map_err(from_disk)?;
                disk.sync_dir(&dir).map_err(from_disk)?;
                remove_tree(disk, &fresh)?;
                FileLine::new(name, facts)
            };
            match next.files.iter_mut().find(|file| file.name == line.name) {
                Some(file) => *file = line,
                None => next.files.push(line),
            }
        }
        let mut manifest = self.manifest.lock();
        if let Some(place) = manifest
            .segments
            .iter_mut()
            .find(|s| s.range() == segment.range())
        {
            *place = next.clone();
        }
        manifest.store(disk)?;
        drop(manifest);
        self.show(&[next]);
        *self.unread.lock() = None;
        Ok(true)
    }

    fn rebuild_in_memory(
        &self,
        segment: &SegmentFacts,
        names: &[&str],
        tail: &Tail,
        lost: &RoaringBitmap,
    ) -> Result<()> {
        let shown = self.shown(segment);
        // What was made before stays.
        let is_made = |name: &str| shown.as_ref().is_some_and(|shown| shown.is_made(name));
        let names: Vec<_> = names.iter().filter(|name| !is_made(name)).collect();
        let made = shown.as_ref().and_then(|shown| shown.made());
        let memory = made.unwrap_or_else(|| Arc::new(FaultyDisk::new(0)));
        let (dir, personal) = (dir_of(&segment.range()), personal_of(&segment.range()));
        memory.create_dir_all(&dir).map_err(from_disk)?;
        memory.create_dir_all("personal").map_err(from_disk)?;
        for name in names.iter().copied() {
            if *name == "personal" {
                find_index(&*memory, &personal, tail)?;
            } else {
                derived(&*memory, &dir, name, tail)?;
            }
        }
        let mut view = self.view.write();
        let mut parts = view.parts.clone();
        for part in &mut parts {
            for name in names.iter().copied() {
                if let PartRef::Segment(shown) = part
                    && shown.range() == segment.range()
                {
                    let made = shown.with_made(Arc::clone(&memory), name, lost);
                    *part = PartRef::Segment(Arc::new(made));
                }
            }
        }
        *view = Arc::new(View { parts });
        drop(view);
        *self.unread.lock() = None;
        Ok(())
    }

    /// Does something that reads derived files; one that turns out to be damaged is made again in
    /// memory, and it is done once more.
    pub(crate) fn mending<T>(&self, mut act: impl FnMut() -> Result<T>) -> Result<T> {
        let tries = MADE.len() * self.view().parts.len();
        for _ in 0..tries {
            match act() {
                Err(error) if derived_of(&error).is_some() => self.mend(error)?,
                other => return other,
            }
        }
        act()
    }

    /// Makes the derived file that an error is about again, in memory, so that what met the error
    /// may be tried once more; the error itself when that cannot be done.
    fn mend(&self, error: Error) -> Result<()> {
        let _one = self.mending.lock();
        let path = derived_of(&error).unwrap_or_default();
        let damaged = self.segments().into_iter().find_map(|segment| {
            let at_path = |name: &&str| path_of(&segment.facts, name) == path;
            let name = MADE.into_iter().find(at_path)?;
            Some((segment, name))
        });
        let Some((segment, name)) = damaged.filter(|(segment, name)| !segment.is_made(name)) else {
            // Merged away, or made again by somebody else who met it too.
            return Ok(());
        };
        let Ok(replayed) = self.replay_segment(&segment.facts, &mut |_| {}) else {
            return Err(error);
        };
        let lost = self.lost(&segment.facts, &replayed);
        self.rebuild_in_memory(&segment.facts, &[name], &replayed.tail, &lost)
    }

    /// Paths of the derived files that were made again in memory and can be made again for good.
    pub(crate) fn made_in_memory(&self) -> Vec<String> {
        let segments = self.segments().into_iter();
        let mendable = segments.filter(|segment| segment.unfiled.is_empty());
        let paths = mendable.flat_map(|segment| {
            let made = MADE.into_iter().filter(|name| segment.is_made(name));
            let paths: Vec<_> = made.map(|name| path_of(&segment.facts, name)).collect();
            paths
        });
        paths.collect()
    }

    /// The segment as it is shown.
    fn shown(&self, facts: &SegmentFacts) -> Option<Arc<Segment>> {
        let mut segments = self.segments().into_iter();
        segments.find(|segment| segment.range() == facts.range())
    }

    /// Every segment that is shown.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        let view = self.view();
        let segments = view.parts.iter().filter_map(|part| match part {
            PartRef::Segment(segment) => Some(Arc::clone(segment)),
            PartRef::Tail(_) => None,
        });
        segments.collect()
    }
}
