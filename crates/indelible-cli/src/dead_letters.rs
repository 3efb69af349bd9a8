//! Dead letters: what an import refused, byte for byte, encrypted, with the reason and the place.
//!
//! One file per run of an import, `dead-letters/<time>-<random>.letters`, under a random key of its
//! own that is wrapped under the master key in the file's head: refused input may hold personal
//! data, and nobody knows whose. Removing the file removes the key with it.
//!
//! Frames name their place, so they cannot be moved. Source: `spec/key-files.md` §2.

use std::collections::HashSet;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_disk::{Disk, DiskFile, Open};
use indelible_event::ids::Micros;
use indelible_log::env::Random;
use indelible_log::keyring::MasterKey;
use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::finding::{Finding, FindingKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::{Failure, OrCould, Result};
use crate::import::Fault;

/// Where the files lie in the data directory.
pub const DIRECTORY: &str = "dead-letters";
const ENDING: &str = ".letters";
const MAGIC: &[u8; 8] = b"INDLETT1";
const WRAPPED_BYTES: usize = 16 + 64;
const PURPOSE: &str = "indelible/dead-letters/v1";
/// The longest frame: an input as it is cut, and what is said of it.
const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is known of one refused input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// When it was refused.
    pub at: String,
    /// The file it came from.
    pub file: String,
    /// What the file was read as.
    pub format: String,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Which input of the file it is, from 1.
    pub number: u64,
    /// The byte it begins at.
    pub offset: u64,
    /// Why it was refused.
    pub reason: String,
    /// Whose log it was meant for.
    pub tenant: String,
}

/// Writes the dead letters of one run.
pub struct Writer {
    file: Box<dyn DiskFile>,
    name: String,
    key: Zeroizing<[u8; 64]>,
    end: u64,
    count: u64,
}

impl Writer {
    /// Starts a file.
    ///
    /// # Errors
    /// [`Failure::Could`] when it cannot be written.
    ///
    /// # Durability
    /// The file with its key is there when it returns; letters are after [`Writer::sync`].
    pub fn create(
        disk: &dyn Disk,
        master: &MasterKey,
        now: Micros,
        random: &dyn Random,
    ) -> Result<Self> {
        let doing = "start a file of dead letters";
        let mut tail = [0; 4];
        random.fill(&mut tail);
        let time: String = now
            .to_rfc3339()
            .chars()
            .take(19)
            .filter(|c| !"-:".contains(*c))
            .collect();
        let name = format!("{time}Z-{:08x}", u32::from_be_bytes(tail));
        let mut key = Zeroizing::new([0; 64]);
        random.fill(&mut *key);
        let wrapped = encrypt(&master.derive(PURPOSE), name.as_bytes(), &*key)?;
        disk.create_dir_all(DIRECTORY).or_could(doing)?;
        let file = disk.open(&path_of(&name), Open::New).or_could(doing)?;
        let head = [MAGIC.as_slice(), &wrapped].concat();
        file.write_at(&head, 0).or_could(doing)?;
        file.sync_data().or_could(doing)?;
        disk.sync_dir(DIRECTORY).or_could(doing)?;
        disk.sync_dir("").or_could(doing)?;
        Ok(Self {
            file,
            name,
            key,
            end: head.len() as u64,
            count: 0,
        })
    }

    /// The file's name, the first half of its letters' ids.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps one refused input.
    ///
    /// # Errors
    /// [`Failure::Could`] when it cannot be written.
    pub fn keep(&mut self, letter: &Letter, input: &[u8]) -> Result {
        let doing = "keep a refused input";
        let json = serde_json::to_vec(letter).or_could(doing)?;
        let length = u32::try_from(json.len()).or_could(doing)?;
        let plain = Zeroizing::new([&length.to_le_bytes(), json.as_slice(), input].concat());
        let sealed = encrypt(&self.key, &frame_name(&self.name, self.count), &plain)?;
        let length = u32::try_from(sealed.len()).or_could(doing)?;
        let frame = [&length.to_le_bytes(), sealed.as_slice()].concat();
        self.file.write_at(&frame, self.end).or_could(doing)?;
        self.end += frame.len() as u64;
        self.count += 1;
        Ok(())
    }

