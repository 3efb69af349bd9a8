//! Which reads are left out, and how many were: a rule that somebody chose is told with its count.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many tenants are counted apart; of further ones every read is emitted.
const TENANTS_MAX: usize = 10_000;

/// A rule by which reads are left out.
#[derive(Debug)]
pub struct Sampling {
    one_in: u32,
    tenants: Mutex<BTreeMap<String, Counts>>,
}

/// What was left out of one tenant's log since it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledOut {
    /// Whose log.
    pub tenant: String,
    /// By which rule.
    pub rule: String,
    /// How many events stand for all.
    pub emitted: u64,
    /// How many were left out.
    pub left_out: u64,
}

#[derive(Debug, Default)]
struct Counts {
    /// Reads so far; it decides which is next to be emitted.
    seen: u64,
    emitted: u64,
    left_out: u64,
}

impl Sampling {
    pub(super) fn new(one_in: u32) -> Self {
        Self {
            one_in: one_in.max(1),
            tenants: Mutex::default(),
        }
    }

    /// The rule in words.
    pub fn rule(&self) -> String {
        format!("one in {} of reads that succeed", self.one_in)
    }

    /// One event stands for so many.
    pub fn one_in(&self) -> u32 {
        self.one_in
    }

    /// What was left out, per tenant, since this was last called: to be declared in the log.
    pub fn take(&self) -> Vec<SampledOut> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = tenants.iter_mut().filter(|(_, counts)| counts.left_out > 0);
        counted
            .map(|(tenant, counts)| SampledOut {
                tenant: tenant.clone(),
                rule: self.rule(),
                emitted: std::mem::take(&mut counts.emitted),
                left_out: std::mem::take(&mut counts.left_out),
            })
            .collect()
    }

    /// Whether the next read of a tenant is emitted; the first is.
    pub(super) fn emits(&self, tenant: &str) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                return true;
            }
            tenants.insert(tenant.to_owned(), Counts::default());
        }
        let Some(counts) = tenants.get_mut(tenant) else {
            return true;
        };
        let emits = counts.seen % u64::from(self.one_in) == 0;
        counts.seen += 1;
        counts.emitted += u64::from(emits);
        counts.left_out += u64::from(!emits);
        emits
    }
}
