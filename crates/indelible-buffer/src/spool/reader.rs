//! The end of a spool that is read.

use std::sync::Arc;

use indelible_disk::{Disk, DiskFile, Lock};

use super::SpoolError;
use super::file::{Frame, Key, MAGIC, Opening, Place, read_frame};
use super::shelf::{Filed, Shelf};
use super::slot;

/// A file of which everything was read is removed at this size even while there is nothing to do.
const RETIRE_BYTES_MIN: u64 = 64 << 10;

/// Reads a spool; holds the slots that were taken over.
pub struct SpoolReader {
    disk: Arc<dyn Disk>,
    shelf: Arc<Shelf>,
    own: u32,
    held: Vec<(u32, Box<dyn Lock>)>,
    /// The names of its own slot and of those that it took over, each with the newest epoch there.
    epochs: Vec<(String, u64)>,
    current: Option<Current>,
    /// Files that were read as far as they can be, and hold items that are not done.
    finished: Vec<Finished>,
    /// Items that were given and are not done.
    open: usize,
}

struct Current {
    place: Place,
    file: Box<dyn DiskFile>,
    key: Box<Key>,
    frame: u64,
    at: u64,
}

struct Finished {
    place: Place,
    bytes: u64,
    /// It is put aside, and not removed.
    damaged: bool,
}

