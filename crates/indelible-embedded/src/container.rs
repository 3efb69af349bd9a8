//! A derived file: sections of bytes, a directory of them at the end, everything under a checksum.
//!
//! Written once, front to back, and never changed. Small sections are read whole and checked by
//! their own checksum; large ones are read in pages that carry one each. Layout:
//! `spec/segment.md` §4.

use std::ops::Range;
use std::sync::Arc;

use indelible_disk::{Disk, DiskFile, Open};
use indelible_store::{Error, Result};

use crate::bytes::Reader;
use crate::failure::{corrupt_derived, from_disk};

const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 12;
const TRAILER_BYTES: usize = 24;
const SECTION_BYTES: usize = 24;
const TRAILER_MAGIC: [u8; 8] = *b"indl-end";
const BUFFER_BYTES: usize = 1 << 18;

/// Length and checksum of a whole file, as the manifest keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// Writes a file front to back and knows its checksum.
pub(crate) struct Stream {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    crc: u32,
}

impl Stream {
    /// Makes the file.
    ///
    /// # Errors
    /// When it is there already or cannot be made.
    pub(crate) fn create(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = disk.open(path, Open::New).map_err(from_disk)?;
        Ok(Self {
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            written: 0,
            crc: 0,
        })
    }

    /// Bytes put so far.
    pub(crate) fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.file
            .write_at(&self.buffer, self.written)
            .map_err(from_disk)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and syncs.
    pub(crate) fn finish(mut self) -> Result<FileFacts> {
        self.flush()?;
        self.file.sync_data().map_err(from_disk)?;
        Ok(FileFacts {
            bytes: self.written,
            crc: self.crc,
        })
    }
}

/// Writes a derived file section by section.
pub(crate) struct Writer {
    stream: Stream,
    directory: Vec<u8>,
    section: Option<(u32, u64)>,
    crc: u32,
}

impl Writer {
    /// Makes the file; `magic` says what kind it is.
    pub(crate) fn create(disk: &dyn Disk, path: &str, magic: [u8; 8]) -> Result<Self> {
        let mut stream = Stream::create(disk, path)?;
        stream.put(&magic)?;
        stream.put(&VERSION.to_le_bytes())?;
        Ok(Self {
            stream,
            directory: Vec::new(),
            section: None,
            crc: 0,
        })
    }

    /// Starts a section, ending the one before.
    pub(crate) fn begin(&mut self, kind: u32) {
        self.end();
        self.section = Some((kind, self.stream.at()));
        self.crc = 0;
    }

    fn end(&mut self) {
        if let Some((kind, from)) = self.section.take() {
            self.directory.extend_from_slice(&kind.to_le_bytes());
            self.directory.extend_from_slice(&from.to_le_bytes());
            self.directory
                .extend_from_slice(&(self.stream.at() - from).to_le_bytes());
            self.directory.extend_from_slice(&self.crc.to_le_bytes());
        }
    }

    /// Where in the file the next byte goes.
    pub(crate) fn at(&self) -> u64 {
        self.stream.at()
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.stream.put(bytes)
    }

    /// A section put in one go.
    pub(crate) fn section(&mut self, kind: u32, bytes: &[u8]) -> Result<()> {
        self.begin(kind);
        self.put(bytes)
    }

    /// Ends the file with its directory and syncs it.
    pub(crate) fn finish(mut self) -> Result<FileFacts> {
        self.end();
        let at = self.stream.at();
        let length = crate::bytes::to_u32(self.directory.len());
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(&at.to_le_bytes());
        trailer.extend_from_slice(&length.to_le_bytes());
        trailer.extend_from_slice(&crc32c::crc32c(&self.directory).to_le_bytes());
        trailer.extend_from_slice(&TRAILER_MAGIC);
        self.stream.put(&self.directory)?;
        self.stream.put(&trailer)?;
        self.stream.finish()
    }
}

