//! Opening a data directory: what a crash left is undone or finished, then the journal is replayed.
//!
//! A directory opened for reading changes nothing: it leaves leftovers alone and stops before a
//! torn end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indelible_disk::{Disk, Open};
use indelible_event::ids::{Micros, TenantId};
use indelible_merkle::{Frontier, leaf_hash};
use indelible_store::{Expected, Head, Kind, Result, RowOpener, Stored};
use parking_lot::{Mutex, RwLock};

use crate::failure::{corrupt, from_disk};
use crate::format::Format;
use crate::frame::{Arrangement, FILE_HEADER_BYTES, FILE_ROWS_MAX};
use crate::hashing::Hashing;
use crate::heads::{HeadState, Heads};
use crate::manifest::Manifest;
use crate::options::{Options, Progress};
use crate::part::{OpenTail, PartRef, View};
use crate::records::{RecordFile, Scanner, Step};
use crate::replay::{Replay, Trees, check_header};
use crate::seal::{remove_file, remove_tree, unseal, vanished};
use crate::store::{Store, Writer, journal_path};

/// Told how far the work is.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Progress);

/// Everything that is needed to open a directory.
pub(crate) struct Opening {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) opener: Option<Arc<dyn RowOpener>>,
    pub(crate) options: Options,
}

impl Opening {
    /// Opens the directory, under its lock unless only for reading. `thorough`: with every byte of
    /// what is derived compared, and made again where it is not what was written.
    pub(crate) fn run(&self, thorough: bool, tell: Tell<'_>) -> Result<Store> {
        let disk = Arc::clone(&self.disk);
        let format = Format::load(&*disk)?;
        if !self.options.read_only {
            clean(&*disk)?;
        }
        let manifest = match Manifest::load(&*disk)? {
            Some(manifest) => manifest,
            None => crate::repair::find_segments(&*disk, &self.options, tell)?,
        };
        if !self.options.read_only {
            settle(&*disk, &manifest)?;
        }
        let store = Store {
            hashing: Hashing::new(&format.hash_key()),
            disk,
            format,
            opener: self.opener.clone(),
            options: self.options.clone(),
            caches: Arc::default(),
            view: RwLock::new(Arc::new(View::default())),
            heads: RwLock::new(Heads::default()),
            writer: Mutex::new(None),
            manifest: Mutex::new(manifest.clone()),
            unsettled: AtomicBool::new(false),
            maintenance: Mutex::new(()),
            mending: Mutex::new(()),
            trouble: Mutex::default(),
            unmergeable: Mutex::default(),
            unread: Mutex::default(),
            stopping: AtomicBool::new(false),
        };
        store.show(&manifest.segments);
        store.mend_derived(thorough, tell)?;
        store.load_heads(&manifest, tell)?;
        store.replay_journal(manifest.end(), tell)?;
        if store.options.read_only {
            for part in &store.view().parts {
                if let PartRef::Segment(segment) = part {
                    match segment.open_all() {
                        // Not there at all: what it held is reported by reading and checking.
                        Err(error) if vanished(&error) => store.still_names(&segment.facts)?,
                        other => other?,
                    }
                }
            }
        }
        Ok(store)
    }
}

/// Removes what was being written when the last writer ended.
fn clean(disk: &dyn Disk) -> Result<()> {
    for dir in ["segments", "personal", ""] {
        for name in disk.list(dir).map_err(from_disk)? {
            let ours = !dir.is_empty() || name.starts_with(crate::format::PATH);
            if ours && name.strip_suffix(".new").is_some() {
                let path = if dir.is_empty() {
                    name
                } else {
                    format!("{dir}/{name}")
                };
                if disk.len(&path).map_err(from_disk)?.is_some() {
                    remove_file(disk, &path)?;
                } else {
                    remove_tree(disk, &path)?;
                }
            }
        }
    }
    Ok(())
}

/// The positions a name below `segments/` or `personal/` speaks of: first, and after the last.
pub(crate) fn range_of(name: &str) -> Option<std::ops::Range<u64>> {
    let (first, last) = name.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let rows = last.checked_sub(first)?.checked_add(1)?;
    (name.len() == 41 && rows <= FILE_ROWS_MAX.into()).then(|| first..first.saturating_add(rows))
}

/// How many records a journal file holds that begins at `first`, when one that begins at `next`
/// comes behind it.
fn rows_before(path: &str, first: u64, next: Option<u64>) -> Result<Option<u32>> {
    let rows = next.map(|next| u32::try_from(next.saturating_sub(first)).unwrap_or(u32::MAX));
    // Positions are kept as `i64`.
    if i64::try_from(first).is_err() || rows.is_some_and(|rows| rows > FILE_ROWS_MAX) {
        let said =
            format!("{path} or the file behind it has a name that cannot be: give it back its own");
        return Err(corrupt(said));
    }
    Ok(rows)
}

