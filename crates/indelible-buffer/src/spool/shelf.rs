//! The files of a spool in the order in which they are read: what its writer and its reader share.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_disk::Disk;

use super::file::{MAGIC, Place};
use super::{SpoolBounds, SpoolError};

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) bounds: SpoolBounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: VecDeque<Filed>,
    /// Bytes of all files that are not removed.
    bytes: u64,
    /// The writer is between asking and telling.
    appending: bool,
}

/// A file that may have something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filed {
    pub(super) place: Place,
    /// Its durable bytes.
    pub(super) length: u64,
    /// Whether the writer may add to it.
    pub(super) growing: bool,
}

impl Shelf {
    pub(super) fn new(bounds: SpoolBounds) -> Self {
        Self {
            bounds,
            state: Mutex::new(State::default()),
        }
    }

    /// Files what a dead process left in a slot, or not while the writer is busy; whether it did.
    /// The file that is being written ends with it, so that nothing waits behind a file that has no
    /// end.
    pub(super) fn take_over(&self, disk: &dyn Disk, directory: &str) -> Result<bool, SpoolError> {
        let places = Place::list(disk, directory)?;
        let mut files = Vec::with_capacity(places.len());
        for place in places {
            let length = disk.len(&place.path())?.unwrap_or(0);
            files.push(Filed {
                place,
                length,
                growing: false,
            });
        }
        let mut state = self.state();
        if state.appending {
            return Ok(false);
        }
        for file in &mut state.files {
            file.growing = false;
        }
        state.bytes += files.iter().map(|file| file.length).sum::<u64>();
        state.files.extend(files);
        Ok(true)
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// The file to be read.
    pub(super) fn front(&self) -> Option<Filed> {
        self.state().files.front().cloned()
    }

    /// Takes the first file off, which was read to its end.
    pub(super) fn pop(&self) -> Option<Filed> {
        self.state().files.pop_front()
    }

    /// So many bytes were removed.
    pub(super) fn removed(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// How many bytes more there may be.
    pub(super) fn room(&self) -> u64 {
        self.bounds.bytes_max.saturating_sub(self.bytes())
    }

    /// Takes room for bytes of a file that this process does not read; whether there is so much.
    pub(super) fn reserve(&self, more: u64) -> bool {
        let mut state = self.state();
        let fits = state.bytes + more <= self.bounds.bytes_max;
        state.bytes += if fits { more } else { 0 };
        fits
    }

    /// Whether the writer's file is still its own; nothing where so many bytes more have no room.
    /// From here to [`Self::appended`] the reader leaves that file to the writer.
    pub(super) fn append(&self, more: u64, place: Option<&Place>) -> Option<bool> {
        let mut state = self.state();
        if state.bytes + more > self.bounds.bytes_max {
            return None;
        }
        state.appending = true;
        let last = state.files.back();
        Some(last.is_some_and(|last| last.growing && Some(&last.place) == place))
    }

    /// The writer began a file.
    pub(super) fn began(&self, place: Place) {
        let mut state = self.state();
        state.bytes += MAGIC.len() as u64;
        state.files.push_back(Filed {
            place,
            length: MAGIC.len() as u64,
            growing: true,
        });
    }

    /// So many bytes more are durable in the writer's file, or none; `last` when it adds no more.
    pub(super) fn appended(&self, more: u64, last: bool) {
        let mut state = self.state();
        state.appending = false;
        state.bytes += more;
        if let Some(file) = state.files.iter_mut().rev().find(|file| file.growing) {
            file.length += more;
            file.growing = !last;
        }
    }

    /// Has the writer begin another file, if all of this one was read; whether it will.
    pub(super) fn retire(&self, place: &Place, read: u64, bytes_min: u64) -> bool {
        let mut state = self.state();
        if state.appending {
            return false;
        }
        let first = state.files.front_mut();
        let Some(file) = first.filter(|file| file.growing && &file.place == place) else {
            return false;
        };
        let done = file.length == read && read >= bytes_min;
        file.growing &= !done;
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
