//! `prove`: the proof that one record stands in the published log, for somebody with the key. It is
//! checked before it is written.

use std::fs;

use indelible_event::ids::{AuditId, TenantId};
use indelible_log::export::published_head;
use indelible_log::prove::prove;
use serde_json::json;

use crate::args::Prove;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Output, Show};
use crate::process::{file_named, tenant_to_read};

/// Makes the proof and writes it.
pub fn run(args: &Prove, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
    let named = Named::parse(&args.record)?;
    let kept = ledger::kept(config)?;
    let reading = ledger::read_with_state(config, "prove the record", output)?;
    let extends = ledger::extends_signed(&kept, &reading, output)?;
    let (tenant, number) = find(&named, tenant, &reading)?;
    // A damaged key file is not what is asked about; the log names the key too.
    let key = reading.folder.signing().ok().flatten();
    let key = key.map(|key| key.verifier_key());
    let proof = prove(&reading.stores, &tenant, number, key.as_ref());
    let proof = match proof.or_could("prove the record")? {
        Ok(proof) => proof,
        Err(finding) => {
            if output.json {
                output.json_line(&json!({"findings": [finding], "proved": false}))?;
            } else {
                output.error(format_args!("nothing is written: {finding}"));
            }
            return Err(Failure::No);
        }
    };
    let mut text = serde_json::to_string(&proof).or_could("write the proof")?;
    text.push('\n');
    match file_named(args.out.as_deref()) {
        None => output.bytes(text.as_bytes())?,
        Some(path) => {
            fs::write(path, text).or_could(format_args!("write {}", path.shown()))?;
            if output.json {
                output.json_line(&json!({
                    "out": path.to_string_lossy(),
                    "receipt": proof.receipt,
                }))?;
            } else {
                let path = path.shown();
                output.note(format_args!(
                    "record {number} of {tenant} is proved in {path}"
                ));
            }
        }
    }
    // It holds under the older checkpoint; that there is a newer one is said.
    if extends { Ok(()) } else { Err(Failure::No) }
}

/// How a record is named on the command line.
enum Named {
    Number(u64),
    Id(AuditId),
}

impl Named {
    fn parse(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let wrong = |error| Failure::Usage(format!("`{text}` is no sequence number: {error}"));
        AuditId::parse(text).map(Self::Id).map_err(wrong)
    }
}

fn find(named: &Named, tenant: Option<TenantId>, reading: &Reading) -> Result<(TenantId, u64)> {
    let ledger = reading.stores.ledger.as_ref();
    let tenants = if let Some(tenant) = tenant {
        vec![tenant]
    } else {
        let mut all = ledger::tenants(reading)?;
        if matches!(named, Named::Number(_)) {
            all.retain(|tenant| !tenant.is_ours());
        }
        all
    };
    let id = match *named {
        Named::Id(id) => id,
        Named::Number(number) => {
            let tenant = match tenants.as_slice() {
                [tenant] => tenant,
                [] => return Err(Failure::Could("there is no tenant yet".to_owned())),
                _ => {
                    let text = "say --tenant: a number alone names no record";
                    return Err(Failure::Usage(text.to_owned()));
                }
            };
            let head = ledger.head(tenant).or_could("read the log")?;
            let size = head.map_or(0, |head| head.frontier.size());
            if number >= size {
                let published = published_head(&reading.stores, tenant).or_could("read the log")?;
                let text = if number < published.size {
                    format!("record {number} of {tenant} was published and is not here: see verify")
                } else {
                    format!("there is no record {number} in {tenant}, it has {size}")
                };
                return Err(Failure::Could(text));
            }
            return Ok((tenant.clone(), number));
        }
    };
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
