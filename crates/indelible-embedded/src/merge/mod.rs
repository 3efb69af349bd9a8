//! Merging: several sealed segments become one, clustered by tenant and sequence number.
//!
//! The new segment is written whole under another name, then named, then put into the manifest;
//! only then are the old ones removed. Leaves are repacked verbatim; terms are not read again, the
//! postings of the sources are merged.
//!
//! A segment with damage is never merged: it stays as it is, and the others are merged beside it.

mod derived;
mod order;
mod records;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use indelible_store::Result;

use self::order::Order;
use crate::container::{FileFacts, facts_of};
use crate::directory::{BlockPlace, HOLE};
use crate::failure::{corrupt, from_disk, is_lost};
use crate::frame::FILE_ROWS_MAX;
use crate::manifest::{FileLine, SegmentFacts};
use crate::repair::path_of;
use crate::seal::{remove_file, remove_tree};
use crate::segment::{Segment, dir_of, personal_of};
use crate::store::Store;

impl Store {
    /// Merges as long as enough segments lie side by side that were not merged yet, noting a
    /// failure instead of returning it.
    pub(crate) fn merge_noting(&self) {
        let Some(_held) = self.maintenance.try_lock() else {
            // Files are being mended; the next sealing asks again.
            return;
        };
        let mut outcome = Ok(true);
        while matches!(outcome, Ok(true)) {
            let known = self.unmergeable.lock().len();
            outcome = self.mending(|| {
                let sources = self.mergeable();
                let Some(sources) = sources.filter(|_| !self.stopping.load(Ordering::Relaxed))
                else {
                    return Ok(false);
                };
                self.merge(&sources).map(|()| true)
            });
            // One source fewer: the others may still be merged among themselves.
            if self.unmergeable.lock().len() > known {
                outcome = Ok(true);
            }
        }
        let why = outcome
            .err()
            .filter(|_| !self.stopping.load(Ordering::Relaxed));
        self.trouble.lock().merging = why.map(|error| error.to_string());
    }

    /// The first segments that lie side by side, were not merged yet, and may be: damage stays
    /// where it is, so that what is known of it is not lost with the segment.
    fn mergeable(&self) -> Option<Vec<Arc<Segment>>> {
        let width = self.options.merge_segments;
        if width < 2 {
            return None;
        }
        let damaged = self.unmergeable.lock().clone();
        let mut fresh = self.segments();
        fresh.retain(|s| !s.facts.clustered && !damaged.contains(&s.facts.first));
        let fit = |sources: &&[Arc<Segment>]| {
            let mut pairs = sources.iter().zip(sources.iter().skip(1));
            let rows: u64 = sources.iter().map(|s| s.facts.end - s.facts.first).sum();
            let personal = sources.iter().filter_map(|s| s.columns().ok());
            let personal: u64 = personal.map(|c| u64::from(c.personal_rows())).sum();
            let fit = rows.max(personal) <= u64::from(FILE_ROWS_MAX);
            fit && pairs.all(|(a, b)| a.facts.end == b.facts.first)
        };
        let mut candidates = fresh.windows(width);
        candidates.find(fit).map(<[_]>::to_vec)
    }

    /// Passes on what came of reading a source; one whose records cannot be read is not merged.
    fn of_source<T>(&self, source: &Segment, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| {
            if is_lost(error) {
                self.unmergeable.lock().insert(source.facts.first);
            }
        })
    }

    /// Whether all records of a source are there as they were written, and nothing else is.
    fn check_source(&self, source: &Segment) -> Result<()> {
        let directory = &source.columns()?.directory;
        let file = source.facts.file("records");
        let path = source.records_path();
        let there = facts_of(&*self.disk, &path, file.map(|file| file.bytes))?;
        let end = directory.blocks.last();
        let end = end.map_or(0, BlockPlace::end);
        let whole = file.is_some_and(|file| file.facts() == there && file.bytes == end);
        if whole && directory.runs.iter().all(|run| run.tenant != HOLE) {
            return Ok(());
        }
        Err(corrupt(format!("{path} is damaged")))
    }

    /// Makes one segment of several that lie side by side.
    fn merge(&self, sources: &[Arc<Segment>]) -> Result<()> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Ok(());
        };
        let range = first.facts.first..last.facts.end;
        for source in sources {
            // Readers may hold an old view; what they have not opened yet goes away below.
            self.of_source(source, source.open_all())?;
            self.of_source(source, self.check_source(source))?;
        }
        let disk = &*self.disk;
        let (dir, fresh) = (dir_of(&range), format!("{}.new", dir_of(&range)));
        self.manifest.lock().settle(disk, &self.unsettled)?;
        remove_tree(disk, &fresh)?;
        remove_tree(disk, &dir)?;
        disk.create_dir_all(&fresh).map_err(from_disk)?;
        let order = Order::new(sources)?;
        let mut merged = self.merge_records(sources, &order, &fresh, range.start)?;
        let mut files = vec![FileLine::new("records", merged.facts)];
        for (name, facts) in self.merge_derived(sources, &order, &mut merged, &fresh)? {
            files.push(FileLine::new(name, facts));
        }
        disk.sync_dir(&fresh).map_err(from_disk)?;
        disk.rename(&fresh, &dir).map_err(from_disk)?;
        disk.sync_dir("segments").map_err(from_disk)?;
        // If we die here the manifest still names the sources, and this is removed on opening.
        files.push(self.merge_personal(&range, &merged.finds)?);
        self.replace(sources, facts(sources, &range, files))
    }

    fn merge_personal(&self, range: &Range<u64>, finds: &[Option<u64>]) -> Result<FileLine> {
        let disk = &*self.disk;
        let path = personal_of(range);
        let fresh = format!("{path}.new");
        remove_file(disk, &fresh)?;
        let written: FileFacts = crate::segment::personal::write(disk, &fresh, finds)?;
        disk.rename(&fresh, &path).map_err(from_disk)?;
        disk.sync_dir("personal").map_err(from_disk)?;
        Ok(FileLine::new("personal", written))
    }

    /// Puts the merged segment into the place of its sources and removes them.
    fn replace(&self, sources: &[Arc<Segment>], merged: SegmentFacts) -> Result<()> {
        let disk = &*self.disk;
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        next.segments
            .retain(|s| s.end <= merged.first || s.first >= merged.end);
        let at = next.segments.partition_point(|s| s.first < merged.first);
        next.segments.insert(at, merged.clone());
        manifest.replace(disk, next, &self.unsettled)?;
        // If we die here the sources are in no manifest and are removed on opening.
        drop(manifest);
        self.show(&[merged]);
        for source in sources {
            remove_tree(disk, &dir_of(&source.range()))?;
            remove_file(disk, &path_of(&source.facts, "personal"))?;
        }
        Ok(())
    }
}

fn facts(sources: &[Arc<Segment>], range: &Range<u64>, files: Vec<FileLine>) -> SegmentFacts {
    let all = || sources.iter().map(|source| &source.facts);
    let span = |of: fn(&SegmentFacts) -> (i64, i64)| {
        let min = all().map(|facts| of(facts).0).min().unwrap_or(0);
        (min, all().map(|facts| of(facts).1).max().unwrap_or(0))
    };
    SegmentFacts {
        first: range.start,
        end: range.end,
        clustered: true,
        occurred: span(|facts| facts.occurred),
        ingested: span(|facts| facts.ingested),
        ids: (
            all().map(|facts| facts.ids.0).min().unwrap_or(0),
            all().map(|facts| facts.ids.1).max().unwrap_or(0),
        ),
        files,
    }
}
