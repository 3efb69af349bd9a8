//! A process's own place in a spool's directory, and the name and epoch that go with it.
//!
//! A slot is a numbered folder whose lock its process holds. Its name is that of the directory,
//! made once at random, and the number; so a program that is started again finds its name again,
//! and no two that run at the same time share one.

use indelible_disk::{Disk, DiskErrorKind, Lock, Open};

use super::{Random, SpoolError};

const NAME: &str = "name";
const LOCK: &str = "LOCK";
const EPOCH: &str = "epoch";
/// The most processes that share a directory.
pub(super) const SLOTS_MAX: u32 = 1_024;

pub(super) struct Slot {
    number: u32,
    directory: String,
    name: String,
    /// The epoch of the process before, if there was one.
    last_epoch: Option<u64>,
    _lock: Box<dyn Lock>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// Takes the first slot that nobody has; one whose epoch is damaged is passed over, and told: a
    /// number that was given before would make two events of one.
    pub(super) fn take(
        disk: &dyn Disk,
        random: &Random,
        damaged: &mut Vec<String>,
    ) -> Result<Self, SpoolError> {
        disk.create_dir_all("")?;
        let directory_name = directory_name(disk, random)?;
        for number in 0..SLOTS_MAX {
            match lock(disk, number) {
                Ok(lock) => {
                    disk.sync_dir("")?;
                    let directory = number.to_string();
                    match last_epoch(disk, &directory) {
                        Ok(last_epoch) => {
                            return Ok(Self {
                                number,
                                name: format!("{directory_name}-{number}"),
                                directory,
                                last_epoch,
                                _lock: lock,
                            });
                        }
                        Err(SpoolError::Damaged { path, .. }) => damaged.push(path),
                        Err(error) => return Err(error),
                    }
                }
                Err(SpoolError::Disk(error)) if error.kind() == DiskErrorKind::Locked => {}
                Err(error) => return Err(error),
            }
        }
        Err(SpoolError::Crowded(disk.locate("")))
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Begins an epoch.
    ///
    /// On a full disk the number is written over the last one, which takes no room: what is in the
    /// spool must be read for there to be some. If we die while it is, it may be damaged, and the
    /// slot is passed over.
    pub(super) fn begin_epoch(&self, disk: &dyn Disk, now_ms: u64) -> Result<u64, SpoolError> {
        let path = path(&self.directory);
        let (epoch, text) = text(self.last_epoch, now_ms);
        match disk.replace(&path, text.as_bytes()) {
            Err(error) if error.kind() == DiskErrorKind::NoSpace => {
                if disk.len(&path)? != Some(text.len() as u64) {
                    return Err(error.into());
                }
                let file = disk.open(&path, Open::Write)?;
                file.write_at(text.as_bytes(), 0)?;
                file.sync_data()?;
            }
            replaced => replaced?,
        }
        Ok(epoch)
    }
}

/// Begins an epoch of a slot that was taken over, behind all that its processes had: nothing gets a
/// number in it.
///
/// # Errors
/// [`SpoolError`] when it is not durable, or the last one cannot be read; there is none then.
pub(super) fn succeed(disk: &dyn Disk, directory: &str, now_ms: u64) -> Result<u64, SpoolError> {
    let (epoch, text) = text(last_epoch(disk, directory)?, now_ms);
    disk.replace(&path(directory), text.as_bytes())?;
    Ok(epoch)
}

/// The next epoch, and how it is written: the time, or one more than the last where clocks went
/// back.
fn text(last: Option<u64>, now_ms: u64) -> (u64, String) {
    let epoch = now_ms.max(last.map_or(0, |last| last.saturating_add(1)));
    (epoch, format!("{epoch}\n"))
}

fn path(directory: &str) -> String {
    format!("{directory}/{EPOCH}")
}

/// The epoch that a slot had last.
fn last_epoch(disk: &dyn Disk, directory: &str) -> Result<Option<u64>, SpoolError> {
    let path = path(directory);
    let text = match disk.read(&path) {
        Err(error) if error.kind() == DiskErrorKind::NotFound => return Ok(None),
        read => String::from_utf8(read?).ok(),
    };
    let last = text.and_then(|text| text.trim().parse().ok());
    // No epoch comes after the last of all.
    let last = last.filter(|last| *last < u64::MAX);
    let damaged = || SpoolError::Damaged {
        path: disk.locate(&path),
        what: "it is no number that another follows",
    };
    last.map(Some).ok_or_else(damaged)
}

/// Takes the lock of a slot, which is made when it is missing.
pub(super) fn lock(disk: &dyn Disk, number: u32) -> Result<Box<dyn Lock>, SpoolError> {
    let directory = number.to_string();
    disk.create_dir_all(&directory)?;
    let holder = format!("process {}", std::process::id());
    Ok(disk.try_lock(&format!("{directory}/{LOCK}"), &holder)?)
}

/// The numbers of the slots there are.
pub(super) fn numbers(disk: &dyn Disk) -> Result<Vec<u32>, SpoolError> {
    let names = disk.list("")?;
    let number = |name: &String| name.parse().ok();
    Ok(names.iter().filter_map(number).collect())
}

/// The random name of the directory; whoever comes first makes it.
fn directory_name(disk: &dyn Disk, random: &Random) -> Result<String, SpoolError> {
    for _ in 0..2 {
        match disk.read(NAME) {
            Err(error) if error.kind() == DiskErrorKind::NotFound => {}
            read => {
                let name = String::from_utf8_lossy(&read?).trim().to_owned();
                if name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Ok(name);
                }
            }
        }
        // Written under a name of its own and renamed, so that nobody reads half of it; of two who
        // do so at the same time, one name stands before either has read it.
        let mut bytes = [0; 4];
        random(&mut bytes);
        let fresh = format!("{NAME}.{:08x}", u32::from_be_bytes(bytes));
        random(&mut bytes);
        let file = disk.open(&fresh, Open::New)?;
        file.write_at(format!("{:08x}\n", u32::from_be_bytes(bytes)).as_bytes(), 0)?;
        file.sync_data()?;
        drop(file);
        let _guard = disk.try_lock(&format!("{NAME}.lock"), "the maker of the name");
        match disk.len(NAME)? {
            Some(_) => disk.remove(&fresh)?,
            None => disk.rename(&fresh, NAME)?,
        }
        disk.sync_dir("")?;
    }
    Err(SpoolError::Damaged {
        path: disk.locate(NAME),
        what: "it is no name",
    })
}
