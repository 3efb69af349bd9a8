//! Copying the records of a data directory into another, beside its writer.
//!
//! Segments are written once, so only those are copied that the other directory does not have. The
//! journal is copied whole: it is bounded, and its end may still be cut. All of it is written under
//! other names first; [`Staged::show`] then puts it into its place, first records first. Without a
//! manifest the longest segments that follow each other are in force, so the other directory is a
//! ledger at every moment between, and never has fewer records than before.
//!
//! What it is not: opening. No index is made, nothing is decrypted, and what is damaged is copied
//! as it is, but never over records that are there already.

use std::ops::Range;
use std::time::Duration;

use indelible_disk::{Disk, DiskFile, Open};
use indelible_store::{Error, Kind, Result};

use crate::container::{FileFacts, facts_of};
use crate::failure::{corrupt, from_disk};
use crate::heads::{self, Heads};
use crate::manifest::{self, FileLine, Manifest, SegmentFacts};
use crate::open::{Tell, range_of};
use crate::options::{Options, Progress};
use crate::repair::{find_segments, path_of};
use crate::seal::{remove_file, remove_tree, vanished};
use crate::segment::dir_of;
use crate::store::journal_path;

/// How often it begins anew because files went away meanwhile; what was copied is not copied again.
const TRIES_MAX: u32 = 200;
/// How often because of heads that are newer; after a crash they may stay so, and are computed.
const PATIENCE: u32 = 20;
/// How much longer each time it waits before that, and at most.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSES_MAX: u32 = 25;
/// Bytes that are copied at once.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Records that are copied and not yet in their place.
pub struct Staged<'a> {
    to: &'a dyn Disk,
    manifest: Manifest,
    heads: Option<Heads>,
    /// First positions of the journal's files.
    journal: Vec<u64>,
    /// Segments of which files were copied.
    fresh: Vec<SegmentFacts>,
    bytes: u64,
}

/// Copies what `to` does not have of the records of `from`, which may be written to meanwhile.
///
/// # Errors
/// [`Kind::Corrupt`] when records are damaged of which `to` may have better ones: these stay as
/// they are; [`Kind::NoSpace`]; [`Kind::Unavailable`]. What was copied is not copied again.
pub fn stage<'a>(from: &dyn Disk, to: &'a dyn Disk, tell: Tell<'_>) -> Result<Staged<'a>> {
    for dir in ["journal", "segments", "personal"] {
        to.create_dir_all(dir).map_err(from_disk)?;
    }
    to.sync_dir("").map_err(from_disk)?;
    let old = Manifest::load(to)?;
    let reach = reach(to, old.as_ref())?;
    let mut copying = Copying {
        from,
        to,
        old: old.unwrap_or_default(),
        reach,
        fresh: Vec::new(),
        bytes: 0,
        tell,
    };
    for tried in 0..TRIES_MAX {
        std::thread::sleep(PAUSE * tried.min(PAUSES_MAX));
        let is_patient = tried < PATIENCE;
        if let Some((manifest, heads, journal)) = copying.all(is_patient)? {
            return Ok(Staged {
                to,
                manifest,
                heads,
                journal,
                bytes: copying.bytes,
                fresh: copying.fresh,
            });
        }
    }
    let said = "files of the data directory keep changing: try again";
    Err(Error::new(Kind::Unavailable, said))
}

/// The position before which a directory may have records.
fn reach(disk: &dyn Disk, manifest: Option<&Manifest>) -> Result<u64> {
    let Some(manifest) = manifest else {
        let left = disk.list("segments").map_err(from_disk)?;
        let any = left.iter().any(|name| range_of(name).is_some());
        return Ok(if any { u64::MAX } else { 0 });
    };
    let names = disk.list("journal").map_err(from_disk)?;
    let firsts = names.iter().filter_map(|name| name.parse::<u64>().ok());
    Ok(firsts.map(|first| first + 1).fold(manifest.end(), u64::max))
}

/// A manifest, the heads at its end, and where the files of the journal behind it begin.
type Cut = (Manifest, Option<Heads>, Vec<u64>);

/// A file of the journal and where it begins.
type Opened = (u64, Box<dyn DiskFile>);

struct Copying<'a, 'b> {
    from: &'a dyn Disk,
    to: &'a dyn Disk,
    old: Manifest,
    reach: u64,
    fresh: Vec<SegmentFacts>,
    bytes: u64,
    tell: Tell<'b>,
}

