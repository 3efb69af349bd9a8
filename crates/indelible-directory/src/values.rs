//! The small values of a ledger, copied one by one: its small state, and its key store.
//!
//! One by one and not as a file, so that a copy has nothing of what was removed: pages of a key
//! store may still hold keys that were destroyed.

use std::sync::Arc;

use indelible_disk::{Disk, RealDisk, parent};
use indelible_embedded::{StateMode, open_state};
use indelible_store::{Change, Error, Kind, Result, State};

/// Names of the spaces of small values: those of the state store, and those of the key store. One
/// that is not among them is of a newer program, and nothing is left behind in silence.
pub(crate) const SPACES: [&str; 13] = [
    "api_keys",
    "api_keys_used",
    "key_buckets",
    "key_identities",
    "key_master",
    "key_subjects",
    "key_tenants",
    "operations",
    "published",
    "registry",
    "server",
    "snapshots",
    "tenants",
];
/// A space that is derived from the records, and made anew.
const DERIVED: &str = "streams";

/// Where a key store says how often keys were written to it, big-endian (`spec/sealing.md`).
const KEY_WRITES: (&str, &[u8]) = ("key_master", b"writes");

/// Small values that are read or written together.
const AT_ONCE: usize = 500;

/// All small values of a store as they were at one time.
pub(crate) struct Values(Vec<Change>);

impl Values {
    /// Those of a file, which may be written to meanwhile.
    pub(crate) fn of_file(disk: &RealDisk, path: &str) -> Result<Self> {
        let store = open_state(Arc::new(disk.clone()), path, StateMode::Read)?;
        let mut spaces = Vec::new();
        for name in store.spaces()?.iter().filter(|name| *name != DERIVED) {
            let Some(space) = SPACES.into_iter().find(|space| space == name) else {
                let said = format!("{path} has {name:?}, which this program does not know");
                return Err(Error::new(Kind::Format, said));
            };
            spaces.push(space);
        }
        Self::of(&store, &spaces)
    }

    /// Those of the spaces of a store.
    pub(crate) fn of(store: &dyn State, spaces: &[&'static str]) -> Result<Self> {
        let mut values = Vec::new();
        for &space in spaces {
            let mut after = None;
            loop {
                let page = store.scan(space, b"", after.as_deref(), AT_ONCE)?;
                let Some((last, ..)) = page.last() else { break };
                after = Some(last.clone());
                values.extend(page.into_iter().map(|(key, value, _)| Change {
                    space,
                    key,
                    expected: None,
                    value: Some(value),
                }));
            }
        }
        Ok(Self(values))
    }

    /// How often keys were written to the key store that these are of.
    pub(crate) fn key_writes(&self) -> u64 {
        let mut values = self.0.iter();
        let written = values.find(|it| (it.space, it.key.as_slice()) == KEY_WRITES);
        let value = written.and_then(|it| it.value.as_deref()?.try_into().ok());
        value.map_or(0, u64::from_be_bytes)
    }

    /// Writes them to a store; what is there is written again, since nobody else writes.
    pub(crate) fn apply(&self, to: &dyn State) -> Result<()> {
        self.0.chunks(AT_ONCE).try_for_each(|some| to.apply(some))
    }

    /// Replaces a file by one that has these and nothing else.
    pub(crate) fn replace(&self, disk: &RealDisk, path: &str) -> Result<()> {
        let failed = |e| Error::new(Kind::Unavailable, format!("writing {path}")).caused_by(e);
        let fresh = format!("{path}.copy");
        if disk.len(&fresh).map_err(failed)?.is_some() {
            disk.remove(&fresh).map_err(failed)?;
        }
        let store = open_state(Arc::new(disk.clone()), &fresh, StateMode::Create)?;
        self.apply(&store)?;
        drop(store);
        disk.rename(&fresh, path).map_err(failed)?;
        disk.sync_dir(parent(path)).map_err(failed)
    }
}
