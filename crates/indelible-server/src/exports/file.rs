//! The file of an export: chunks, each encrypted under the file's own key with its number and
//! whether it is the last, so that none can be moved, dropped or cut off, and any is read alone.
//!
//! The key stands in the job's own file and nowhere else: it goes with it.
//! Source: `docs/export.md`.

use std::io::{self, ErrorKind, Write};

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_disk::{Disk, DiskError, DiskErrorKind, DiskFile, Open};
use indelible_store::{Error, Kind, Result};

/// Bytes of every chunk but the last.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// What encryption adds to each.
const TAG_BYTES: usize = 16;
const SEALED_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;

/// A key of ours.
pub(super) type Key = [u8; 64];

/// How many bytes a file may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// As many as each.
    Own(u64),
    /// As many as are left of what all may have.
    Left(u64),
}

impl Room {
    fn bytes(self) -> u64 {
        match self {
            Self::Own(bytes) | Self::Left(bytes) => bytes,
        }
    }
}

/// A file being written.
pub(super) struct Sink {
    file: Box<dyn DiskFile>,
    cipher: Aes256Siv,
    /// The chunk that fills; the last one is known only at the end.
    chunk: Vec<u8>,
    chunks: u64,
    bytes: u64,
    room: Room,
}

impl Sink {
    /// A new file of at most so many bytes.
    pub(super) fn create(disk: &dyn Disk, path: &str, key: &Key, room: Room) -> Result<Self> {
        Ok(Self {
            file: disk.open(path, Open::New).map_err(failed)?,
            cipher: Aes256Siv::new(&(*key).into()),
            chunk: Vec::with_capacity(CHUNK_BYTES),
            chunks: 0,
            bytes: 0,
            room,
        })
    }

    /// Bytes that were written into it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends it; gives its length.
    ///
    /// # Durability
    /// Its bytes are durable when it returns.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.put(true)?;
        self.file.sync_data().map_err(of_disk)?;
        Ok(self.bytes)
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.cipher.encrypt([name(self.chunks, last)], &self.chunk);
        let sealed = sealed.map_err(|_| io::Error::other("encryption refused an export"))?;
        let at = self.chunks * SEALED_BYTES;
        self.file.write_at(&sealed, at).map_err(of_disk)?;
        self.chunks += 1;
        self.chunk.clear();
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            self.put(false)?;
        }
        let room = (CHUNK_BYTES - self.chunk.len()).min(bytes.len());
        if self.bytes + room as u64 > self.room.bytes() {
            let text = match self.room {
                Room::Own(max) => format!("it would have more than {max} bytes: ask for less"),
                Room::Left(_) => "exports take all the room that there is for you now: ask for \
                                  less, delete some of yours, or ask again later"
                    .to_owned(),
            };
            return Err(io::Error::new(ErrorKind::FileTooLarge, text));
        }
        self.chunk
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.bytes += room as u64;
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is there.
pub(super) struct Source {
    file: Box<dyn DiskFile>,
    key: Key,
    bytes: u64,
}

impl Source {
    pub(super) fn open(disk: &dyn Disk, path: &str, key: &Key, bytes: u64) -> Result<Self> {
        Ok(Self {
            file: disk.open(path, Open::Read).map_err(failed)?,
            key: *key,
            bytes,
        })
    }

    /// How many chunks it has, at least one.
    fn chunks(&self) -> u64 {
        self.bytes.div_ceil(CHUNK_BYTES as u64).max(1)
    }

    /// The bytes of a chunk, from 0.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when it is not what was written there.
    pub(super) fn chunk(&self, number: u64) -> Result<Vec<u8>> {
        let damaged = || Error::new(Kind::Corrupt, "the file of an export is damaged");
        let left = self.bytes.saturating_sub(number * CHUNK_BYTES as u64);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let mut sealed = vec![0; length + TAG_BYTES];
        let read = self.file.read_exact_at(&mut sealed, number * SEALED_BYTES);
        read.map_err(|error| match error.kind() {
            DiskErrorKind::Short => damaged(),
            _ => failed(error),
        })?;
        let last = number + 1 == self.chunks();
        let mut cipher = Aes256Siv::new(&self.key.into());
        let opened = cipher.decrypt([name(number, last)], &sealed);
        opened.map_err(|_| damaged())
    }
}

fn name(number: u64, last: bool) -> [u8; 9] {
    let mut name = [0; 9];
    let (digits, flag) = name.split_at_mut(8);
    digits.copy_from_slice(&number.to_be_bytes());
    flag.fill(u8::from(last));
    name
}

fn of_disk(error: DiskError) -> io::Error {
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => ErrorKind::StorageFull,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The role's error for a failed disk operation.
pub(super) fn failed(error: DiskError) -> Error {
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => Kind::NoSpace,
        DiskErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Unavailable,
    };
    Error::new(kind, "the disk failed an export").caused_by(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_disk::FaultyDisk;

    use super::*;

    const KEY: Key = [7; 64];

    fn written(disk: &FaultyDisk, bytes: &[u8]) {
        let mut sink = Sink::create(disk, "x", &KEY, Room::Own(u64::MAX)).unwrap();
        sink.write_all(bytes).unwrap();
        assert_eq!(sink.finish().unwrap(), bytes.len() as u64);
    }

    #[test]
    fn any_length_is_read_back_chunk_by_chunk_and_nothing_stands_in_clear() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES,
        ] {
            let disk = FaultyDisk::new(1);
            let bytes: Vec<u8> = (0..length).map(|n| b"secret-"[n % 7]).collect();
            written(&disk, &bytes);
            let source = Source::open(&disk, "x", &KEY, length as u64).unwrap();
            let chunks = (0..source.chunks()).flat_map(|n| source.chunk(n).unwrap());
            assert_eq!(chunks.collect::<Vec<_>>(), bytes);
            let stored = disk.read("x").unwrap();
            assert!(!stored.windows(7).any(|part| part == b"secret-"));
        }
    }

    #[test]
    fn what_was_changed_moved_or_cut_is_not_given() {
        let disk = FaultyDisk::new(1);
        written(&disk, &vec![1; 3 * CHUNK_BYTES]);
        let bytes = 3 * CHUNK_BYTES as u64;
        let other = Source::open(&disk, "x", &[8; 64], bytes).unwrap();
        assert_eq!(other.chunk(0).unwrap_err().kind(), Kind::Corrupt);
        let shorter = Source::open(&disk, "x", &KEY, bytes - CHUNK_BYTES as u64).unwrap();
        assert!(shorter.chunk(1).is_err(), "the second was not the last");
        let mut stored = disk.read("x").unwrap();
        let (first, rest) = stored.split_at_mut(usize::try_from(SEALED_BYTES).unwrap());
        first.swap_with_slice(&mut rest[..first.len()]);
        disk.replace("x", &stored).unwrap();
        let moved = Source::open(&disk, "x", &KEY, bytes).unwrap();
        assert!(moved.chunk(0).is_err() && moved.chunk(1).is_err());
        assert!(moved.chunk(2).is_ok() && moved.chunk(3).is_err());
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let disk = FaultyDisk::new(1);
        let mut sink = Sink::create(&disk, "x", &KEY, Room::Own(10)).unwrap();
        sink.write_all(b"0123456789").unwrap();
        let refused = sink.write_all(b"0").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
    }
}