/// Undoes segments that the manifest does not name: merged-away ones are removed, others go back
/// to the journal.
fn settle(disk: &dyn Disk, manifest: &Manifest) -> Result<()> {
    // Whoever wrote the manifest may have failed before it was certain to stay. Nothing goes on the
    // word of one that a power cut could still take back.
    disk.sync_dir("segments").map_err(from_disk)?;
    for name in disk.list("segments").map_err(from_disk)? {
        let Some(range) = range_of(&name) else {
            continue;
        };
        if manifest
            .segments
            .iter()
            .any(|segment| segment.range() == range)
        {
            continue;
        }
        let dir = format!("segments/{name}");
        if range.end <= manifest.end() {
            remove_tree(disk, &dir)?;
        } else if range.start >= manifest.end() {
            unseal(disk, &dir, range.start)?;
        }
    }
    for name in disk.list("personal").map_err(from_disk)? {
        let known = |range| {
            manifest
                .segments
                .iter()
                .any(|segment| segment.range() == range)
        };
        if range_of(&name).is_some_and(|range| !known(range)) {
            remove_file(disk, &format!("personal/{name}"))?;
        }
    }
    Ok(())
}

/// The files of the journal from a position on, with the positions they begin at. A reader also
/// takes those that a writer has moved to a segment it has not shown yet.
pub(crate) fn journal_of(
    disk: &dyn Disk,
    sealed: u64,
    reading: bool,
) -> Result<Vec<(u64, String)>> {
    let mut files = std::collections::BTreeMap::new();
    for name in disk.list("journal").map_err(from_disk)? {
        let first: Option<u64> = name.parse().ok().filter(|_| name.len() == 20);
        files.extend(first.map(|first| (first, journal_path(first))));
    }
    if reading {
        for name in disk.list("segments").map_err(from_disk)? {
            let path = format!("segments/{name}/records");
            if let Some(range) = range_of(&name)
                && disk.len(&path).map_err(from_disk)?.is_some()
            {
                files.entry(range.start).or_insert(path);
            }
        }
    }
    let files = files.into_iter().filter(|(first, _)| *first >= sealed);
    Ok(files.collect())
}

impl Store {
    /// Takes the heads as of the end of the segments from their file, or computes them.
    fn load_heads(&self, manifest: &Manifest, tell: Tell<'_>) -> Result<()> {
        let end = manifest.end();
        if end == 0 {
            return Ok(());
        }
        if let Some((heads, position)) = Heads::load(&*self.disk)
            && position == end
        {
            *self.heads.write() = heads;
            return Ok(());
        }
        self.still(manifest)?;
        let heads = self.compute_heads(tell)?;
        if !self.options.read_only {
            heads.store(&*self.disk, end)?;
        }
        *self.heads.write() = heads;
        Ok(())
    }

    /// Computes the heads from the segments.
    pub(crate) fn compute_heads(&self, tell: Tell<'_>) -> Result<Heads> {
        let mut sizes: std::collections::BTreeMap<TenantId, u64> =
            std::collections::BTreeMap::new();
        for part in &self.view().parts {
            if let PartRef::Segment(segment) = part {
                let directory = &segment.columns()?.directory;
                for (number, part) in (0_u32..).zip(&directory.tenants) {
                    let end = directory.sequence(number).map_or(0, |range| range.end);
                    sizes.insert(part.tenant.clone(), end);
                }
            }
        }
        let total = Some(sizes.len() as u64);
        let mut heads = Heads::default();
        for (done, (tenant, size)) in (1_u64..).zip(&sizes) {
            // So that the records can be read at all.
            let end = Expected {
                size: *size,
                last_hash: indelible_merkle::Hash::ZERO,
            };
            self.heads
                .write()
                .map
                .insert(tenant.clone(), HeadState::Broken(end));
            heads
                .map
                .insert(tenant.clone(), self.compute_head(tenant, *size)?);
            tell(Progress {
                what: "computing heads".to_owned(),
                done,
                total,
            });
        }
        Ok(heads)
    }

    fn compute_head(&self, tenant: &TenantId, size: u64) -> Result<HeadState> {
        let mut last = None;
        self.read_all(tenant, size.saturating_sub(1)..size, &mut |stored| {
            if let Stored::Record(record) = stored {
                let ingested = indelible_event::leaf::LeafView::locate(record.leaf)
                    .map_or(Micros(0), |leaf| leaf.ingested_at);
                last = Some((leaf_hash(record.leaf), ingested));
            }
            std::ops::ControlFlow::Continue(())
        })?;
        let broken = |last_hash| HeadState::Broken(Expected { size, last_hash });
        let Some((last_hash, last_ingested_at)) = last else {
            return Ok(broken(indelible_merkle::Hash::ZERO));
        };
        match self.frontier_at(tenant, size) {
            Ok(frontier) => Ok(HeadState::Known(Arc::new(Head {
                frontier,
                last_hash,
                last_ingested_at,
            }))),
            Err(error) if error.kind() == Kind::Corrupt => Ok(broken(last_hash)),
            Err(error) => Err(error),
        }
    }

