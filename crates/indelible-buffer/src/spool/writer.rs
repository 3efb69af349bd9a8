//! The end of a spool that appends.

use std::sync::Arc;

use indelible_disk::{Disk, DiskFile, Open};

use super::file::{Key, MAGIC, Place};
use super::shelf::Shelf;
use super::slot::Slot;
use super::{FRAME_BYTES, Random, SpoolError};

/// The name of the file that takes room for a while.
const ROOM: &str = "room";

/// Appends to a spool; holds the slot.
pub struct SpoolWriter {
    disk: Arc<dyn Disk>,
    shelf: Arc<Shelf>,
    slot: Slot,
    random: Random,
    next: u64,
    current: Option<Current>,
}

struct Current {
    place: Place,
    file: Box<dyn DiskFile>,
    key: Key,
    frames: u64,
    length: u64,
}

/// Room of the disk that nothing else gets, until it is dropped.
pub struct HeldBack {
    disk: Arc<dyn Disk>,
    path: String,
}

impl std::fmt::Debug for HeldBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HeldBack").field(&self.path).finish()
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // What stays of it goes when the slot is taken the next time.
        let _ = self.disk.remove(&self.path);
    }
}

impl std::fmt::Debug for SpoolWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolWriter")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl SpoolWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        shelf: Arc<Shelf>,
        slot: Slot,
        (next, random): (u64, Random),
    ) -> Self {
        let writer = Self {
            disk,
            shelf,
            slot,
            random,
            next,
            current: None,
        };
        // Who held it back was killed.
        let _ = writer.disk.remove(&writer.room_path());
        writer
    }

    /// Appends items, all of them or none as far as a reader can tell.
    ///
    /// # Errors
    /// [`SpoolError::is_full`] says whether there may be room later; they are not in the spool:
    /// at most they come out of it after a crash.
    ///
    /// # Durability
    /// The items are durable when it returns.
    pub fn append<'a>(
        &mut self,
        items: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), SpoolError> {
        let items: Vec<_> = items.into_iter().collect();
        if items.is_empty() {
            return Ok(());
        }
        let about = Self::bytes_of(items.iter().copied());
        let place = self.current.as_ref().map(|current| &current.place);
        let Some(own) = self.shelf.append(about, place) else {
            return Err(self.full());
        };
        if !own {
            self.current = None;
        }
        let written = self.write(&items);
        if let Ok(more) = &written {
            let full = |current: &Current| current.length >= self.shelf.bounds.file_bytes_max;
            let last = self.current.as_ref().is_some_and(full);
            self.shelf.appended(*more, last);
            self.current.take_if(|_| last);
        } else {
            self.shelf.appended(0, true);
            self.abandon();
        }
        written.map(|_| ())
    }

    /// Leaves items for whoever has this slot next, in a file of their own that the reader of this
    /// process never sees.
    ///
    /// # Errors
    /// As [`SpoolWriter::append`].
    ///
    /// # Durability
    /// The items are durable when it returns.
    pub fn leave(&mut self, items: &[Vec<u8>]) -> Result<(), SpoolError> {
        if items.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = items.iter().map(Vec::as_slice).collect();
        let about = Self::bytes_of(items.iter().copied());
        if !self.shelf.reserve(about) {
            return Err(self.full());
        }
        let place = self.next_place();
        let written = place
            .create(self.disk.as_ref(), &self.random)
            .and_then(|(file, key)| {
                let mut left = Current::new(place.clone(), file, key);
                left.write(&items).map(|_| ())
            });
        if written.is_err() {
            let _ = place.remove(self.disk.as_ref());
            self.shelf.removed(about);
        }
        written
    }

    /// About how many bytes items take.
    pub fn bytes_of<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> u64 {
        let bytes = |item: &[u8]| (item.len() + FRAME_BYTES) as u64;
        items.into_iter().map(bytes).sum()
    }

    /// Holds back so many bytes of the disk from what is appended, in a file of their own.
    ///
    /// # Errors
    /// [`SpoolError::is_full`] when there is not so much.
    pub fn hold_back(&self, bytes: usize) -> Result<HeldBack, SpoolError> {
        let path = self.room_path();
        let file = self.disk.open(&path, Open::New)?;
        let held = HeldBack {
            disk: Arc::clone(&self.disk),
            path,
        };
        // Zeros may take no room.
        let mut noise = vec![0; bytes];
        (self.random)(&mut noise);
        file.write_at(&noise, 0)?;
        Ok(held)
    }

    fn room_path(&self) -> String {
        format!("{}/{ROOM}", self.slot.directory())
    }

    /// How many bytes more it may hold.
    pub fn room(&self) -> u64 {
        self.shelf.room()
    }

    /// That there is no room for more.
    pub fn full(&self) -> SpoolError {
        SpoolError::Full {
            path: self.disk.locate(""),
            bytes: self.bytes(),
        }
    }

    /// Bytes on disk, of all files.
    pub fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    fn write(&mut self, items: &[&[u8]]) -> Result<u64, SpoolError> {
        if self.current.is_none() {
            self.begin()?;
        }
        let current = self.current.as_mut();
        current.map_or(Ok(0), |current| current.write(items))
    }

    /// The place of another file. Never again, whatever becomes of it: a number names a key.
    fn next_place(&mut self) -> Place {
        self.next += 1;
        Place {
            directory: self.slot.directory().to_owned(),
            number: self.next - 1,
        }
    }

    fn begin(&mut self) -> Result<(), SpoolError> {
        let place = self.next_place();
        match place.create(self.disk.as_ref(), &self.random) {
            Ok((file, key)) => {
                self.shelf.began(place.clone());
                self.current = Some(Current::new(place, file, key));
                Ok(())
            }
            Err(error) => {
                // What there is of it would only take room.
                let _ = place.remove(self.disk.as_ref());
                Err(error)
            }
        }
    }

    /// Leaves a file that failed: it is read up to where it was durable, and cut there if it can
    /// be. One that has nothing would only take room.
    fn abandon(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        if current.frames == 0 {
            let _ = current.place.remove(self.disk.as_ref());
        } else {
            let _ = current.file.set_len(current.length);
        }
    }
}

impl Current {
    fn new(place: Place, file: Box<dyn DiskFile>, key: Key) -> Self {
        Self {
            place,
            file,
            key,
            frames: 0,
            length: MAGIC.len() as u64,
        }
    }

    /// Writes items behind those that are there, durably; how many bytes that took.
    fn write(&mut self, items: &[&[u8]]) -> Result<u64, SpoolError> {
        let mut frames = Vec::new();
        for (frame, item) in (self.frames..).zip(items) {
            self.key.seal(frame, item, &mut frames)?;
        }
        self.file.write_at(&frames, self.length)?;
        self.file.sync_data()?;
        self.length += frames.len() as u64;
        self.frames += items.len() as u64;
        Ok(frames.len() as u64)
    }
}
