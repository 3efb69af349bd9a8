//! Sealing: a full journal file becomes a segment.
//!
//! The journal file itself is not rewritten, only renamed; the derived files are written beside it
//! from the tail's index. Until the manifest names the segment it does not exist: whatever a crash
//! leaves of it is undone on opening.

use std::sync::Arc;

use indelible_disk::Disk;
use indelible_store::{Error, Result};

use crate::container::facts_of;
use crate::failure::from_disk;
use crate::heads::Heads;
use crate::manifest::{FileLine, SegmentFacts};
use crate::part::{OpenTail, PartRef, View};
use crate::segment::write::{DERIVED, derived, find_index};
use crate::segment::{Segment, dir_of, personal_of};
use crate::store::{Job, Store, journal_path};
use crate::tail::Tail;

/// Removes a directory with the files in it, if it is there.
pub(crate) fn remove_tree(disk: &dyn Disk, dir: &str) -> Result<()> {
    let names = disk.list(dir).map_err(from_disk)?;
    for name in &names {
        disk.remove(&format!("{dir}/{name}")).map_err(from_disk)?;
    }
    let there = disk.list(indelible_disk::parent(dir)).map_err(from_disk)?;
    if there.iter().any(|name| dir.ends_with(&format!("/{name}"))) {
        disk.remove_dir(dir).map_err(from_disk)?;
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(disk: &dyn Disk, path: &str) -> Result<()> {
    if disk.len(path).map_err(from_disk)?.is_some() {
        disk.remove(path).map_err(from_disk)?;
    }
    Ok(())
}

/// Puts the records of a segment that is in no manifest back into the journal.
pub(crate) fn unseal(disk: &dyn Disk, dir: &str, first: u64) -> Result<()> {
    let records = format!("{dir}/records");
    if disk.len(&records).map_err(from_disk)?.is_some() {
        disk.rename(&records, &journal_path(first))
            .map_err(from_disk)?;
        // If we die here the records are in the journal, and the rest is removed on opening.
        disk.sync_dir("journal").map_err(from_disk)?;
    }
    remove_tree(disk, dir)
}

/// What the manifest says of the rows of a tail.
pub(crate) fn facts(
    tail: &Tail,
    first: u64,
    clustered: bool,
    files: Vec<FileLine>,
) -> SegmentFacts {
    let span = |values: &[i64]| {
        let min = values.iter().copied().min().unwrap_or(0);
        (min, values.iter().copied().max().unwrap_or(0))
    };
    let times = tail.ids.iter().map(indelible_event::ids::AuditId::unix_ms);
    let ids = times.fold((u64::MAX, 0), |(min, max), ms| (min.min(ms), max.max(ms)));
    SegmentFacts {
        first,
        end: first + u64::from(tail.rows()),
        clustered,
        occurred: span(&tail.occurred),
        ingested: span(&tail.ingested),
        ids,
        files,
    }
}

impl Store {
    /// Seals a tail, noting a failure instead of returning it: the tail stays as it is and is tried
    /// again with the next one.
    pub(crate) fn seal_noting(&self, job: &Job) {
        let outcome = self.seal_pending(job);
        self.trouble.lock().sealing = outcome.err().map(|error| error.to_string());
    }

    /// Seals every tail up to this one.
    fn seal_pending(&self, job: &Job) -> Result<()> {
        let before: Vec<_> = {
            let view = self.view();
            let tails = view.parts.iter().filter_map(|part| match part {
                PartRef::Tail(tail) if tail.first < job.tail.first => Some(Arc::clone(tail)),
                _ => None,
            });
            tails.collect()
        };
        for tail in before {
            // Its heads are not kept; they are those of the last tail once that is sealed.
            self.seal(&tail, None)?;
        }
        self.seal(&job.tail, Some(&job.heads))
    }

    /// Makes a segment of a tail.
    pub(crate) fn seal(&self, tail: &Arc<OpenTail>, heads: Option<&Heads>) -> Result<()> {
        let mut manifest = self.manifest.lock();
        let index = tail.index.read();
        let range = tail.first..tail.first + u64::from(index.rows());
        if range.is_empty() || range.start < manifest.end() {
            return Ok(());
        }
        let disk = &*self.disk;
        let (dir, personal) = (dir_of(&range), personal_of(&range));
        let fresh = format!("{dir}.new");
        manifest.settle(disk, &self.unsettled)?;
        unseal(disk, &dir, range.start)?;
        remove_tree(disk, &fresh)?;
        disk.create_dir_all(&fresh).map_err(from_disk)?;
        let mut files = Vec::new();
        for name in DERIVED {
            files.push(FileLine::new(name, derived(disk, &fresh, name, &index)?));
        }
        disk.sync_dir(&fresh).map_err(from_disk)?;
        disk.rename(&fresh, &dir).map_err(from_disk)?;
        disk.sync_dir("segments").map_err(from_disk)?;
        // If we die here the directory holds no records and is removed on opening.
        files.push(self.write_personal(&personal, &index)?);
        let journal = journal_path(tail.first);
        let end = index
            .directory
            .blocks
            .last()
            .map(|block| block.at + u64::from(block.bytes));
        // Bytes that may have been records are kept, and reported.
        let kept = tail.damaged.last().map(|bytes| bytes.end);
        files.insert(
            0,
            FileLine::new("records", facts_of(disk, &journal, end.max(kept))?),
        );
        disk.rename(&journal, &format!("{dir}/records"))
            .map_err(from_disk)?;
        // If we die here the manifest does not name it and the records go back to the journal.
        disk.sync_dir(&dir).map_err(from_disk)?;
        disk.sync_dir("journal").map_err(from_disk)?;
        let mut next = manifest.clone();
        next.segments.push(facts(&index, tail.first, false, files));
        if let Some(heads) = heads {
            // First, so that there are heads whenever there are segments. If we die here they are
            // of no use, and computed on opening.
            heads.store(disk, range.end)?;
        }
        manifest.replace(disk, next, &self.unsettled)?;
        // From here on it is a segment.
        drop(index);
        self.show(
            &manifest
                .segments
                .last()
                .cloned()
                .into_iter()
                .collect::<Vec<_>>(),
        );
        Ok(())
    }

    /// Writes the find index of a segment.
    pub(crate) fn write_personal(&self, path: &str, tail: &Tail) -> Result<FileLine> {
        let disk = &*self.disk;
        let fresh = format!("{path}.new");
        disk.create_dir_all("personal").map_err(from_disk)?;
        disk.sync_dir("").map_err(from_disk)?;
        remove_file(disk, &fresh)?;
        let facts = find_index(disk, &fresh, tail)?;
        disk.rename(&fresh, path).map_err(from_disk)?;
        disk.sync_dir("personal").map_err(from_disk)?;
        Ok(FileLine::new("personal", facts))
    }

    /// Replaces the parts that these segments cover by the segments.
    pub(crate) fn show(&self, segments: &[SegmentFacts]) {
        let mut view = self.view.write();
        let mut parts: Vec<PartRef> = view.parts.clone();
        for facts in segments {
            let segment = Segment::new(
                Arc::clone(&self.disk),
                Arc::clone(&self.caches),
                facts.clone(),
            );
            let at = parts.partition_point(|part| part.start() < facts.first);
            let end = parts.partition_point(|part| part.start() < facts.end);
            parts.splice(at..end, [PartRef::Segment(Arc::new(segment))]);
        }
        *view = Arc::new(View { parts });
        drop(view);
        // Damage that is known is in another file now.
        drop(self.unread.lock().take_if(|known| !known.is_empty()));
    }
}

impl PartRef {
    /// The position of its first record.
    pub(crate) fn start(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.facts.first,
            Self::Tail(tail) => tail.first,
        }
    }
}

/// Whether the error means that a file went away, which a writer beside us may have done.
pub(crate) fn vanished(error: &Error) -> bool {
    error.kind() == indelible_store::Kind::NotFound
}
