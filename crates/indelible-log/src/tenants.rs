//! Giving a tenant its log: a log id and a permanent slot, durable before its first record.

use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Error, Kind, Result};

use crate::log::Shared;
use crate::own::{LogFacts, OwnEvent, SYSTEM_TENANT, log_created};
use crate::registry::{Identity, LogRow, TENANTS, identity, log_row, put, put_identity};

const ATTEMPTS_MAX: u32 = 8;

/// The first record of the tenant's log, and its row in the registry.
///
/// If we die between the row and the record, the tenant has a slot and no log; the next attempt
/// finds the row and goes on from there.
pub(crate) fn create_log(
    shared: &Shared,
    tenant: &TenantId,
    now: Micros,
) -> Result<(OwnEvent, LogRow)> {
    if !shared.options.create_tenants && tenant.as_str() != SYSTEM_TENANT {
        let context = format!("there is no tenant {tenant}; create it first");
        return Err(Error::new(Kind::NotFound, context));
    }
    let (row, who) = ensure_row(shared, tenant)?;
    let facts = LogFacts {
        log_id: &row.log_id,
        origin: &who.origin,
        incarnation: who.incarnation,
        slot: row.slot,
        verifier_key: &shared.options.verifier_key,
    };
    Ok((log_created((&shared.env, now), tenant, &facts), row))
}

fn ensure_row(shared: &Shared, tenant: &TenantId) -> Result<(LogRow, Identity)> {
    let state = shared.stores.state.as_ref();
    for _ in 0..ATTEMPTS_MAX {
        let (mut who, version) = identity(state)?
            .ok_or_else(|| Error::new(Kind::NotFound, "the ledger has no identity yet"))?;
        if let Some(row) = log_row(state, tenant)? {
            return Ok((row, who));
        }
        let id = shared.env.random_bytes::<16>();
        let row = LogRow {
            log_id: hex(&id),
            slot: who.slots,
        };
        who.slots += 1;
        let changes = [
            put_identity(&who, Some(version))?,
            put(TENANTS, tenant.as_str().as_bytes(), Some(0), &row)?,
        ];
        match state.apply(&changes) {
            Ok(()) => return Ok((row, who)),
            Err(e) if e.kind() == Kind::Conflict => {}
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(
        Kind::Unavailable,
        format!("no slot could be had for tenant {tenant}"),
    ))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