/// A derived file, open for reading.
pub(crate) struct Container {
    file: Arc<dyn DiskFile>,
    path: String,
    bytes: u64,
    sections: Vec<(u32, Range<u64>, u32)>,
}

impl Container {
    /// Opens the file and reads its directory.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when it is not such a file.
    pub(crate) fn open(disk: &dyn Disk, path: &str, magic: [u8; 8]) -> Result<Self> {
        let file: Arc<dyn DiskFile> = disk.open(path, Open::Read).map_err(from_disk)?.into();
        let length = file.len().map_err(from_disk)?;
        let mut opened = Self {
            file,
            path: path.to_owned(),
            bytes: length,
            sections: Vec::new(),
        };
        let head = opened.read(0..HEADER_BYTES)?;
        if head.get(..8) != Some(&magic) || head.get(8..) != Some(&VERSION.to_le_bytes()) {
            return Err(opened.corrupt("begins like no such file"));
        }
        let from = length.saturating_sub(TRAILER_BYTES as u64);
        let trailer = opened.read(from..length)?;
        let directory = directory_at(&trailer, from);
        let Some((range, crc)) = directory else {
            return Err(opened.corrupt("ends like no such file"));
        };
        let bytes = opened.read(range)?;
        if crc32c::crc32c(&bytes) != crc {
            return Err(opened.corrupt("has a damaged directory"));
        }
        let mut reader = Reader::new(&bytes);
        while let (Some(kind), Some(at), Some(count), Some(crc)) =
            (reader.u32(), reader.u64(), reader.u64(), reader.u32())
        {
            opened
                .sections
                .push((kind, at..at.saturating_add(count), crc));
        }
        Ok(opened)
    }

    /// An error that names the file.
    pub(crate) fn corrupt(&self, what: &str) -> Error {
        corrupt_derived(&self.path, what)
    }

    /// Reads some bytes of the file, unchecked.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        if range.end > self.bytes {
            return Err(self.corrupt("is too short"));
        }
        let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut bytes = vec![0; count];
        self.file
            .read_exact_at(&mut bytes, range.start)
            .map_err(|e| {
                if e.kind() == indelible_disk::DiskErrorKind::Short {
                    self.corrupt("is too short")
                } else {
                    from_disk(e)
                }
            })?;
        Ok(bytes)
    }

    /// Where a section is.
    pub(crate) fn place(&self, kind: u32) -> Option<Range<u64>> {
        let section = self.sections.iter().find(|(k, ..)| *k == kind);
        section.map(|(_, range, _)| range.clone())
    }

    /// Reads a whole section and checks it; empty when there is none of that kind.
    pub(crate) fn section(&self, kind: u32) -> Result<Vec<u8>> {
        let Some((_, range, crc)) = self.sections.iter().find(|(k, ..)| *k == kind) else {
            return Ok(Vec::new());
        };
        let bytes = self.read(range.clone())?;
        if crc32c::crc32c(&bytes) == *crc {
            Ok(bytes)
        } else {
            Err(self.corrupt(&format!("has a damaged section {kind}")))
        }
    }

    /// A page that ends in its checksum, without the checksum.
    pub(crate) fn page(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = self.read(range)?;
        let at = bytes.len().saturating_sub(4);
        let crc = bytes.split_off(at);
        if crc == crc32c::crc32c(&bytes).to_le_bytes() {
            Ok(bytes)
        } else {
            Err(self.corrupt("has a damaged page"))
        }
    }
}

/// Where the trailer says the directory is, and its checksum.
fn directory_at(trailer: &[u8], end: u64) -> Option<(Range<u64>, u32)> {
    let mut reader = Reader::new(trailer);
    let (at, count, crc) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let range = at..at.checked_add(u64::from(count))?;
    let whole = reader.array() == Some(TRAILER_MAGIC)
        && range.end == end
        && (count as usize).is_multiple_of(SECTION_BYTES);
    whole.then_some((range, crc))
}

