//! A bounded cache for many readers: what was asked for lately stays.
//!
//! Sixteen shards, each of two generations. A full young generation becomes the old one and the old
//! one goes; what is found in the old one moves to the young. So a shard never holds more than twice
//! its half, a hit in the young generation takes a read lock only, and nothing is ordered or timed.
//! Not here: anything durable; losing an entry costs a look-up.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};
use parking_lot::RwLock;

const SHARDS: usize = 16;

/// Maps keys to cheaply cloned values, at most about `entries_max` of them.
pub(crate) struct Cache<K, V> {
    hasher: RandomState,
    generation_max: usize,
    shards: Vec<RwLock<Shard<K, V>>>,
}

struct Shard<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        let hasher = RandomState::default();
        let shard = || {
            let map = || HashMap::with_hasher(hasher.clone());
            RwLock::new(Shard {
                young: map(),
                old: map(),
            })
        };
        let generation_max = (entries_max / SHARDS / 2).max(1);
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher,
            generation_max,
        }
    }

    pub(crate) fn get<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<V> {
        let shard = self.shard(key);
        {
            let read = shard.read();
            if let Some(value) = read.young.get(key) {
                return Some(value.clone());
            }
            if !read.old.contains_key(key) {
                return None;
            }
        }
        let mut write = shard.write();
        let (key, value) = write.old.remove_entry(key)?;
        write.insert(key, value.clone(), self.generation_max);
        Some(value)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut write = self.shard(&key).write();
        write.old.remove(&key);
        write.insert(key, value, self.generation_max);
    }

    pub(crate) fn remove<Q: Hash + Equivalent<K>>(&self, key: &Q) {
        let mut write = self.shard(key).write();
        write.young.remove(key);
        write.old.remove(key);
    }

    /// Forgets all entries for which `keep` says no.
    pub(crate) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        for shard in &self.shards {
            let mut write = shard.write();
            write.young.retain(|key, value| keep(key, value));
            write.old.retain(|key, value| keep(key, value));
        }
    }

    fn shard<Q: Hash>(&self, key: &Q) -> &RwLock<Shard<K, V>> {
        // The table uses the hash's low and top bits, the shard four in the middle.
        &self.shards[(self.hasher.hash_one(key) >> 40) as usize % SHARDS]
    }
}

impl<K: Eq + Hash, V> Shard<K, V> {
    fn insert(&mut self, key: K, value: V, generation_max: usize) {
        if self.young.len() >= generation_max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
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
