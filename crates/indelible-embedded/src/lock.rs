//! The lock of a data directory, and what it says of its holder.

use indelible_disk::{Disk, Lock};
use indelible_event::ids::Micros;
use indelible_store::Result;

use crate::failure::from_disk;

const PATH: &str = "LOCK";

/// The lock of a data directory; released when it is dropped.
pub struct WriteLock(#[expect(dead_code, reason = "held, not read")] Box<dyn Lock>);

/// Takes the lock.
pub(crate) fn take(disk: &dyn Disk, now: Option<Micros>) -> Result<WriteLock> {
    let lock = disk.try_lock(PATH, &holder(now)).map_err(from_disk)?;
    Ok(WriteLock(lock))
}

/// Process, command and time, for whoever finds it locked.
fn holder(now: Option<Micros>) -> String {
    let command = std::env::args_os().next().unwrap_or_default();
    let command = std::path::Path::new(&command)
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let action = std::env::args().nth(1).unwrap_or_default();
    let since = now
        .map(|now| format!(", since {}", now.to_rfc3339()))
        .unwrap_or_default();
    let words = format!("{} {action}", command.to_string_lossy());
    format!("process {} ({}){since}", std::process::id(), words.trim())
}
