//! A bounded cache for many readers: what was asked for lately stays.
//!
//! Sixteen shards, each of two generations. A full young generation becomes the old one and the old
//! one goes; what is found in the old one moves to the young. So a shard never holds more than
//! twice its half, a hit in the young generation takes a read lock only, and nothing is ordered or
//! timed. Not here: anything durable; losing an entry costs a look-up.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashTable};
use parking_lot::RwLock;

const SHARDS: usize = 16;

/// Maps keys to cheaply cloned values, at most about `entries_max` of them.
pub(crate) struct Cache<K, V> {
    hasher: RandomState,
    generation_max: usize,
    shards: Vec<RwLock<Shard<K, V>>>,
}

struct Shard<K, V> {
    young: HashTable<Entry<K, V>>,
    old: HashTable<Entry<K, V>>,
}

struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        let shard = || {
            let (young, old) = (HashTable::new(), HashTable::new());
            RwLock::new(Shard { young, old })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::default(),
            generation_max: (entries_max / SHARDS / 2).max(1),
        }
    }

    pub(crate) fn get<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let is = |entry: &Entry<K, V>| entry.hash == hash && key.equivalent(&entry.key);
        let shard = self.shard(hash);
        {
            let read = shard.read();
            if let Some(entry) = read.young.find(hash, is) {
                return Some(entry.value.clone());
            }
            read.old.find(hash, is)?;
        }
        let mut write = shard.write();
        let (entry, _) = write.old.find_entry(hash, is).ok()?.remove();
        let value = entry.value.clone();
        write.insert(entry, self.generation_max);
        Some(value)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let mut write = self.shard(hash).write();
        write.remove(hash, |known| *known == key);
        write.insert(Entry { hash, key, value }, self.generation_max);
    }

    pub(crate) fn remove<Q: Hash + Equivalent<K>>(&self, key: &Q) {
        let hash = self.hasher.hash_one(key);
        self.shard(hash)
            .write()
            .remove(hash, |known| key.equivalent(known));
    }

    /// Forgets all entries for which `keep` says no.
    pub(crate) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        for shard in &self.shards {
            let mut write = shard.write();
            write.young.retain(|entry| keep(&entry.key, &entry.value));
            write.old.retain(|entry| keep(&entry.key, &entry.value));
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard<K, V>> {
        // The tables use the low and the top bits, the shard four in the middle.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

impl<K, V> Shard<K, V> {
    fn insert(&mut self, entry: Entry<K, V>, generation_max: usize) {
        if self.young.len() >= generation_max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young
            .insert_unique(entry.hash, entry, |entry| entry.hash);
    }

    fn remove(&mut self, hash: u64, is: impl Fn(&K) -> bool) {
        for table in [&mut self.young, &mut self.old] {
            let found = table.find_entry(hash, |entry| entry.hash == hash && is(&entry.key));
            if let Ok(found) = found {
                found.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cache: &Cache<u32, u32>) -> usize {
        cache
            .shards
            .iter()
            .map(|s| s.read().young.len() + s.read().old.len())
            .sum()
    }

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(1_024);
        for n in 0..100_000 {
            cache.insert(n, n + 1);
            assert_eq!(cache.get(&n), Some(n + 1));
            // Asked for again and again, so never among those that go.
            if n > 0 {
                assert_eq!(cache.get(&0), Some(1));
            }
        }
        assert!(held(&cache) <= 1_024, "{}", held(&cache));
        assert_eq!(cache.get(&1), None);
        cache.remove(&0);
        assert_eq!(cache.get(&0), None);
    }

    #[test]
    fn a_new_value_replaces_the_one_in_either_generation() {
        let cache = Cache::new(64);
        cache.insert(7, 1);
        (1_000..1_040).for_each(|n| cache.insert(n, 0));
        cache.insert(7, 2);
        assert_eq!(cache.get(&7), Some(2));
        cache.retain(|key, _| *key != 7);
        assert_eq!(cache.get(&7), None);
    }
}
