//! [`State`] in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use parking_lot::RwLock;

use crate::{Change, Entry, Error, Kind, Result, State, Version};

type Space = BTreeMap<Vec<u8>, (Vec<u8>, Version)>;

/// Small values in memory.
#[derive(Debug, Default)]
pub struct MemoryState {
    spaces: RwLock<HashMap<&'static str, Space>>,
}

impl MemoryState {
    /// A state without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own with the same values, as a backup is.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            spaces: RwLock::new(self.spaces.read().clone()),
        }
    }
}

impl State for MemoryState {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        Ok(self
            .spaces
            .read()
            .get(space)
            .and_then(|values| values.get(key))
            .cloned())
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let spaces = self.spaces.read();
        let Some(values) = spaces.get(space) else {
            return Ok(Vec::new());
        };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let entries = values
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit);
        Ok(entries
            .map(|(key, (value, version))| (key.clone(), value.clone(), *version))
            .collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        let mut spaces = self.spaces.write();
        // What the changes before have made of a value within this set.
        let mut made: HashMap<(&str, &[u8]), Version> = HashMap::new();
        for change in changes {
            let name = (change.space, change.key.as_slice());
            let stored = || {
                spaces
                    .get(change.space)?
                    .get(&change.key)
                    .map(|(_, version)| *version)
            };
            let version = made.get(&name).copied().or_else(stored).unwrap_or(0);
            if change.expected.is_some_and(|expected| expected != version) {
                let said = format!("a value of {} has version {version}: read it", change.space);
                return Err(Error::new(Kind::Conflict, said));
            }
            made.insert(
                name,
                if change.value.is_some() {
                    version + 1
                } else {
                    0
                },
            );
        }
        for change in changes {
            let values = spaces.entry(change.space).or_default();
            match &change.value {
                Some(value) => {
                    let entry = values.entry(change.key.clone()).or_default();
                    entry.0.clone_from(value);
                    entry.1 += 1;
                }
                None => {
                    values.remove(&change.key);
                }
            }
        }
        Ok(())
    }
}
