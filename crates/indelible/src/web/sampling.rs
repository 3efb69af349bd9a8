//! Which reads are left out. Each takes a number of the emitter's stream, and is declared in the
//! log with the rule: nobody has to wonder whether it was lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many tenants are counted apart; of further ones every read is emitted.
const TENANTS_MAX: usize = 10_000;

/// A rule by which reads are left out.
#[derive(Debug)]
pub(super) struct Sampling {
    one_in: u32,
    /// How many reads of each tenant there were; it decides which is next to be emitted.
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Sampling {
    pub(super) fn new(one_in: u32) -> Self {
        Self {
            one_in: one_in.max(1),
            seen: Mutex::default(),
        }
    }

    /// The rule in words.
    pub(super) fn rule(&self) -> String {
        format!("sampled: one in {} of reads that succeed", self.one_in)
    }

    /// One event stands for so many.
    pub(super) fn one_in(&self) -> u32 {
        self.one_in
    }

    /// Whether the next read of a tenant is emitted; the first is.
    pub(super) fn emits(&self, tenant: &str) -> bool {
        let mut tenants = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                return true;
            }
            tenants.insert(tenant.to_owned(), 0);
        }
        let Some(seen) = tenants.get_mut(tenant) else {
            return true;
        };
        let emits = *seen % u64::from(self.one_in) == 0;
        *seen += 1;
        emits
    }
}
