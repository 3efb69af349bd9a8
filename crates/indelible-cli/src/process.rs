//! What the process gives to the libraries: the clock, randomness, the names of tenants.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use indelible_event::ids::{Micros, TenantId};
use indelible_log::env::{Clock, Env, Random};

use crate::config::Config;
use crate::exit::{Failure, Result};

/// The tenant that is written to when none is named.
const DEFAULT_TENANT: &str = "default";

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// When the operating system gives no random bytes: keys made without them would be worthless.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system must give random bytes");
    }
}

/// The operating system's clock and randomness.
pub fn environment() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    }
}

/// The tenant to write to: the one named, else that of the configuration, else `default`.
///
/// # Errors
/// [`Failure::Usage`] when it is no tenant's name, or one of ours.
pub fn tenant_to_write(named: Option<&str>, config: &Config) -> Result<TenantId> {
    let name = named.or(config.tenant.as_deref()).unwrap_or(DEFAULT_TENANT);
    let tenant = tenant_named(name)?;
    if tenant.is_ours() {
        let text = format!("the log {name} is the ledger's own; take a name without the leading _");
        return Err(Failure::Usage(text));
    }
    Ok(tenant)
}

/// The tenant to read, if one is named or configured.
///
/// # Errors
/// [`Failure::Usage`] when it is no tenant's name.
pub fn tenant_to_read(named: Option<&str>, config: &Config) -> Result<Option<TenantId>> {
    named
        .or(config.tenant.as_deref())
        .map(tenant_named)
        .transpose()
}

/// The file to write a result to, if one is named: `-` is standard output.
pub fn file_named(out: Option<&Path>) -> Option<&Path> {
    out.filter(|path| *path != Path::new("-"))
}

/// A tenant's name.
///
/// # Errors
/// [`Failure::Usage`] when it is none.
pub fn tenant_named(name: &str) -> Result<TenantId> {
    TenantId::parse(name).map_err(|error| Failure::Usage(format!("`{name}`: {error}")))
}