impl Copying<'_, '_> {
    /// Copies what is in force now; nothing when something of it went away meanwhile.
    fn all(&mut self, is_patient: bool) -> Result<Option<Cut>> {
        let manifest = self.manifest()?;
        let total = manifest.segments.iter().flat_map(|segment| &segment.files);
        let total = total.map(|file| file.bytes).sum();
        let mut done = 0;
        for segment in &manifest.segments {
            if !self.old.names(segment) && !self.segment(segment, done, total)? {
                return Ok(None);
            }
            done += segment.files.iter().map(|file| file.bytes).sum::<u64>();
        }
        let heads = Heads::load(self.from);
        if is_patient && heads.as_ref().is_some_and(|(_, at)| *at > manifest.end()) {
            // A segment is being sealed, whose heads are written first.
            return Ok(None);
        }
        let heads = heads.filter(|(_, position)| *position == manifest.end());
        let Some(files) = self.journal(manifest.end())? else {
            return Ok(None);
        };
        if self.manifest()? != manifest {
            return Ok(None);
        }
        for (first, file) in &files {
            let path = format!("{}.new", journal_path(*first));
            self.bytes += copy(&**file, u64::MAX, self.to, &path, &mut |_| {})?.bytes;
        }
        let journal = files.into_iter().map(|(first, _)| first).collect();
        Ok(Some((manifest, heads.map(|(heads, _)| heads), journal)))
    }

    fn manifest(&mut self) -> Result<Manifest> {
        if let Some(manifest) = Manifest::load(self.from)? {
            return Ok(manifest);
        }
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        find_segments(self.from, &options, self.tell)
    }

    /// Copies the files of a segment that are not there; whether it still was in force.
    fn segment(&mut self, segment: &SegmentFacts, before: u64, total: u64) -> Result<bool> {
        let mut copied = false;
        let mut done = before;
        for line in &segment.files {
            let (path, staged) = (path_of(segment, &line.name), staged(segment, &line.name));
            if !is_there(self.to, &path, line)? && !is_there(self.to, &staged, line)? {
                let file = match self.from.open(&path, Open::Read).map_err(from_disk) {
                    Err(error) if vanished(&error) => {
                        if !Manifest::load(self.from)?.is_none_or(|now| now.names(segment)) {
                            return Ok(false);
                        }
                        // Lost where it was: what is there of the segment is copied.
                        continue;
                    }
                    file => file?,
                };
                self.to
                    .create_dir_all(&format!("{}.new", dir_of(&segment.range())))
                    .map_err(from_disk)?;
                let tell = &mut *self.tell;
                let facts = copy(&*file, line.bytes, self.to, &staged, &mut |bytes| {
                    tell(Progress {
                        what: "copying segments".to_owned(),
                        done: done + bytes,
                        total: Some(total),
                    });
                })?;
                self.bytes += facts.bytes;
                if line.name == "records" && facts != line.facts() && segment.first < self.reach {
                    remove_file(self.to, &staged)?;
                    let said = format!(
                        "{path} is damaged, and what was copied before may have its records whole"
                    );
                    return Err(corrupt(said));
                }
            }
            copied |= self.to.len(&staged).map_err(from_disk)?.is_some();
            done += line.bytes;
        }
        if copied && !self.fresh.contains(segment) {
            let dir = format!("{}.new", dir_of(&segment.range()));
            self.to.sync_dir(&dir).map_err(from_disk)?;
            self.fresh.push(segment.clone());
        }
        Ok(true)
    }

    /// Opens the files of the journal: what is open stays, whatever becomes of its name.
    fn journal(&self, sealed: u64) -> Result<Option<Vec<Opened>>> {
        let mut files = Vec::new();
        for (first, path) in crate::open::journal_of(self.from, sealed, true)? {
            match self.from.open(&path, Open::Read).map_err(from_disk) {
                Err(error) if vanished(&error) => return Ok(None),
                file => files.push((first, file?)),
            }
        }
        Ok(Some(files))
    }
}

/// Where a file of a segment is before it is put into its place.
fn staged(segment: &SegmentFacts, name: &str) -> String {
    if name == "personal" {
        format!("{}.new", path_of(segment, name))
    } else {
        format!("{}.new/{name}", dir_of(&segment.range()))
    }
}

/// Whether a file is there, with the bytes that it should have.
fn is_there(disk: &dyn Disk, path: &str, line: &FileLine) -> Result<bool> {
    let has_length = disk.len(path).map_err(from_disk)? == Some(line.bytes);
    Ok(has_length && facts_of(disk, path, None)? == line.facts())
}