impl std::fmt::Debug for SpoolReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolReader")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl SpoolReader {
    /// A reader of whoever has a slot of this number, name and epoch.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        shelf: Arc<Shelf>,
        own: u32,
        epoch: (String, u64),
    ) -> Self {
        Self {
            disk,
            shelf,
            own,
            held: Vec::new(),
            epochs: vec![epoch],
            current: None,
            finished: Vec::new(),
            open: 0,
        }
    }

    /// The next items, oldest first, up to so many and until there are so many bytes; none when
    /// there is nothing more now. They come again after a crash, until [`SpoolReader::done`].
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] when a file cannot be read to its end; go on with the next call. It
    /// is put aside under the ending `.damaged` when what was read of it is done.
    /// [`SpoolError::Disk`]: ask again later.
    pub fn next(&mut self, items_max: usize, bytes_max: usize) -> Result<Vec<Vec<u8>>, SpoolError> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < items_max && bytes < bytes_max {
            let Some(filed) = self.shelf.front() else {
                break;
            };
            let read = match self.read(&filed) {
                Err(error @ SpoolError::Disk(_)) if items.is_empty() => return Err(error),
                Err(_) if !items.is_empty() => break,
                Err(error) => {
                    self.finish(&filed, true);
                    if self.open == 0 {
                        // Where it fails, it is tried again with what is done next.
                        let _ = self.done();
                    }
                    return Err(error);
                }
                Ok(read) => read,
            };
            match read {
                Some(item) => {
                    bytes += item.len();
                    items.push(item);
                }
                None if filed.growing => break,
                None => self.finish(&filed, false),
            }
        }
        self.open += items.len();
        Ok(items)
    }

    /// Says that all items given so far are done: files that hold nothing else are removed, and
    /// damaged ones put aside.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when one cannot be; it is tried again with the next call, and its items
    /// come again after a crash.
    pub fn done(&mut self) -> Result<(), SpoolError> {
        self.open = 0;
        self.retire(RETIRE_BYTES_MIN);
        while let Some(file) = self.finished.first() {
            if file.damaged {
                file.place.set_aside(self.disk.as_ref())?;
            } else {
                file.place.remove(self.disk.as_ref())?;
            }
            self.shelf.removed(file.bytes);
            self.finished.remove(0);
        }
        self.let_go();
        Ok(())
    }

    /// Removes what is done, however little it is, for whoever has nothing else to do.
    ///
    /// # Errors
    /// As [`SpoolReader::done`].
    pub fn tidy(&mut self) -> Result<(), SpoolError> {
        if self.open > 0 {
            return Ok(());
        }
        self.retire(0);
        self.done()
    }

    /// Takes over the slots of processes that are gone; the time, in milliseconds since 1970, is
    /// for the epochs that begin with it.
    pub fn look_for_orphans(&mut self, now_ms: u64) {
        let disk = Arc::clone(&self.disk);
        for number in slot::numbers(disk.as_ref()).unwrap_or_default() {
            let held = self.held.iter().any(|(held, _)| *held == number);
            let directory = number.to_string();
            let empty =
                || Place::list(disk.as_ref(), &directory).is_ok_and(|files| files.is_empty());
            if number == self.own || held || empty() {
                continue;
            }
            // Who is alive has the lock; what cannot be read now is there the next time.
            if let Ok(lock) = slot::lock(disk.as_ref(), number)
                && let Ok(true) = self.shelf.take_over(disk.as_ref(), &directory)
            {
                self.held.push((number, lock));
                if let Ok(epoch) = slot::succeed(disk.as_ref(), &directory, now_ms) {
                    self.succeeds(number, epoch);
                }
            }
        }
    }

    /// The epoch that came after all others of a stream: that of the slot at the end of its name,
    /// which this process has or took over. None of another's, nor of one whose epoch is damaged.
    pub fn successor(&self, stream: &str) -> Option<u64> {
        let is_of = |name: &str| {
            let service = stream.strip_suffix(name);
            service.is_some_and(|service| service.ends_with('-'))
        };
        let found = self.epochs.iter().find(|(name, _)| is_of(name));
        found.map(|(_, epoch)| *epoch)
    }

    fn succeeds(&mut self, number: u32, epoch: u64) {
        let Some((directory, _)) = self.epochs.first().and_then(|it| it.0.rsplit_once('-')) else {
            return;
        };
        let name = format!("{directory}-{number}");
        self.epochs.retain(|(known, _)| *known != name);
        self.epochs.push((name, epoch));
    }

    /// Whether there is nothing to read and nothing that is not done.
    pub fn is_empty(&self) -> bool {
        let read = |current: &Current, filed: &Filed| {
            current.place == filed.place && current.at >= filed.length
        };
        self.open == 0
            && self.shelf.front().is_none_or(|filed| {
                filed.length <= MAGIC.len() as u64
                    || self.current.as_ref().is_some_and(|at| read(at, &filed))
            })
    }

    /// Bytes on disk, of all files.
    pub fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    /// The next item of a file; `None` at its end.
    fn read(&mut self, filed: &Filed) -> Result<Option<Vec<u8>>, SpoolError> {
        if self
            .current
            .as_ref()
            .is_none_or(|at| at.place != filed.place)
        {
            self.current = None;
            let (file, key) = match filed.place.open(self.disk.as_ref())? {
                Opening::Readable(file, key) => (file, key),
                Opening::Done => return Ok(None),
                Opening::Keyless => {
                    return Err(filed
                        .place
                        .damaged(self.disk.as_ref(), "its key is gone, and it was not done"));
                }
            };
            self.current = Some(Current {
                place: filed.place.clone(),
                file,
                key,
                frame: 0,
                at: MAGIC.len() as u64,
            });
        }
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        let place = (current.frame, current.at);
        match read_frame(current.file.as_ref(), &mut current.key, place, filed.length)? {
            Frame::Item(item, next) => {
                current.frame += 1;
                current.at = next;
                Ok(Some(item))
            }
            Frame::End | Frame::Torn => Ok(None),
            Frame::Damaged(what) => Err(filed.place.damaged(self.disk.as_ref(), what)),
        }
    }

    fn finish(&mut self, filed: &Filed, damaged: bool) {
        self.current = None;
        self.shelf.pop();
        self.finished.push(Finished {
            place: filed.place.clone(),
            bytes: filed.length,
            damaged,
        });
    }

    /// Has the file that is being written end, if all of it was read and it is large enough.
    fn retire(&mut self, bytes_min: u64) {
        let Some(current) = &self.current else {
            return;
        };
        if self.shelf.retire(&current.place, current.at, bytes_min)
            && let Some(filed) = self.shelf.front()
        {
            self.finish(&filed, false);
        }
    }

    /// Lets go of slots of which nothing is left.
    fn let_go(&mut self) {
        let front = self.shelf.front();
        if front.is_none() && self.finished.is_empty() {
            self.held.clear();
        }
    }
}
