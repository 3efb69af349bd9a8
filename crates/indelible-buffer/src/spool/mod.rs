//! A bounded, encrypted queue on disk, which survives the process that filled it.
//!
//! One thread appends, one reads; several processes share a directory, each in a slot of its own,
//! which a lock shows to be alive. What a dead process left in its slot is taken over by whoever
//! comes next. Items leave in the order in which they came, oldest file first.
//!
//! At least once, never less: a file is removed when all of its items are done, so after a crash
//! those of the files that are left come again. Not here: what an item is. Invariants: an item is
//! readable only after it is durable; bytes that were written once are never written again; the key
//! of a file dies with it. Source: `spec/spool.md`.

mod file;
mod letters;
mod reader;
mod shelf;
mod slot;
mod writer;

pub use letters::Letters;
pub use reader::SpoolReader;
pub use writer::{HeldBack, SpoolWriter};

use std::sync::Arc;

use indelible_disk::{Disk, DiskError, DiskErrorKind};

use self::file::Place;
use self::shelf::Shelf;
use self::slot::{SLOTS_MAX, Slot};

/// What an item takes in a file beside its bytes.
const FRAME_BYTES: usize = 20;

/// How much a spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolBounds {
    /// Bytes of all files, those that were taken over included.
    pub bytes_max: u64,
    /// Bytes of a file, after which another is begun; one item may be longer.
    pub file_bytes_max: u64,
}

/// Why something is not in the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The bound is reached.
    #[error("{bytes} bytes are held in {path}, and there is no room for what is to be added")]
    Full {
        /// The directory.
        path: String,
        /// What is in it.
        bytes: u64,
    },
    /// So many processes share the directory that there is no slot for this one.
    #[error("{SLOTS_MAX} processes share {0}, and no more can")]
    Crowded(String),
    /// The disk did not take it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What is there is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What does not fit.
        what: &'static str,
    },
    /// It could not be encrypted, which does not happen below the limits of the cipher.
    #[error("an item of {0} bytes cannot be encrypted")]
    TooLong(usize),
}

/// A spool that was opened.
#[derive(Debug)]
pub struct Spool {
    /// For the thread that appends.
    pub writer: SpoolWriter,
    /// For the thread that delivers.
    pub reader: SpoolReader,
    /// The name that every process which has this slot has, and no other at the same time.
    pub name: String,
    /// The run of that name, greater than all before it.
    pub epoch: u64,
    /// Files that could not be read when their turn came, of all slots, and epochs of slots that
    /// are therefore passed over: they stay until somebody removes them.
    pub damaged: Vec<String>,
}

impl Default for SpoolBounds {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            file_bytes_max: 4 << 20,
        }
    }
}

impl SpoolError {
    /// Whether there may be room again.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk(error) => error.kind() == DiskErrorKind::NoSpace,
            Self::Crowded(_) | Self::Damaged { .. } | Self::TooLong(_) => false,
        }
    }
}

/// Fills bytes with random ones of cryptographic quality.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

impl Spool {
    /// Opens the spool of a directory: takes a free slot, and over what is left in others. Its
    /// epoch is `now_ms`, milliseconds since 1970, or one more than the last.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the directory cannot be made, read or written.
    ///
    /// # Durability
    /// The epoch is durable when it returns.
    pub fn open(
        disk: Arc<dyn Disk>,
        bounds: SpoolBounds,
        now_ms: u64,
        random: Random,
    ) -> Result<Self, SpoolError> {
        let mut damaged = Vec::new();
        let slot = Slot::take(disk.as_ref(), &random, &mut damaged)?;
        let epoch = slot.begin_epoch(disk.as_ref(), now_ms)?;
        let name = slot.name().to_owned();
        let shelf = Arc::new(Shelf::new(bounds));
        let own = (name.clone(), epoch);
        let mut reader =
            SpoolReader::new(Arc::clone(&disk), Arc::clone(&shelf), slot.number(), own);
        let next = Place::next_number(disk.as_ref(), slot.directory())?;
        shelf.take_over(disk.as_ref(), slot.directory())?;
        reader.look_for_orphans(now_ms);
        for number in slot::numbers(disk.as_ref())? {
            let aside = Place::list_damaged(disk.as_ref(), &number.to_string())?;
            damaged.extend(aside.iter().map(|path| disk.locate(path)));
        }
        Ok(Self {
            writer: SpoolWriter::new(disk, shelf, slot, (next, random)),
            reader,
            name,
            epoch,
            damaged,
        })
    }
}