    /// Makes what was kept durable.
    ///
    /// # Errors
    /// [`Failure::Could`].
    pub fn sync(&self) -> Result {
        self.file.sync_data().or_could("keep refused inputs")
    }
}

/// Which inputs are kept, remembered as hashes.
pub struct Kept(HashSet<Hash>);

impl Kept {
    /// What the files hold, but for the file `except`, and for those that are damaged.
    ///
    /// # Errors
    /// [`Failure::Could`] when the directory cannot be read.
    pub fn read(disk: &dyn Disk, master: &MasterKey, except: Option<&str>) -> Result<Self> {
        let mut kept = HashSet::new();
        for name in files(disk)? {
            if except == Some(name.as_str()) {
                continue;
            }
            let mut found = Vec::new();
            let read = read(disk, master, &name, &mut |_, letter, input| {
                found.push(Self::hash(&letter, input));
                true
            });
            if read.is_ok() {
                kept.extend(found);
            }
        }
        Ok(Self(kept))
    }

    /// Takes an input; false when the same one is kept already.
    pub fn take(&mut self, letter: &Letter, input: &[u8]) -> bool {
        self.0.insert(Self::hash(letter, input))
    }

    /// Of tenant, format and bytes; of a part of an input also where it belongs.
    fn hash(letter: &Letter, input: &[u8]) -> Hash {
        let is_part = Fault::of(&letter.reason) == Some(Fault::TooLong);
        let at = if is_part { letter.offset } else { 0 };
        let of = format!("{}\n{}\n{at}\n", letter.tenant, letter.format);
        leaf_hash(&[of.as_bytes(), input].concat())
    }
}

/// Names of the files, oldest first.
///
/// # Errors
/// [`Failure::Could`] when the directory cannot be read.
pub fn files(disk: &dyn Disk) -> Result<Vec<String>> {
    let names = disk.list(DIRECTORY).or_could("list the dead letters")?;
    Ok(names
        .iter()
        .filter_map(|name| name.strip_suffix(ENDING))
        .map(str::to_owned)
        .collect())
}

/// Calls `visit` with the number, what is known and the bytes of each letter of a file, until it
/// returns false. True when the file ends with a whole letter; otherwise the last one was being
/// written when the import was interrupted.
///
/// # Errors
/// [`Failure::Could`] when there is no such file, or it belongs to another master key, or was
/// changed.
pub fn read(
    disk: &dyn Disk,
    master: &MasterKey,
    name: &str,
    visit: &mut dyn FnMut(u64, Letter, &[u8]) -> bool,
) -> Result<bool> {
    let path = path_of(name);
    let damaged = || Failure::Could(format!("{path} was changed, or belongs to other keys"));
    let file = disk
        .open(&path, Open::Read)
        .or_could(format_args!("open {path}"))?;
    let reading = || format!("read {path}");
    let length = file.len().or_could(reading())?;
    let mut head = [0; MAGIC.len() + WRAPPED_BYTES];
    file.read_exact_at(&mut head, 0).or_could(reading())?;
    let (magic, wrapped) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Failure::Could(format!("{path} is no file of dead letters")));
    }
    let key = decrypt(&master.derive(PURPOSE), name.as_bytes(), wrapped).ok_or_else(damaged)?;
    let key: Zeroizing<[u8; 64]> =
        Zeroizing::new(key.as_slice().try_into().map_err(|_| damaged())?);
    let mut at = head.len() as u64;
    for number in 0.. {
        let mut prefix = [0; 4];
        if at + 4 > length {
            return Ok(at == length);
        }
        file.read_exact_at(&mut prefix, at).or_could(reading())?;
        let size = u32::from_le_bytes(prefix) as usize;
        if size > FRAME_BYTES_MAX {
            return Err(damaged());
        }
        if at + 4 + size as u64 > length {
            let mut rest = vec![0; usize::try_from(length - at - 4).or_could(reading())?];
            file.read_exact_at(&mut rest, at + 4).or_could(reading())?;
            let changed = holds_a_frame(&key, &frame_name(name, number), prefix, &rest);
            return if changed { Err(damaged()) } else { Ok(false) };
        }
        let mut sealed = vec![0; size];
        file.read_exact_at(&mut sealed, at + 4)
            .or_could(reading())?;
        let plain = decrypt(&key, &frame_name(name, number), &sealed).ok_or_else(damaged)?;
        let (letter, input) = parse(&plain).ok_or_else(damaged)?;
        if !visit(number, letter, input) {
            return Ok(true);
        }
        at += 4 + size as u64;
    }
    Ok(true)
}

