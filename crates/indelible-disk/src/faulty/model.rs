//! What the faulty disk knows: inodes with a volatile and a durable side.
//!
//! A file's durable side moves by replaying its unsynced writes, a directory's by replaying its
//! unsynced changes of names. Inode 0 is the root.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::{Fault, Operation};
use crate::Open;

/// Volatile and durable side of one file or directory.
enum Inode {
    File {
        now: Vec<u8>,
        durable: Vec<u8>,
        unsynced: Vec<Edit>,
    },
    Dir {
        now: BTreeMap<String, usize>,
        durable: BTreeMap<String, usize>,
    },
}

/// An unsynced change of a file's bytes.
#[derive(Clone)]
enum Edit {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A name in a directory.
type Entry = (usize, String);

/// An unsynced change of names: `from` loses its inode, `to` gets it.
struct NameChange {
    from: Option<Entry>,
    to: Option<(Entry, usize)>,
}

pub(super) struct Model {
    inodes: Vec<Inode>,
    names: Vec<NameChange>,
    pub(super) plan: HashMap<u64, Fault>,
    pub(super) history: Vec<(Operation, String)>,
    pub(super) locks: HashMap<String, String>,
    pub(super) room: Option<u64>,
    pub(super) crashed: bool,
    pub(super) boots: u64,
    random: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            inodes: vec![empty_dir()],
            names: Vec::new(),
            plan: HashMap::new(),
            history: Vec::new(),
            locks: HashMap::new(),
            room: None,
            crashed: false,
            boots: 0,
            random: seed ^ 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub(super) fn alive(&self) -> io::Result<()> {
        if self.crashed {
            Err(io::Error::other("the power is cut"))
        } else {
            Ok(())
        }
    }

    /// Counts an operation and runs it as the plan says.
    fn act(
        &mut self,
        operation: Operation,
        path: &str,
        apply: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.alive()?;
        let at = self.history.len() as u64;
        self.history.push((operation, path.to_owned()));
        match self.plan.get(&at) {
            None => apply(self),
            Some(Fault::Ignored) => Ok(()),
            Some(Fault::Failed) => Err(io::Error::other("injected: failed")),
            Some(Fault::FailedButPersisted) => {
                apply(self)?;
                Err(io::Error::other("injected: failed but persisted"))
            }
            Some(Fault::CrashedAfter | Fault::Torn { .. }) => {
                let done = apply(self);
                self.crashed = true;
                done.and(Err(io::Error::other("injected: power cut")))
            }
        }
    }

    fn planned(&self) -> Option<Fault> {
        self.plan.get(&(self.history.len() as u64)).copied()
    }

