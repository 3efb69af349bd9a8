//! What lies beside the records, as files that are written once: attachments and dead letters.

use indelible_disk::{Disk, DiskError, DiskErrorKind, Open, parent};
use indelible_store::{Error, Kind, Result};

const ATTACHMENTS: &str = "attachments/kept";
const LETTERS: &str = "dead-letters";

/// Copies what is not there yet.
pub(crate) fn copy(from: &dyn Disk, to: &dyn Disk) -> Result<u64> {
    Ok(copy_dir(from, to, ATTACHMENTS)? + copy_dir(from, to, LETTERS)?)
}

/// As [`copy`], and removes the dead letters that were removed: their keys are to die with them.
pub(crate) fn mirror(from: &dyn Disk, to: &dyn Disk) -> Result<u64> {
    let copied = copy(from, to)?;
    let there = from.list(LETTERS).map_err(failed)?;
    for name in to.list(LETTERS).map_err(failed)? {
        if !there.contains(&name) {
            to.remove(&format!("{LETTERS}/{name}")).map_err(failed)?;
        }
    }
    to.sync_dir(LETTERS).map_err(failed)?;
    Ok(copied)
}

/// Copies the files of a directory, and says how many.
fn copy_dir(from: &dyn Disk, to: &dyn Disk, directory: &str) -> Result<u64> {
    to.create_dir_all(directory).map_err(failed)?;
    for above in [parent(directory), ""] {
        to.sync_dir(above).map_err(failed)?;
    }
    let mut copied = 0;
    for name in from.list(directory).map_err(failed)? {
        let path = format!("{directory}/{name}");
        let Some(bytes) = from.len(&path).map_err(failed)? else {
            continue;
        };
        if to.len(&path).map_err(failed)? == Some(bytes) {
            continue;
        }
        let bytes = match from.read(&path) {
            // Dropped meanwhile.
            Err(error) if error.kind() == DiskErrorKind::NotFound => continue,
            bytes => bytes.map_err(failed)?,
        };
        write(to, &path, &bytes).map_err(failed)?;
        copied += 1;
    }
    to.sync_dir(directory).map_err(failed)?;
    Ok(copied)
}

/// Writes a file under another name first, so that one with its own name is whole.
pub(crate) fn write(disk: &dyn Disk, path: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
    let making = format!("{path}.new");
    if disk.len(&making)?.is_some() {
        disk.remove(&making)?;
    }
    let file = disk.open(&making, Open::New)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&making, path)
}

fn failed(error: DiskError) -> Error {
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => Kind::NoSpace,
        _ => Kind::Unavailable,
    };
    Error::new(kind, "copying attachments and dead letters").caused_by(error)
}
