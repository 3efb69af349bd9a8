//! `prove`: the proof that one record stands in the published log, for somebody with the key.

use std::fs;

use indelible_event::ids::{AuditId, TenantId};
use indelible_log::prove::prove;

use crate::args::Prove;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::Output;
use crate::process::tenant_to_read;

/// Makes the proof and writes it.
pub fn run(args: &Prove, config: &Config, output: &mut Output) -> Result {
    let reading = ledger::read(config, output)?;
    let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
    let (tenant, number) = find(&args.record, tenant, &reading)?;
    let proof = prove(&reading.stores, &tenant, number).or_could("prove the record")?;
    let mut text = serde_json::to_string(&proof).or_could("write the proof")?;
    text.push('\n');
    match &args.out {
        None => output.bytes(text.as_bytes()),
        Some(path) => {
            fs::write(path, text).or_could(format_args!("write {}", path.display()))?;
            output.note(format_args!(
                "record {number} of {tenant} is proved in {}",
                path.display()
            ));
            Ok(())
        }
    }
}

fn find(text: &str, tenant: Option<TenantId>, reading: &Reading) -> Result<(TenantId, u64)> {
    let ledger = reading.stores.ledger.as_ref();
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => ledger.tenants().or_could("list the tenants")?,
    };
    if let Ok(number) = text.parse::<u64>() {
        let mut named = tenants.into_iter().filter(|tenant| !tenant.is_ours());
        return match (named.next(), named.next()) {
            (Some(tenant), None) => Ok((tenant, number)),
            _ => Err(Failure::Usage(
                "say --tenant: a number alone names no record".to_owned(),
            )),
        };
    }
    let id = AuditId::parse(text)
        .map_err(|error| Failure::Usage(format!("`{text}` is no sequence number: {error}")))?;
    for tenant in tenants {
        let found = ledger.find(&tenant, &[id]).or_could("look the id up")?;
        if let Some(number) = found.first().copied().flatten() {
            return Ok((tenant, number));
        }
    }
    Err(Failure::Could(format!(
        "there is no record with the id {id}"
    )))
}
