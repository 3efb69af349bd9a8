//! Files of items that nobody delivers by himself: each is written whole, and read until somebody
//! removes it.
//!
//! They have the form of a spool's files and lie in one directory, which several processes share
//! without a lock: a file's name is the time, and its key is written last, so that one which is
//! being written cannot be read yet, and one whose process died meanwhile never can. Not here: what
//! an item is. Source: `spec/spool.md` §4.

use std::collections::HashSet;
use std::sync::Arc;

use indelible_disk::{Disk, DiskErrorKind, Open};
use zeroize::Zeroizing;

use super::file::{CUT, Frame, KEY_BYTES, Key, MAGIC, Opening, Place, read_frame};
use super::{FRAME_BYTES, Random, SpoolError};

/// Where the files lie, below the root of the disk.
const DIRECTORY: &str = "dead-letters";
/// What a file counts for at least: it and its key take a block each.
const FILE_BYTES_MIN: u64 = 8 << 10;
/// How old a file is, in microseconds, that somebody died over.
const LEFT_AFTER_US: u64 = 3_600_000_000;

/// Items that were put aside.
pub struct Letters {
    disk: Arc<dyn Disk>,
    bytes_max: u64,
    random: Random,
}

impl std::fmt::Debug for Letters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letters")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Letters {
    /// Those in `dead-letters` below the root of a disk, which may hold so many bytes in all.
    pub fn new(disk: Arc<dyn Disk>, bytes_max: u64, random: Random) -> Self {
        Self {
            disk,
            bytes_max,
            random,
        }
    }

    /// Writes a file of the first letters that have room, each of one item or more, and gives its
    /// number and how many they are; the number is `now_us`, microseconds since 1970, or the next
    /// that is free.
    ///
    /// # Errors
    /// [`SpoolError::is_full`] when there is no room for the first letter; nothing is kept.
    ///
    /// # Durability
    /// The items are durable when it returns.
    pub fn keep(&self, now_us: u64, letters: &[Vec<Vec<u8>>]) -> Result<(u64, usize), SpoolError> {
        let disk = self.disk.as_ref();
        let used = self.bytes()?;
        let mut bytes = used + MAGIC.len() as u64;
        let fits = |letter: &&Vec<Vec<u8>>| {
            let more: usize = letter.iter().map(|item| item.len() + FRAME_BYTES).sum();
            bytes += more as u64;
            bytes.max(used + FILE_BYTES_MIN) <= self.bytes_max
        };
        let kept = letters.iter().take_while(fits).count();
        let items: Vec<_> = letters.iter().take(kept).flatten().collect();
        if items.is_empty() {
            return Err(SpoolError::Full {
                path: disk.locate(DIRECTORY),
                bytes: used,
            });
        }
        disk.create_dir_all(DIRECTORY)?;
        disk.sync_dir("")?;
        let (mut place, mut file) = (Self::place(now_us), None);
        while file.is_none() {
            match disk.open(&place.path(), Open::New) {
                Err(error) if error.kind() == DiskErrorKind::Exists => place.number += 1,
                opened => file = Some(opened?),
            }
        }
        let written = file.map_or(Ok(()), |file| self.write(&place, file.as_ref(), &items));
        if let Err(error) = written {
            // What there is of it would only take room.
            let _ = place.remove(disk);
            return Err(error);
        }
        Ok((place.number, kept))
    }

    /// Makes the directory, and sees whether files can be made in it.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when they cannot.
    pub fn probe(&self) -> Result<(), SpoolError> {
        let disk = self.disk.as_ref();
        disk.create_dir_all(DIRECTORY)?;
        let mut bytes = [0; 8];
        (self.random)(&mut bytes);
        let path = format!("{DIRECTORY}/probe.{:016x}", u64::from_be_bytes(bytes));
        drop(disk.open(&path, Open::New)?);
        Ok(disk.remove(&path)?)
    }

    /// The numbers of the files, oldest first.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the directory cannot be read.
    pub fn files(&self) -> Result<Vec<u64>, SpoolError> {
        let names = self.disk.list(DIRECTORY)?;
        let names: HashSet<_> = names.iter().map(String::as_str).collect();
        let there = |path: &str| path.rsplit('/').next().is_some_and(|it| names.contains(it));
        let mut places = Place::list(self.disk.as_ref(), DIRECTORY)?;
        places.retain(|place| there(&place.path()) && there(&place.key_path()));
        Ok(places.iter().map(|place| place.number).collect())
    }

    /// Calls `visit` with the number and the bytes of each item of a file, until it returns false.
    /// False when the file is not there any more.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when it is not what was written, or not to its end; the items before
    /// that were visited.
    pub fn read(
        &self,
        number: u64,
        visit: &mut dyn FnMut(u64, Vec<u8>) -> bool,
    ) -> Result<bool, SpoolError> {
        let (place, disk) = (Self::place(number), self.disk.as_ref());
        // One without a key is being written, or its writer died.
        let Opening::Readable(file, mut key) = place.open(disk)? else {
            return Ok(false);
        };
        let (length, mut at) = (file.len()?, MAGIC.len() as u64);
        if length <= at {
            return Err(place.damaged(disk, CUT));
        }
        for frame in 0.. {
            match read_frame(file.as_ref(), &mut key, (frame, at), length)? {
                Frame::Item(item, next) => {
                    if !visit(frame, item) {
                        break;
                    }
                    at = next;
                }
                Frame::End => break,
                // It was whole before its key was there.
                Frame::Torn => return Err(place.damaged(disk, CUT)),
                Frame::Damaged(what) => return Err(place.damaged(disk, what)),
            }
        }
        Ok(true)
    }

    /// Removes a file, its key first.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    ///
    /// # Durability
    /// It is gone when it returns.
    pub fn remove(&self, number: u64) -> Result<(), SpoolError> {
        Self::place(number).remove(self.disk.as_ref())?;
        Ok(self.disk.sync_dir(DIRECTORY)?)
    }

    /// Removes what processes left that died over it.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn tidy(&self, now_us: u64) -> Result<(), SpoolError> {
        let disk = self.disk.as_ref();
        let places = Place::list(disk, DIRECTORY)?;
        let old = |place: &&Place| place.number.saturating_add(LEFT_AFTER_US) < now_us;
        for place in places.iter().filter(old) {
            if matches!(place.open(disk), Ok(Opening::Done | Opening::Keyless)) {
                place.remove(disk)?;
            }
        }
        Ok(())
    }

    /// The path of a file, for people.
    pub fn path(&self, number: u64) -> String {
        self.disk.locate(&Self::place(number).path())
    }

    fn place(number: u64) -> Place {
        Place {
            directory: DIRECTORY.to_owned(),
            number,
        }
    }

    /// What all files take, those included that are being written.
    fn bytes(&self) -> Result<u64, SpoolError> {
        let mut bytes = 0;
        for place in Place::list(self.disk.as_ref(), DIRECTORY)? {
            let length = self.disk.len(&place.path())?.unwrap_or(0);
            bytes += length.max(FILE_BYTES_MIN);
        }
        Ok(bytes)
    }

    fn write(
        &self,
        place: &Place,
        file: &dyn indelible_disk::DiskFile,
        items: &[&Vec<u8>],
    ) -> Result<(), SpoolError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        (self.random)(&mut *bytes);
        let mut key = Key::new(&bytes, place.number);
        let mut whole = MAGIC.to_vec();
        for (frame, item) in (0..).zip(items) {
            key.seal(frame, item, &mut whole)?;
        }
        file.write_at(&whole, 0)?;
        file.sync_data()?;
        // If we die before this, nobody can ever read the file.
        let file = self.disk.open(&place.key_path(), Open::New)?;
        file.write_at(&*bytes, 0)?;
        file.sync_data()?;
        Ok(self.disk.sync_dir(DIRECTORY)?)
    }
}
