//! How much one key and one tenant may ask for: requests, events and bytes a second, and events and
//! bytes a day.
//!
//! A rate may be exceeded for a while (the burst). What a request takes is known when it has been
//! read, so it is let in while its account is within the burst, and charged for all it brought: a
//! large batch is never cut in two, and whoever sent it waits until it is paid. Not here: memory
//! (`budget`) and connections (`waiting`), which are everybody's.
//!
//! Invariants: names are bounded; a limit that nobody set costs nothing.

mod account;
mod quota;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indelible_api::{Problem, ProblemKind, Rates};
use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Result, State};

use crate::metrics::Metrics;
use account::Accounts;
use quota::Quotas;

/// What the settings say; `None` for no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Of each key, unless it was made with others.
    pub key: Rates,
    /// Of each tenant, whoever sends.
    pub tenant: Rates,
    /// For how long a rate's worth may come at once.
    pub burst: Duration,
    /// Events of a tenant in a day, of UTC.
    pub events_per_day: Option<u64>,
    /// Bytes of a tenant's events and attachments in a day, of UTC.
    pub bytes_per_day: Option<u64>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            key: Rates::default(),
            tenant: Rates::default(),
            burst: Duration::from_secs(10),
            events_per_day: None,
            bytes_per_day: None,
        }
    }
}

/// What a request brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Brought {
    pub(crate) fn add(&mut self, events: u64, bytes: usize) {
        self.events += events;
        self.bytes += bytes as u64;
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    whose: Whose,
    what: &'static str,
    most: u64,
    seconds: u64,
}

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Key,
    Tenant,
    Day,
}

impl Whose {
    /// The words of all, for the figures.
    pub(crate) const WORDS: [&'static str; 3] = ["key", "tenant", "day"];
}

/// The accounts of all.
#[derive(Debug)]
pub(crate) struct Limits {
    settings: LimitSettings,
    began: Instant,
    keys: Mutex<Accounts>,
    tenants: Mutex<Accounts>,
    quotas: Mutex<Quotas>,
}

impl Limits {
    pub(crate) fn new(settings: LimitSettings) -> Self {
        Self {
            settings,
            began: Instant::now(),
            keys: Mutex::default(),
            tenants: Mutex::default(),
            quotas: Mutex::default(),
        }
    }

    /// The rates of a key that was made with these.
    pub(crate) fn rates_of(&self, own: Option<&Rates>) -> Rates {
        own.map_or_else(
            || self.settings.key.clone(),
            |own| own.or(&self.settings.key),
        )
    }

    /// Whether what a key with these rates brings is to be counted.
    pub(crate) fn counts(&self, rates: &Rates) -> bool {
        let days = (self.settings.events_per_day, self.settings.bytes_per_day);
        !rates.is_unlimited() || !self.settings.tenant.is_unlimited() || days != (None, None)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn burst(&self) -> i64 {
        i64::try_from(self.settings.burst.as_micros()).unwrap_or(i64::MAX)
    }

    /// Lets one request of a key in, and counts it.
    pub(crate) fn key(&self, name: &str, rates: &Rates) -> std::result::Result<(), Reached> {
        if rates.is_unlimited() {
            return Ok(());
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.admit(name, rates, (self.now(), self.burst()))
            .map_err(|late| late.reached(Whose::Key))
    }

    /// Lets one request that brings events of a tenant in, and counts it.
    ///
    /// # Errors
    /// As the state store's.
    pub(crate) fn tenant(
        &self,
        tenant: &TenantId,
        now: Micros,
        state: &dyn State,
    ) -> Result<std::result::Result<(), Reached>> {
        let wanted = (self.settings.events_per_day, self.settings.bytes_per_day);
        if wanted != (None, None) {
            let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(late) = quotas.used_up(tenant, wanted, now, state)? {
                return Ok(Err(late.reached(Whose::Day)));
            }
        }
        let rates = &self.settings.tenant;
        if rates.is_unlimited() {
            return Ok(Ok(()));
        }
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = tenants.admit(tenant.as_str(), rates, (self.now(), self.burst()));
        Ok(admitted.map_err(|late| late.reached(Whose::Tenant)))
    }

    /// Charges what was brought to the key and the tenant.
    pub(crate) fn charge(
        &self,
        (name, rates): (Option<&str>, &Rates),
        tenant: &TenantId,
        brought: Brought,
    ) {
        if let Some(name) = name.filter(|_| !rates.is_unlimited()) {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.charge(name, rates, brought, self.now());
        }
        let rates = &self.settings.tenant;
        if !rates.is_unlimited() {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            tenants.charge(tenant.as_str(), rates, brought, self.now());
        }
        if self.settings.events_per_day.is_some() || self.settings.bytes_per_day.is_some() {
            let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
            quotas.charge(tenant, brought);
        }
    }

    /// Keeps what was used of the day, and learns what other servers have used.
    ///
    /// # Errors
    /// As the state store's; it is kept the next time.
    pub(crate) fn keep(&self, state: &dyn State) -> Result<()> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        quotas.keep(state)
    }
}

impl Reached {
    /// The problem of whoever reached it, and that it is counted.
    pub(crate) fn problem(self, metrics: &Metrics) -> Problem {
        metrics.limited(self.whose);
        let Self {
            whose,
            what,
            most,
            seconds,
        } = self;
        let (kind, text) = match whose {
            Whose::Key => (
                ProblemKind::RateLimited,
                format!("you may bring {most} {what} a second"),
            ),
            Whose::Tenant => (
                ProblemKind::RateLimited,
                format!("the tenant may have {most} {what} a second"),
            ),
            Whose::Day => (
                ProblemKind::QuotaUsedUp,
                format!("the tenant may have {most} {what} a day, which is one of UTC"),
            ),
        };
        let mut problem = Problem::new(kind, format!("{text}; again in {seconds} s"));
        problem.retry_after_s = Some(seconds);
        problem
    }
}
