//! One file of a spool: its names, its key, its frames.
//!
//! A frame is the length of its cipher text, four bytes little-endian, and the cipher text:
//! AES-256-SIV (RFC 5297) under the file's key, with the file's number and the frame's as
//! associated data, so that frames cannot be moved or exchanged. Source: `spec/spool.md` §2.

use std::collections::BTreeSet;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_disk::{Disk, DiskErrorKind, DiskFile, Open};
use zeroize::Zeroizing;

use super::{Random, SpoolError};

/// What a file begins with.
pub(super) const MAGIC: &[u8; 8] = b"INDSPOL1";
pub(super) const MAGIC_BYTES: u64 = MAGIC.len() as u64;
pub(super) const KEY_BYTES: usize = 64;
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// The longest frame that is read; none as long is written.
const FRAME_BYTES_MAX: u64 = 16 << 20;
/// The least that a file system or a disk writes at once.
const BLOCK_BYTES: u64 = 512;
/// What is said of a file whose end is not that of an item.
pub(super) const CUT: &str = "its end is cut off";
const CHANGED: &str = "an item is not what was written";
const ENDING: &str = ".spool";
const KEY_ENDING: &str = ".key";
/// What the name of a file that was put aside ends with.
const DAMAGED_ENDING: &str = ".spool.damaged";

/// Where a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: String,
    pub(super) number: u64,
}

/// What a file is to whoever would read it.
pub(super) enum Opening {
    /// It can be read.
    Readable(Box<dyn DiskFile>, Box<Key>),
    /// Its removal has begun, or nothing of it is there: all of it is done.
    Done,
    /// It holds something, and its key is not there.
    Keyless,
}

/// The key of a file, ready for use.
pub(super) struct Key {
    cipher: Aes256Siv,
    number: u64,
}

impl Place {
    pub(super) fn path(&self) -> String {
        format!("{}/{:016}{ENDING}", self.directory, self.number)
    }

    pub(super) fn key_path(&self) -> String {
        format!("{}/{:016}{KEY_ENDING}", self.directory, self.number)
    }

    /// The files of a directory, oldest first, those included of which only the key is there. One
    /// that was put aside is not among them: its key stays for whoever would mend it.
    pub(super) fn list(disk: &dyn Disk, directory: &str) -> Result<Vec<Self>, SpoolError> {
        let names = disk.list(directory)?;
        let aside: BTreeSet<u64> = numbers(&names, &[DAMAGED_ENDING]).collect();
        let mut there: BTreeSet<u64> = numbers(&names, &[ENDING, KEY_ENDING]).collect();
        there.retain(|number| !aside.contains(number));
        let place = |number| Self {
            directory: directory.to_owned(),
            number,
        };
        Ok(there.into_iter().map(place).collect())
    }

    /// The number that no file of a directory has had that is there, under whatever name.
    pub(super) fn next_number(disk: &dyn Disk, directory: &str) -> Result<u64, SpoolError> {
        let names = disk.list(directory)?;
        let last = numbers(&names, &[ENDING, KEY_ENDING, DAMAGED_ENDING]).max();
        Ok(last.map_or(0, |last| last + 1))
    }