/// Appends the checksum that [`Container::page`] looks for.
pub(crate) fn end_page(page: &mut Vec<u8>) {
    let crc = crc32c::crc32c(page);
    page.extend_from_slice(&crc.to_le_bytes());
}

/// Reads a whole file in pieces for its facts.
pub(crate) fn facts_of(disk: &dyn Disk, path: &str, limit: Option<u64>) -> Result<FileFacts> {
    let file = disk.open(path, Open::Read).map_err(from_disk)?;
    let length = file
        .len()
        .map_err(from_disk)?
        .min(limit.unwrap_or(u64::MAX));
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut at, mut crc) = (0, 0);
    while at < length {
        let want = usize::try_from(length - at)
            .unwrap_or(BUFFER_BYTES)
            .min(BUFFER_BYTES);
        let part = buffer.get_mut(..want).unwrap_or_default();
        let count = file.read_at(part, at).map_err(from_disk)?;
        if count == 0 {
            break;
        }
        crc = crc32c::crc32c_append(crc, part.get(..count).unwrap_or_default());
        at += count as u64;
    }
    Ok(FileFacts { bytes: at, crc })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;

    const MAGIC: [u8; 8] = *b"indl-tst";

    /// A file of ten bytes that is never asked for more.
    pub(crate) struct Ten;

    impl DiskFile for Ten {
        fn read_at(&self, _: &mut [u8], _: u64) -> indelible_disk::Result<usize> {
            unreachable!("it is read exactly")
        }
        fn read_exact_at(&self, into: &mut [u8], at: u64) -> indelible_disk::Result<()> {
            assert!(
                at.saturating_add(into.len() as u64) <= 10,
                "{} bytes",
                into.len()
            );
            Ok(())
        }
        fn write_at(&self, _: &[u8], _: u64) -> indelible_disk::Result<()> {
            unreachable!("it is read")
        }
        fn sync_data(&self) -> indelible_disk::Result<()> {
            unreachable!("it is read")
        }
        fn len(&self) -> indelible_disk::Result<u64> {
            Ok(10)
        }
        fn set_len(&self, _: u64) -> indelible_disk::Result<()> {
            unreachable!("it is read")
        }
    }

    #[test]
    fn no_room_is_made_for_more_than_the_file_has() {
        let file = Container {
            file: Arc::new(Ten),
            path: "f".to_owned(),
            bytes: 10,
            sections: Vec::new(),
        };
        assert_eq!(file.read(3..10).unwrap().len(), 7);
        for range in [3..11, 0..1 << 32, 9..u64::MAX, u64::MAX - 1..u64::MAX] {
            assert!(file.read(range).is_err());
        }
    }

    #[test]
    fn sections_come_back_and_every_flipped_bit_is_noticed() {
        let disk = FaultyDisk::new(0);
        let mut writer = Writer::create(&disk, "f", MAGIC).unwrap();
        writer.section(7, b"seven").unwrap();
        let mut page = b"nine".to_vec();
        end_page(&mut page);
        writer.section(9, &page).unwrap();
        let facts = writer.finish().unwrap();
        assert_eq!(facts_of(&disk, "f", None).unwrap(), facts);
        let whole = |disk: &FaultyDisk| -> Result<bool> {
            let file = Container::open(disk, "f", MAGIC)?;
            let sections = file.section(7)? == b"seven" && file.section(1)?.is_empty();
            let (_, page, _) = file.sections.get(1).unwrap();
            Ok(sections && file.page(page.clone())? == b"nine")
        };
        assert!(whole(&disk).unwrap());
        assert!(Container::open(&disk, "f", *b"indl-oth").is_err());
        for at in 0..facts.bytes {
            disk.damage("f", at, |byte| *byte ^= 0x20).unwrap();
            assert_ne!(facts_of(&disk, "f", None).unwrap(), facts);
            assert!(!whole(&disk).unwrap_or(false), "byte {at}");
            disk.damage("f", at, |byte| *byte ^= 0x20).unwrap();
        }
        assert!(whole(&disk).unwrap());
    }
}
