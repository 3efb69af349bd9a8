//! What the parts of an open data directory share, and the writer's state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;

use indelible_disk::{Disk, Open};
use indelible_store::{Result, RowOpener, Unread};
use parking_lot::{Mutex, RwLock};

use crate::block::Packer;
use crate::failure::{from_disk, from_zstd};
use crate::format::Format;
use crate::frame::{Arrangement, FILE_HEADER_BYTES, FileHeader, FrameWriter};
use crate::hashing::Hashing;
use crate::heads::Heads;
use crate::manifest::Manifest;
use crate::options::Options;
use crate::part::{OpenTail, PartRef, View};
use crate::records::{Caches, RecordFile};
use crate::tail::Tail;

/// Level of compression. Level 3 takes twice the time of a merge for 1 % less room.
pub(crate) const BLOCK_LEVEL: i32 = 1;

/// A tail to be sealed, with the heads as of its end.
pub(crate) struct Job {
    pub(crate) tail: Arc<OpenTail>,
    pub(crate) heads: Heads,
}

/// Why work in the background does not get on, if it does not.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(crate) sealing: Option<String>,
    pub(crate) merging: Option<String>,
}

impl Trouble {
    pub(crate) fn words(&self) -> Option<String> {
        let sealing = self
            .sealing
            .as_ref()
            .map(|why| format!("cannot seal: {why}"));
        sealing.or_else(|| {
            self.merging
                .as_ref()
                .map(|why| format!("cannot merge: {why}"))
        })
    }
}

/// An open data directory.
pub(crate) struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) format: Format,
    pub(crate) hashing: Hashing,
    pub(crate) opener: Option<Arc<dyn RowOpener>>,
    pub(crate) options: Options,
    pub(crate) caches: Arc<Caches>,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) heads: RwLock<Heads>,
    /// `None` in a directory opened for reading.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Also taken by whoever changes what is sealed.
    pub(crate) manifest: Mutex<Manifest>,
    /// Whether another manifest than that may be on the disk, since storing one failed.
    pub(crate) unsettled: AtomicBool,
    /// Held by whoever replaces segments by others or makes their files again.
    pub(crate) maintenance: Mutex<()>,
    /// Held by whoever makes a damaged derived file again in memory.
    pub(crate) mending: Mutex<()>,
    pub(crate) trouble: Mutex<Trouble>,
    /// First positions of segments that are damaged and therefore not merged.
    pub(crate) unmergeable: Mutex<BTreeSet<u64>>,
    /// What could not be read on opening, or when an index was made again, once somebody asked.
    pub(crate) unread: Mutex<Option<Arc<[Unread]>>>,
    /// Whether a merge is to end where it stands.
    pub(crate) stopping: AtomicBool,
}

/// Who appends: the open file and what is needed to write the next frame.
pub(crate) struct Writer {
    pub(crate) tail: Arc<OpenTail>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    pub(crate) link: u32,
    pub(crate) number: u32,
    /// The file is finished: a write or sync failed, or the next could not be made.
    pub(crate) broken: bool,
    pub(crate) packer: Packer,
    pub(crate) frame: FrameWriter,
    pub(crate) buffer: Vec<u8>,
    pub(crate) jobs: Option<SyncSender<Job>>,
}

impl Writer {
    pub(crate) fn new(tail: Arc<OpenTail>, end: u64, link: u32, number: u32) -> Result<Self> {
        Ok(Self {
            tail,
            end,
            link,
            number,
            broken: false,
            packer: Packer::new(BLOCK_LEVEL).map_err(from_zstd)?,
            frame: FrameWriter::default(),
            buffer: Vec::new(),
            jobs: None,
        })
    }
}

/// The journal file that begins at a position.
pub(crate) fn journal_path(first: u64) -> String {
    format!("journal/{first:020}")
}

impl Store {
    /// Makes the journal file that begins at `first`, durably, replacing one without records.
    ///
    /// Records an earlier file holds from `first` on are void as soon as this one is durable.
    pub(crate) fn create_journal(&self, first: u64) -> Result<(Arc<OpenTail>, u32)> {
        let path = journal_path(first);
        if self.disk.len(&path).map_err(from_disk)?.is_some() {
            self.disk.remove(&path).map_err(from_disk)?;
            // If we die here the records before `first` are all there is, which is right.
            self.disk.sync_dir("journal").map_err(from_disk)?;
        }
        let ledger_id = self.format.ledger_id();
        let header = FileHeader {
            arrangement: Arrangement::Committed,
            first,
            ledger_id,
        }
        .encode();
        let records = RecordFile::open(&*self.disk, &path, Open::New, &self.caches)?;
        records.file.write_at(&header, 0).map_err(from_disk)?;
        records.file.sync_data().map_err(from_disk)?;
        // If we die here the file may be there or not; no record is in it.
        self.disk.sync_dir("journal").map_err(from_disk)?;
        let link = FileHeader::parse(&header).map_or(0, |(_, crc)| crc);
        let index = RwLock::new(Tail::new(self.hashing));
        Ok((
            Arc::new(OpenTail {
                first,
                records,
                index,
                damaged: Vec::new(),
            }),
            link,
        ))
    }

    /// Ends the open file and starts the next one, where the visible records end.
    ///
    /// Until this succeeds nothing is appended: the new file may be there already, and would void
    /// what came after.
    pub(crate) fn start_file(&self, writer: &mut Writer) -> Result<()> {
        writer.broken = true;
        let rows = writer.tail.index.read().rows();
        let (tail, link) = self.create_journal(writer.tail.first + u64::from(rows))?;
        let old = std::mem::replace(&mut writer.tail, Arc::clone(&tail));
        tail.index.write().make_room_like(&old.index.read());
        (writer.end, writer.link, writer.number) = (FILE_HEADER_BYTES as u64, link, 0);
        writer.broken = false;
        let mut parts = self.view.read().parts.clone();
        if rows == 0 {
            parts.pop();
        }
        parts.push(PartRef::Tail(tail));
        *self.view.write() = Arc::new(View { parts });
        if rows > 0 {
            let job = Job {
                tail: old,
                heads: self.heads.read().clone(),
            };
            if let Some(jobs) = &writer.jobs {
                // A full queue waits here: what is not sealed is bounded.
                drop(jobs.send(job));
            } else {
                self.seal_noting(&job);
                self.merge_noting();
            }
        }
        Ok(())
    }

    /// All parts as they are now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }
}
