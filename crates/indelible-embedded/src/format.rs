//! `FORMAT`: which ledger a data directory is, in which format, and its hash key.
//!
//! JSON on one line and its checksum on the next, so that a person can read it and a flipped byte
//! is noticed. It is truth: nothing rebuilds it.

use indelible_disk::Disk;
use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use crate::failure::{corrupt, from_disk};

/// The file's name.
pub(crate) const PATH: &str = "FORMAT";
/// The format this program reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What `FORMAT` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// When the directory was made, RFC 3339.
    pub created: String,
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// The key of the hashes of terms, 32 hex digits. Not a secret of the records.
    hash_key: String,
    /// The ledger's id, 32 hex digits.
    ledger_id: String,
}

impl Format {
    /// The format of a new directory.
    pub(crate) fn new(ledger_id: [u8; 16], hash_key: [u8; 16], now: Micros) -> Self {
        Self {
            created: now.to_rfc3339(),
            format: FORMAT_VERSION,
            hash_key: hex(&hash_key),
            ledger_id: hex(&ledger_id),
        }
    }

    /// The ledger's id.
    pub fn ledger_id(&self) -> [u8; 16] {
        unhex(&self.ledger_id).unwrap_or_default()
    }

    pub(crate) fn hash_key(&self) -> [u8; 16] {
        unhex(&self.hash_key).unwrap_or_default()
    }

    pub(crate) fn store(&self, disk: &dyn Disk) -> Result<()> {
        let text = lines(self)?;
        disk.replace(PATH, text.as_bytes()).map_err(from_disk)
    }

    /// Reads what `FORMAT` says, without opening the directory.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when this is no data directory; [`Kind::Format`] when it has another
    /// format, saying what to do; [`Kind::Corrupt`] when the file is damaged.
    pub fn load(disk: &dyn Disk) -> Result<Self> {
        if disk.len(PATH).map_err(from_disk)?.is_none() {
            let said =
                "this is no data directory, it has no FORMAT file: create one, or name another";
            return Err(Error::new(Kind::NotFound, said));
        }
        let bytes = disk.read(PATH).map_err(from_disk)?;
        let damaged = || corrupt("FORMAT is damaged: restore it from a backup");
        let Some(format): Option<Self> = parse_lines(&bytes) else {
            // A checksum that does not fit speaks of damage, whatever version the damage made.
            if is_checked(&bytes) {
                return Err(damaged());
            }
            refuse_other_version(&bytes)?;
            return Err(damaged());
        };
        if format.format != FORMAT_VERSION {
            refuse_other_version(&bytes)?;
        }
        let whole = unhex(&format.ledger_id).is_some() && unhex(&format.hash_key).is_some();
        if whole { Ok(format) } else { Err(damaged()) }
    }
}

/// Whether the bytes end in a line with a checksum that is not theirs.
fn is_checked(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (Some(line), Some(check)) = (lines.next(), lines.next()) else {
        return false;
    };
    let fits = format!("crc32c {:08x}", crc32c::crc32c(line));
    check.starts_with(b"crc32c ") && check != fits.as_bytes()
}

/// Refuses a format that is not ours, even where the rest of the file has another shape.
fn refuse_other_version(bytes: &[u8]) -> Result<()> {
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(first).unwrap_or_default();
    let Some(found) = value.get("format").and_then(serde_json::Value::as_u64) else {
        return Ok(());
    };
    let ours = u64::from(FORMAT_VERSION);
    if found == ours {
        return Ok(());
    }
    let advice = if found > ours {
        "update indelible to read it"
    } else {
        "use the version of indelible that wrote it"
    };
    let said =
        format!("the data directory has format {found}, this program reads {ours}: {advice}");
    Err(Error::new(Kind::Format, said))
}

/// One line of JSON and a line with its checksum.
pub(crate) fn lines<T: Serialize>(value: &T) -> Result<String> {
    let mut text = serde_json::to_string(value)
        .map_err(|e| Error::new(Kind::Invalid, "cannot write JSON").caused_by(e))?;
    let crc = crc32c::crc32c(text.as_bytes());
    text += "\n";
    Ok(text + &format!("crc32c {crc:08x}\n"))
}

/// Undoes [`lines`]; `None` when a byte is not what was written.
pub(crate) fn parse_lines<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    let text = str::from_utf8(bytes).ok()?;
    let (line, crc) = text.split_once('\n')?;
    let expected = format!("crc32c {:08x}\n", crc32c::crc32c(line.as_bytes()));
    if crc != expected {
        return None;
    }
    serde_json::from_str(line).ok()
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let lower = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32 && lower).then_some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;

    #[test]
    fn it_comes_back_and_every_flipped_bit_is_noticed() {
        let disk = FaultyDisk::new(0);
        assert_eq!(Format::load(&disk).unwrap_err().kind(), Kind::NotFound);
        let format = Format::new([7; 16], [0; 16], Micros(0));
        format.store(&disk).unwrap();
        assert_eq!(Format::load(&disk).unwrap(), format);
        assert_eq!((format.ledger_id(), format.hash_key()), ([7; 16], [0; 16]));
        for at in 0..disk.len(PATH).unwrap().unwrap() {
            disk.damage(PATH, at, |byte| *byte ^= 1).unwrap();
            let kind = Format::load(&disk).unwrap_err().kind();
            assert_eq!(kind, Kind::Corrupt, "byte {at}");
            disk.damage(PATH, at, |byte| *byte ^= 1).unwrap();
        }
    }

    #[test]
    fn another_version_says_what_to_do() {
        for (version, advice) in [
            (0, "use the version of indelible that wrote it"),
            (2, "update indelible"),
        ] {
            let disk = FaultyDisk::new(0);
            let mut format = Format::new([7; 16], [0; 16], Micros(0));
            format.format = version;
            format.store(&disk).unwrap();
            let error = Format::load(&disk).unwrap_err();
            assert_eq!(error.kind(), Kind::Format);
            assert!(error.to_string().contains(advice), "{error}");
            let other = format!("{{\"format\":{version},\"shape\":[]}}\n");
            disk.replace(PATH, other.as_bytes()).unwrap();
            assert_eq!(Format::load(&disk).unwrap_err().kind(), Kind::Format);
        }
    }
}