/// Copies a file, at most so many bytes of it. It gets its name when its bytes are durable: what
/// has the name is whole, also after a sync that failed.
fn copy(
    file: &dyn DiskFile,
    bytes_max: u64,
    to: &dyn Disk,
    path: &str,
    tell: &mut dyn FnMut(u64),
) -> Result<FileFacts> {
    let part = format!("{path}.part");
    remove_file(to, &part)?;
    let fresh = to.open(&part, Open::New).map_err(from_disk)?;
    let mut buffer = vec![0; COPIED_AT_ONCE];
    let mut facts = FileFacts { bytes: 0, crc: 0 };
    loop {
        let left = usize::try_from(bytes_max - facts.bytes).unwrap_or(usize::MAX);
        let into = buffer.get_mut(..left.min(COPIED_AT_ONCE));
        let count = file.read_at(into.unwrap_or_default(), facts.bytes);
        let count = count.map_err(from_disk)?;
        if count == 0 {
            break;
        }
        let some = buffer.get(..count).unwrap_or_default();
        fresh.write_at(some, facts.bytes).map_err(from_disk)?;
        facts.crc = crc32c::crc32c_append(facts.crc, some);
        facts.bytes += count as u64;
        tell(facts.bytes);
    }
    fresh.sync_data().map_err(from_disk)?;
    drop(fresh);
    remove_file(to, path)?;
    to.rename(&part, path).map_err(from_disk)?;
    Ok(facts)
}

impl Staged<'_> {
    /// Bytes that were copied.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts what was copied into its place, and removes what it replaces.
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: what is there is a ledger all the same, and to copy once more brings
    /// the rest.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn show(self) -> Result<()> {
        let to = self.to;
        if !self.fresh.is_empty() {
            // If we die from here on the segments are found by their directories.
            remove_file(to, manifest::PATH)?;
            to.sync_dir("segments").map_err(from_disk)?;
        }
        for segment in &self.fresh {
            put(to, segment)?;
        }
        for first in &self.journal {
            let path = journal_path(*first);
            to.rename(&format!("{path}.new"), &path)
                .map_err(from_disk)?;
            // One after the other: a later file without the one before it would be a gap.
            to.sync_dir("journal").map_err(from_disk)?;
        }
        let end = self.manifest.end();
        if let Some(heads) = &self.heads {
            heads.store(to, end)?;
        }
        self.manifest.store(to)?;
        self.tidy()
    }

    /// Removes what is not in force any more, and what was left half copied.
    fn tidy(&self) -> Result<()> {
        let to = self.to;
        let ranges: Vec<_> = self
            .manifest
            .segments
            .iter()
            .map(SegmentFacts::range)
            .collect();
        let is_live =
            |name: &str| range_of(name).is_some_and(|range: Range<u64>| ranges.contains(&range));
        for name in to.list("segments").map_err(from_disk)? {
            let path = format!("segments/{name}");
            if path != manifest::PATH && path != heads::PATH && !is_live(&name) {
                remove_file(to, &path)?;
                remove_tree(to, &path)?;
            }
        }
        for name in to.list("personal").map_err(from_disk)? {
            if !is_live(&name) {
                remove_file(to, &format!("personal/{name}"))?;
            }
        }
        for name in to.list("journal").map_err(from_disk)? {
            if !name
                .parse()
                .is_ok_and(|first| self.journal.contains(&first))
            {
                remove_file(to, &format!("journal/{name}"))?;
            }
        }
        Ok(())
    }
}

/// Puts the copied files of a segment into their places, those that find its records last.
fn put(disk: &dyn Disk, segment: &SegmentFacts) -> Result<()> {
    let personal = staged(segment, "personal");
    if disk.len(&personal).map_err(from_disk)?.is_some() {
        disk.rename(&personal, &path_of(segment, "personal"))
            .map_err(from_disk)?;
        disk.sync_dir("personal").map_err(from_disk)?;
    }
    let dir = dir_of(&segment.range());
    let fresh = format!("{dir}.new");
    let is_there = disk
        .list(&dir)
        .map_err(from_disk)?
        .iter()
        .any(|name| name == "records");
    if is_there {
        for name in disk.list(&fresh).map_err(from_disk)? {
            disk.rename(&format!("{fresh}/{name}"), &format!("{dir}/{name}"))
                .map_err(from_disk)?;
        }
        disk.sync_dir(&dir).map_err(from_disk)?;
        return remove_tree(disk, &fresh);
    }
    remove_tree(disk, &dir)?;
    if disk.list(&fresh).map_err(from_disk)?.is_empty() {
        return Ok(());
    }
    disk.rename(&fresh, &dir).map_err(from_disk)?;
    disk.sync_dir("segments").map_err(from_disk)
}