/// Whether a frame that is there was given another length: a crash cuts a frame off, and changes no
/// byte. Tried are the lengths that differ from `prefix` in one byte.
fn holds_a_frame(key: &[u8; 64], name: &[u8], prefix: [u8; 4], rest: &[u8]) -> bool {
    let others = (0..prefix.len()).flat_map(|place| {
        (0..=u8::MAX).map(move |byte| {
            let mut other = prefix;
            if let Some(changed) = other.get_mut(place) {
                *changed = byte;
            }
            u32::from_le_bytes(other) as usize
        })
    });
    // What stands behind it is the end or a length.
    let follows = |size: &usize| match rest.get(*size..).map(<[u8]>::split_first_chunk) {
        Some(Some((next, _))) => u32::from_le_bytes(*next) as usize <= FRAME_BYTES_MAX,
        Some(None) => *size == rest.len(),
        None => false,
    };
    let mut sizes = others.filter(follows).filter_map(|size| rest.get(..size));
    sizes.any(|sealed| decrypt(key, name, sealed).is_some())
}

/// Removes a file, and with it the key of its letters.
///
/// # Errors
/// [`Failure::Could`].
///
/// # Durability
/// It is gone when this returns.
pub fn remove(disk: &dyn Disk, name: &str) -> Result {
    let path = path_of(name);
    let doing = || format!("remove {path}");
    disk.remove(&path).or_could(doing())?;
    disk.sync_dir(DIRECTORY).or_could(doing())
}

/// What is wrong with the files, one finding each. A letter that a crash cut off is nothing wrong:
/// no import said that it was kept.
///
/// # Errors
/// [`Failure::Could`] when the directory cannot be read.
pub fn check(disk: &dyn Disk, master: &MasterKey) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in files(disk)? {
        let path = path_of(&name);
        let length = disk
            .len(&path)
            .or_could(format_args!("look at {path}"))?
            .unwrap_or(0);
        let message = match read(disk, master, &name, &mut |_, _, _| true) {
            Ok(_) => continue,
            Err(failure) => failure.message().unwrap_or_default().to_owned(),
        };
        findings.push(Finding::new(FindingKind::Corrupt, message).place(path, 0..length));
    }
    Ok(findings)
}

fn parse(plain: &[u8]) -> Option<(Letter, &[u8])> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let (json, input) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((serde_json::from_slice(json).ok()?, input))
}

fn path_of(name: &str) -> String {
    format!("{DIRECTORY}/{name}{ENDING}")
}

fn frame_name(name: &str, number: u64) -> Vec<u8> {
    [name.as_bytes(), &number.to_be_bytes()].concat()
}

fn encrypt(key: &[u8; 64], name: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    Aes256Siv::new(&(*key).into())
        .encrypt([name], plain)
        .map_err(|_| Failure::Could("cannot encrypt a dead letter".to_owned()))
}