    /// Makes the file with a key of its own.
    pub(super) fn create(
        &self,
        disk: &dyn Disk,
        random: &Random,
    ) -> Result<(Box<dyn DiskFile>, Key), SpoolError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(&mut *bytes);
        let key = disk.open(&self.key_path(), Open::New)?;
        key.write_at(&*bytes, 0)?;
        key.sync_data()?;
        let file = disk.open(&self.path(), Open::New)?;
        file.write_at(MAGIC, 0)?;
        // The frames are synced with the head; if we die here, an empty file is left.
        disk.sync_dir(&self.directory)?;
        Ok((file, Key::new(&bytes, self.number)))
    }

    /// Opens the file for reading.
    pub(super) fn open(&self, disk: &dyn Disk) -> Result<Opening, SpoolError> {
        let file = match disk.open(&self.path(), Open::Read) {
            Err(error) if error.kind() == DiskErrorKind::NotFound => return Ok(Opening::Done),
            open => open?,
        };
        let bytes = match disk.read(&self.key_path()) {
            Err(error) if error.kind() == DiskErrorKind::NotFound => Zeroizing::default(),
            read => Zeroizing::new(read?),
        };
        let length = file.len()?;
        let Ok(bytes) = <&[u8; KEY_BYTES]>::try_from(bytes.as_slice()) else {
            // One that is shorter has nothing, and so has one of which only the length is there:
            // its maker died before the first frame was durable, and its key with it.
            let nothing = length <= MAGIC_BYTES || only_zeros(file.as_ref(), 0, length)?;
            return match bytes.len() {
                _ if nothing => Ok(Opening::Done),
                0 => Ok(Opening::Keyless),
                _ => Err(self.damaged(disk, "its key has another length")),
            };
        };
        // It was overwritten.
        if bytes == &[0; KEY_BYTES] {
            return Ok(Opening::Done);
        }
        if length >= MAGIC_BYTES {
            let mut magic = [0; MAGIC.len()];
            file.read_exact_at(&mut magic, 0)?;
            if magic == [0; MAGIC.len()] {
                // The length reached the disk and no byte did.
                return Ok(Opening::Done);
            }
            if &magic != MAGIC {
                return Err(self.damaged(disk, "it does not begin as one"));
            }
        } else if !only_zeros(file.as_ref(), 0, length)? {
            return Err(self.damaged(disk, CUT));
        }
        let key = Box::new(Key::new(bytes, self.number));
        Ok(Opening::Readable(file, key))
    }

    /// Removes the file: its key is overwritten first, and gone last, so that whatever has lost its
    /// key was not done.
    pub(super) fn remove(&self, disk: &dyn Disk) -> Result<(), SpoolError> {
        if let Ok(key) = disk.open(&self.key_path(), Open::Write) {
            key.write_at(&[0; KEY_BYTES], 0)?;
            key.sync_data()?;
        }
        Self::remove_name(disk, &self.path())?;
        disk.sync_dir(&self.directory)?;
        Self::remove_name(disk, &self.key_path())
    }

    fn remove_name(disk: &dyn Disk, path: &str) -> Result<(), SpoolError> {
        match disk.remove(path) {
            Err(error) if error.kind() != DiskErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts a file aside that cannot be read to its end, under a name that is no longer the
    /// spool's.
    pub(super) fn set_aside(&self, disk: &dyn Disk) -> Result<(), SpoolError> {
        let (directory, number) = (&self.directory, self.number);
        let aside = format!("{directory}/{number:016}{DAMAGED_ENDING}");
        match disk.rename(&self.path(), &aside) {
            // Somebody took it away.
            Err(error) if error.kind() == DiskErrorKind::NotFound => Ok(()),
            renamed => Ok(renamed.and_then(|()| disk.sync_dir(&self.directory))?),
        }
    }

    /// The paths of the files of a directory that were put aside.
    pub(super) fn list_damaged(
        disk: &dyn Disk,
        directory: &str,
    ) -> Result<Vec<String>, SpoolError> {
        let names = disk.list(directory)?.into_iter();
        let aside = names.filter(|name| name.ends_with(DAMAGED_ENDING));
        Ok(aside.map(|name| format!("{directory}/{name}")).collect())
    }

    pub(super) fn damaged(&self, disk: &dyn Disk, what: &'static str) -> SpoolError {
        SpoolError::Damaged {
            path: disk.locate(&self.path()),
            what,
        }
    }
}

/// The numbers of the names that end in one of these ways.
fn numbers<'a>(names: &'a [String], endings: &'a [&str]) -> impl Iterator<Item = u64> + 'a {
    let number = |name: &String| {
        let number = endings.iter().find_map(|it| name.strip_suffix(it))?;
        number.parse().ok()
    };
    names.iter().filter_map(number)
}

impl Key {
    pub(super) fn new(bytes: &[u8; KEY_BYTES], number: u64) -> Self {
        Self {
            cipher: Aes256Siv::new(bytes.into()),
            number,
        }
    }

    /// Appends an item's frame to `out`.
    pub(super) fn seal(
        &mut self,
        frame: u64,
        item: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SpoolError> {
        let too_long = || SpoolError::TooLong(item.len());
        if (item.len() + TAG_BYTES) as u64 > FRAME_BYTES_MAX {
            return Err(too_long());
        }
        let names = [&self.number.to_be_bytes()[..], &frame.to_be_bytes()[..]];
        let sealed = self.cipher.encrypt(names, item).map_err(|_| too_long())?;
        let length = u32::try_from(sealed.len()).map_err(|_| too_long())?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&sealed);
        Ok(())
    }

    fn unseal(&mut self, frame: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        let names = [&self.number.to_be_bytes()[..], &frame.to_be_bytes()[..]];
        self.cipher.decrypt(names, sealed).ok()
    }
}

/// What stands at a place of a file.
#[derive(Debug)]
pub(super) enum Frame {
    /// An item, and where the next frame begins.
    Item(Vec<u8>, u64),
    /// Nothing more, up to the length.
    End,
    /// A frame that was being written when its process or its machine died, or that was given up:
    /// it was never said to be durable.
    Torn,
    /// Bytes that were not written so, and that no crash leaves.
    Damaged(&'static str),
}

/// Reads the frame that begins at `at`, of a file that counts up to `length`.
pub(super) fn read_frame(
    file: &dyn DiskFile,
    key: &mut Key,
    (frame, at): (u64, u64),
    length: u64,
) -> Result<Frame, SpoolError> {
    if at >= length {
        return Ok(Frame::End);
    }
    let begin = at + LENGTH_BYTES as u64;
    if begin > length {
        return Ok(cut(length));
    }
    let mut bytes = [0; LENGTH_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    let long = u64::from(u32::from_le_bytes(bytes));
    if long > FRAME_BYTES_MAX {
        return Ok(Frame::Damaged(CHANGED));
    }
    let end = begin + long;
    if end > length {
        return Ok(cut(length));
    }
    let mut sealed = vec![0; usize::try_from(long).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut sealed, begin)?;
    Ok(match key.unseal(frame, &sealed) {
        Some(item) => Frame::Item(item, end),
        // Blocks reach the disk in any order, those of the last frame too.
        None if has_hole(file, at, end)? && only_zeros(file, end, length)? => Frame::Torn,
        None => Frame::Damaged(CHANGED),
    })
}

/// What a frame is of which the end is not there. Who is killed in a write leaves whole pages of
/// it, and who loses power whole blocks; any other length came about later.
fn cut(length: u64) -> Frame {
    if length.is_multiple_of(BLOCK_BYTES) {
        Frame::Torn
    } else {
        Frame::Damaged(CUT)
    }
}

/// Whether a block, as far as it lies between two places, has nothing but zeros: its length reached
/// the disk, and its bytes did not.
fn has_hole(file: &dyn DiskFile, from: u64, to: u64) -> Result<bool, SpoolError> {
    let mut at = from;
    while at < to {
        let next = to.min(at - at % BLOCK_BYTES + BLOCK_BYTES);
        if only_zeros(file, at, next)? {
            return Ok(true);
        }
        at = next;
    }
    Ok(false)
}

/// Whether a file has nothing but zeros from one place to another: what a file system shows where a
/// length reached the disk and the bytes did not.
fn only_zeros(file: &dyn DiskFile, from: u64, to: u64) -> Result<bool, SpoolError> {
    let mut at = from;
    let mut block = [0; 4_096];
    while at < to {
        let count = usize::try_from(to - at).map_or(block.len(), |left| left.min(block.len()));
        file.read_exact_at(&mut block[..count], at)?;
        if block[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}