    fn dir(&self, inode: usize) -> io::Result<&BTreeMap<String, usize>> {
        match self.inodes.get(inode) {
            Some(Inode::Dir { now, .. }) => Ok(now),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        let mut inode = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            inode = *self.dir(inode)?.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    fn entry(&self, path: &str) -> io::Result<Entry> {
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok((self.find(crate::parent(path))?, name.to_owned()))
    }

    fn change_name(&mut self, change: NameChange) {
        if let Some((dir, name)) = &change.from {
            self.edit_dir(*dir, |now, _| now.remove(name));
        }
        if let Some(((dir, name), inode)) = &change.to {
            self.edit_dir(*dir, |now, _| now.insert(name.clone(), *inode));
        }
        self.names.push(change);
    }

    fn edit_dir<T>(
        &mut self,
        dir: usize,
        edit: impl FnOnce(&mut BTreeMap<String, usize>, &mut BTreeMap<String, usize>) -> T,
    ) {
        if let Some(Inode::Dir { now, durable }) = self.inodes.get_mut(dir) {
            edit(now, durable);
        }
    }

    pub(super) fn open(&mut self, path: &str, how: Open) -> io::Result<usize> {
        self.alive()?;
        match (self.find(path), how) {
            (Ok(_), Open::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(inode), _) => match self.inodes.get(inode) {
                Some(Inode::File { .. }) => Ok(inode),
                _ => Err(io::ErrorKind::IsADirectory.into()),
            },
            (Err(_), Open::New) => {
                let entry = self.entry(path)?;
                let inode = self.inodes.len();
                self.dir(entry.0)?;
                self.act(Operation::Create, path, |model| {
                    let (now, durable) = (Vec::new(), Vec::new());
                    model.inodes.push(Inode::File {
                        now,
                        durable,
                        unsynced: Vec::new(),
                    });
                    model.change_name(NameChange {
                        from: None,
                        to: Some((entry, inode)),
                    });
                    Ok(())
                })?;
                Ok(inode)
            }
            (Err(e), _) => Err(e),
        }
    }

    pub(super) fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.alive()?;
        match self.find(dir) {
            Ok(inode) => Ok(self.dir(inode)?.keys().cloned().collect()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    pub(super) fn length(&self, path: &str) -> io::Result<Option<u64>> {
        self.alive()?;
        match self.find(path).map(|inode| self.inodes.get(inode)) {
            Ok(Some(Inode::File { now, .. })) => Ok(Some(now.len() as u64)),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.find(from)?;
        let (from_entry, to_entry) = (self.entry(from)?, self.entry(to)?);
        self.act(Operation::Rename, from, |model| {
            let to = Some((to_entry, inode));
            model.change_name(NameChange {
                from: Some(from_entry),
                to,
            });
            Ok(())
        })
    }

    pub(super) fn remove(&mut self, path: &str, directory: bool) -> io::Result<()> {
        let inode = self.find(path)?;
        match self.inodes.get(inode) {
            Some(Inode::Dir { now, .. }) if directory && now.is_empty() => {}
            Some(Inode::File { .. }) if !directory => {}
            _ => {
                return Err(io::Error::other(
                    "not a file, or a directory that is not empty",
                ));
            }
        }
        let entry = self.entry(path)?;
        self.act(Operation::Remove, path, |model| {
            model.change_name(NameChange {
                from: Some(entry),
                to: None,
            });
            Ok(())
        })
    }

    pub(super) fn create_dir_all(&mut self, dir: &str) -> io::Result<()> {
        self.alive()?;
        let mut path = String::new();
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            if self.find(&path).is_ok() {
                continue;
            }
            let entry = self.entry(&path)?;
            self.act(Operation::CreateDir, &path, |model| {
                let inode = model.inodes.len();
                model.inodes.push(empty_dir());
                model.change_name(NameChange {
                    from: None,
                    to: Some((entry, inode)),
                });
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &str) -> io::Result<()> {
        let inode = self.find(dir)?;
        self.dir(inode)?;
        self.act(Operation::SyncDir, dir, |model| {
            model.make_names_durable(inode);
            Ok(())
        })
    }

    /// Replays the changes of names in `dir`, and those before them that they build on.
    fn make_names_durable(&mut self, dir: usize) {
        let mut wanted: Vec<Entry> = Vec::new();
        let mut kept = Vec::new();
        let mut due = Vec::new();
        for change in std::mem::take(&mut self.names).into_iter().rev() {
            let to = change.to.as_ref().map(|(entry, _)| entry);
            let here = to
                .or(change.from.as_ref())
                .is_some_and(|(inode, _)| *inode == dir);
            if here || to.is_some_and(|entry| wanted.contains(entry)) {
                wanted.extend(change.from.clone());
                due.push(change);
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.names = kept;
        for change in due.into_iter().rev() {
            self.make_durable(change);
        }
    }

    fn make_durable(&mut self, change: NameChange) {
        if let Some((dir, name)) = change.from {
            self.edit_dir(dir, |_, durable| durable.remove(&name));
        }
        if let Some(((dir, name), inode)) = change.to {
            self.edit_dir(dir, |_, durable| durable.insert(name, inode));
        }
    }

    pub(super) fn read(&self, inode: usize, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.alive()?;
        let Some(Inode::File { now, .. }) = self.inodes.get(inode) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|from| now.get(from..))
            .unwrap_or(&[]);
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    pub(super) fn file_length(&self, inode: usize) -> io::Result<u64> {
        self.alive()?;
        match self.inodes.get(inode) {
            Some(Inode::File { now, .. }) => Ok(now.len() as u64),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn write(
        &mut self,
        inode: usize,
        path: &str,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let torn = match self.planned() {
            Some(Fault::Torn { bytes: count }) => Some(count.min(bytes.len())),
            _ => None,
        };
        let room = self.room.map_or(usize::MAX, |room| {
            let length = self
                .file_length(inode)
                .map_or(0, |l| usize::try_from(l).unwrap_or(0));
            let left = usize::try_from(room.saturating_sub(self.used())).unwrap_or(usize::MAX);
            left.saturating_add(length.saturating_sub(offset))
        });
        let fits = torn.unwrap_or(bytes.len()).min(room);
        self.act(Operation::Write, path, |model| {
            let part = bytes.get(..fits).unwrap_or(bytes).to_vec();
            model.edit(
                inode,
                Edit::Write {
                    offset,
                    bytes: part,
                },
            );
            if torn.is_some() {
                model.flush(inode);
            }
            if room < bytes.len() {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        })
    }

    pub(super) fn set_len(&mut self, inode: usize, path: &str, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let grown = (length as u64).saturating_sub(self.file_length(inode)?);
        if self.room.is_some_and(|room| self.used() + grown > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.act(Operation::SetLen, path, |model| {
            model.edit(inode, Edit::Length(length));
            Ok(())
        })
    }

    pub(super) fn sync_data(&mut self, inode: usize, path: &str) -> io::Result<()> {
        if self.planned() == Some(Fault::Failed)
            && let Some(Inode::File { unsynced, .. }) = self.inodes.get_mut(inode)
        {
            // The pages count as written now; no later sync brings them to the disk.
            unsynced.clear();
        }
        self.act(Operation::SyncData, path, |model| {
            model.flush(inode);
            Ok(())
        })
    }

    fn edit(&mut self, inode: usize, edit: Edit) {
        if let Some(Inode::File { now, unsynced, .. }) = self.inodes.get_mut(inode) {
            edit.apply(now);
            unsynced.push(edit);
        }
    }

    fn flush(&mut self, inode: usize) {
        if let Some(Inode::File {
            durable, unsynced, ..
        }) = self.inodes.get_mut(inode)
        {
            for edit in unsynced.drain(..) {
                edit.apply(durable);
            }
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used_below(0)
    }

    fn used_below(&self, inode: usize) -> u64 {
        match self.inodes.get(inode) {
            Some(Inode::File { now, .. }) => now.len() as u64,
            Some(Inode::Dir { now, .. }) => now.values().map(|&child| self.used_below(child)).sum(),
            None => 0,
        }
    }

    pub(super) fn damage(
        &mut self,
        path: &str,
        offset: u64,
        change: impl FnOnce(&mut u8),
    ) -> io::Result<()> {
        let inode = self.find(path)?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        match self.inodes.get_mut(inode) {
            Some(Inode::File { now, durable, .. }) => {
                let byte = now.get_mut(at).ok_or(io::ErrorKind::UnexpectedEof)?;
                change(byte);
                if let Some(kept) = durable.get_mut(at) {
                    *kept = *byte;
                }
                Ok(())
            }
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn reboot(&mut self) {
        for change in std::mem::take(&mut self.names) {
            if self.coin() {
                self.make_durable(change);
            }
        }
        for inode in 0..self.inodes.len() {
            let edits = match self.inodes.get_mut(inode) {
                Some(Inode::File { unsynced, .. }) => std::mem::take(unsynced),
                _ => Vec::new(),
            };
            for edit in edits {
                if self.coin()
                    && let Some(Inode::File { durable, .. }) = self.inodes.get_mut(inode)
                {
                    edit.apply(durable);
                }
            }
        }
        for inode in &mut self.inodes {
            match inode {
                Inode::File { now, durable, .. } => now.clone_from(durable),
                Inode::Dir { now, durable } => now.clone_from(durable),
            }
        }
        self.locks.clear();
        self.plan.clear();
        self.history.clear();
        self.crashed = false;
        self.boots += 1;
    }

    /// A fair coin (xorshift64*).
    fn coin(&mut self) -> bool {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 63 == 1
    }
}

impl Edit {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Write { bytes, .. } if bytes.is_empty() => {}
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                if let Some(place) = file.get_mut(*offset..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }
}

fn empty_dir() -> Inode {
    Inode::Dir {
        now: BTreeMap::new(),
        durable: BTreeMap::new(),
    }
}