fn decrypt(key: &[u8; 64], name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Aes256Siv::new(&(*key).into())
        .decrypt([name], sealed)
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;

    use indelible_disk::RealDisk;

    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn letter(number: u64) -> Letter {
        Letter {
            at: "2026-11-21T04:00:00.000000Z".into(),
            file: "events.ndjson".into(),
            format: "ndjson".into(),
            line: number,
            number,
            offset: 10 * number,
            reason: "not json".into(),
            tenant: "acme".into(),
        }
    }

    type Kept = Vec<(Letter, Vec<u8>)>;

    fn all(disk: &RealDisk, master: &MasterKey, name: &str) -> Result<(Kept, bool)> {
        let mut found = Vec::new();
        let whole = read(disk, master, name, &mut |_, letter, input| {
            found.push((letter, input.to_vec()));
            true
        })?;
        Ok((found, whole))
    }

    #[test]
    fn letters_come_back_byte_for_byte_and_only_with_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path());
        let master = MasterKey::from_bytes([7; 32]);
        let random = Counting(0.into());
        let now = Micros::parse("2026-11-21T04:05:06Z").unwrap();
        let mut writer = Writer::create(&disk, &master, now, &random).unwrap();
        let long = vec![b'x'; 70_000];
        let inputs: [&[u8]; 3] = [b"{broken\xff\x00", b"", &long];
        for (number, input) in inputs.iter().enumerate() {
            writer.keep(&letter(number as u64), input).unwrap();
        }
        writer.sync().unwrap();
        assert_eq!(files(&disk).unwrap(), [writer.name()]);
        assert!(
            writer.name().starts_with("20261121T040506Z-"),
            "{}",
            writer.name()
        );
        let (found, whole) = all(&disk, &master, writer.name()).unwrap();
        assert!(whole);
        for (number, (kept, input)) in found.iter().enumerate() {
            assert_eq!(
                (kept, input.as_slice()),
                (&letter(number as u64), inputs[number])
            );
        }
        assert_eq!(found.len(), 3);
        let path = dir.path().join(path_of(writer.name()));
        let bytes = fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, b"events.ndjson").is_none());
        assert!(all(&disk, &MasterKey::from_bytes([8; 32]), writer.name()).is_err());
        // Cut anywhere, the letters before are there; changed anywhere, it is noticed.
        for cut in [
            bytes.len() - 1,
            bytes.len() - 70_000,
            MAGIC.len() + WRAPPED_BYTES + 2,
        ] {
            fs::write(&path, &bytes[..cut]).unwrap();
            let (found, whole) = all(&disk, &master, writer.name()).unwrap();
            assert!(!whole && found.len() < 3, "{cut}");
        }
        let frames = MAGIC.len() + WRAPPED_BYTES;
        let last = bytes.len() - 70_000;
        for place in (0..frames + 40).chain([last, bytes.len() - 1]) {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                fs::write(&path, &changed).unwrap();
                let read = all(&disk, &master, writer.name());
                assert!(read.is_err(), "bit {bit} of byte {place}");
            }
        }
        // The check of a directory takes a cut for what it is, and a change as well.
        fs::write(&path, &bytes[..last]).unwrap();
        assert_eq!(check(&disk, &master).unwrap(), []);
        let mut changed = bytes.clone();
        changed[frames + 1] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        assert_eq!(check(&disk, &master).unwrap().len(), 1);
    }

    /// Random bytes are 0, 1, 2 …; the master key is 32 times 7.
    #[test]
    fn the_vector_holds() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/vectors/key-files.json")).unwrap();
        let vector = &vector["dead_letters"];
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path());
        let master = MasterKey::from_bytes([7; 32]);
        assert_eq!(vector["master_key"], master.print().as_str());
        let now = Micros::parse(vector["now"].as_str().unwrap()).unwrap();
        let mut writer = Writer::create(&disk, &master, now, &Counting(0.into())).unwrap();
        let letters = vector["letters"].as_array().unwrap();
        for kept in letters {
            let letter: Letter = serde_json::from_value(kept["letter"].clone()).unwrap();
            writer
                .keep(&letter, kept["input"].as_str().unwrap().as_bytes())
                .unwrap();
        }
        assert_eq!(vector["name"], writer.name());
        let bytes = fs::read(dir.path().join(path_of(writer.name()))).unwrap();
        assert_eq!(vector["file"], crate::hex::hex(&bytes));
        let (found, _) = all(&disk, &master, writer.name()).unwrap();
        assert_eq!(found.len(), letters.len());
    }
}
