//! The end of a spool that appends.

use std::sync::Arc;

use indelible_disk::{Disk, DiskFile};

use super::file::{Key, MAGIC, Place};
use super::shelf::Shelf;
use super::slot::Slot;
use super::{Random, SpoolError};

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
        Self {
            disk,
            shelf,
            slot,
            random,
            next,
            current: None,
        }
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
        let about: usize = items.iter().map(|item| item.len() + 20).sum();
        let place = self.current.as_ref().map(|current| &current.place);
        let full = |bytes| SpoolError::Full {
            path: self.disk.locate(""),
            bytes,
        };
        if !self.shelf.append(about as u64, place).map_err(full)? {
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

    /// Bytes on disk, of all files.
    pub fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    fn write(&mut self, items: &[&[u8]]) -> Result<u64, SpoolError> {
        if self.current.is_none() {
            self.begin()?;
        }
        let Some(current) = &mut self.current else {
            return Ok(0);
        };
        let mut frames = Vec::new();
        for (frame, item) in (current.frames..).zip(items) {
            current.key.seal(frame, item, &mut frames)?;
        }
        current.file.write_at(&frames, current.length)?;
        current.file.sync_data()?;
        current.length += frames.len() as u64;
        current.frames += items.len() as u64;
        Ok(frames.len() as u64)
    }

    fn begin(&mut self) -> Result<(), SpoolError> {
        let place = Place {
            directory: self.slot.directory().to_owned(),
            number: self.next,
        };
        // Never again, whatever becomes of it: a number names a key.
        self.next += 1;
        match place.create(self.disk.as_ref(), &self.random) {
            Ok((file, key)) => {
                self.shelf.began(place.clone());
                self.current = Some(Current {
                    place,
                    file,
                    key,
                    frames: 0,
                    length: MAGIC.len() as u64,
                });
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
    /// be.
    fn abandon(&mut self) {
        if let Some(current) = self.current.take() {
            let _ = current.file.set_len(current.length);
        }
    }
}