    /// The frontier of the tenant's first `size` leaves.
    pub(crate) fn frontier_at(&self, tenant: &TenantId, size: u64) -> Result<Frontier> {
        let mut hashes = Vec::new();
        let mut from = 0_u64;
        for level in (0..64_u8).rev().filter(|level| size >> level & 1 == 1) {
            hashes.push(self.root(tenant, level, from >> level)?);
            from += 1 << level;
        }
        Frontier::from_parts(size, hashes)
            .map_err(|e| corrupt("a tree cannot be computed").caused_by(e))
    }

    /// Leaves out a last file whose header never became durable: nothing was ever in it.
    fn drop_unborn(&self, files: &mut Vec<(u64, String)>) -> Result<()> {
        while let Some((_, path)) = files.last() {
            let file = RecordFile::open(&*self.disk, path, Open::Read, &self.caches)?;
            let mut scanner = Scanner::new(file.file, None)?;
            let born = scanner.header.is_some()
                || matches!(scanner.step()?, Step::Frame { .. } | Step::Damaged(_));
            if born {
                break;
            }
            if !self.options.read_only {
                self.disk.remove(path).map_err(from_disk)?;
                self.disk.sync_dir("journal").map_err(from_disk)?;
            }
            files.pop();
        }
        Ok(())
    }

    /// Replays the journal's files; the last becomes the one that is appended to.
    fn replay_journal(&self, sealed: u64, tell: Tell<'_>) -> Result<()> {
        let mut files = journal_of(&*self.disk, sealed, self.options.read_only)?;
        self.drop_unborn(&mut files)?;
        let mut writer = None;
        for (number, (first, path)) in files.iter().enumerate() {
            let next = files.get(number + 1).map(|(next, _)| *next);
            writer = self.replay_file(*first, path, next, tell)?;
        }
        if self.options.read_only {
            return Ok(());
        }
        if writer.is_none() {
            self.disk.create_dir_all("journal").map_err(from_disk)?;
            self.disk.sync_dir("").map_err(from_disk)?;
            let (tail, link) = self.create_journal(sealed)?;
            self.add_tail(&tail);
            writer = Some(Writer::new(tail, FILE_HEADER_BYTES as u64, link, 0)?);
        }
        *self.writer.lock() = writer;
        Ok(())
    }

    fn add_tail(&self, tail: &Arc<OpenTail>) {
        let mut view = self.view.write();
        let mut parts = view.parts.clone();
        parts.push(PartRef::Tail(Arc::clone(tail)));
        *view = Arc::new(View { parts });
    }

    /// Replays one file; the next one, if there is one, says where it ends.
    fn replay_file(
        &self,
        first: u64,
        path: &str,
        next: Option<u64>,
        tell: Tell<'_>,
    ) -> Result<Option<Writer>> {
        let how = if self.options.read_only {
            Open::Read
        } else {
            Open::Write
        };
        let records = RecordFile::open(&*self.disk, path, how, &self.caches)?;
        let limit_row = rows_before(path, first, next)?;
        let mut replay = Replay {
            hashing: self.hashing,
            opener: self.opener.as_deref(),
            limit_bytes: None,
            limit_row,
            arrangement: Arrangement::Committed,
            progress: &mut |done| {
                tell(Progress {
                    what: "reading the journal".to_owned(),
                    done,
                    total: None,
                });
            },
        };
        let replayed = replay.run(&records, Trees::Heads(&mut self.heads.write()))?;
        check_header(
            replayed.header.as_ref(),
            path,
            &self.format.ledger_id(),
            first,
        )?;
        if replayed.tail.rows() == 0 && next.is_some() {
            return Ok(None);
        }
        let writable = next.is_none() && !self.options.read_only;
        let mut damaged = replayed.damaged;
        let mut broken = false;
        match replayed.torn {
            Some((_, true)) if writable => {
                // The beginning of a frame and nothing behind it: it was never acknowledged.
                records.file.set_len(replayed.end).map_err(from_disk)?;
                records.file.sync_data().map_err(from_disk)?;
            }
            Some((bytes, false)) => {
                // It may have been a frame once. Keep it, and go on in another file.
                damaged.push(bytes);
                broken = true;
            }
            _ => {}
        }
        let index = RwLock::new(replayed.tail);
        let tail = Arc::new(OpenTail {
            first,
            records,
            index,
            damaged,
        });
        self.add_tail(&tail);
        if !writable {
            return Ok(None);
        }
        let mut writer = Writer::new(tail, replayed.end, 0, replayed.number)?;
        writer.broken = broken;
        match replayed.link {
            Some(link) => writer.link = link,
            // Its header is damaged; go on in a file that can be told apart.
            None => writer.broken = true,
        }
        Ok(Some(writer))
    }
}
