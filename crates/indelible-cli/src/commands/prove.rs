//! `prove`: the proof that one record stands in the published log, for somebody with the key. It is
//! checked before it is written.

use std::fs;

use indelible_event::ids::{AuditId, TenantId};
use indelible_event::{EventView, Field};
use indelible_log::export::published_head;
use indelible_log::prove::prove;
use indelible_proof::finding::{Finding, Span};
use indelible_proof::registry::RecordProof;
use serde_json::json;

use crate::args::Prove;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Reading};
use crate::output::{Output, Show};
use crate::process::{file_named, tenant_to_read};
use crate::remote::{Checked, Remote};
use crate::verify::{key_for, named_key};

/// The server's route to records and their proofs.
const RECORDS: &str = "/v1/records";

/// Makes the proof, or has a server make it, and writes it.
pub fn run(args: &Prove, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
    let named = Named::parse(&args.record)?;
    if let Some(remote) = Remote::meant(&args.through, config, output)? {
        let proof = there(&named, tenant, &remote)?;
        return write(proof, args, output);
    }
    let kept = ledger::kept(config)?;
    let reading = ledger::read_with_state(config, "prove the record", output)?;
    let extends = ledger::extends_signed(&kept, &reading, output)?;
    let (tenant, number) = find(&named, tenant, &reading)?;
    // A damaged key file is not what is asked about; the log names the key too.
    let key = reading.folder.signing().ok().flatten();
    let key = key.map(|key| key.verifier_key());
    let proof = prove(&reading.stores, &tenant, number, key.as_ref());
    write(proof.or_could("prove the record")?, args, output)?;
    // It holds under the older checkpoint; that there is a newer one is said.
    if extends { Ok(()) } else { Err(Failure::No) }
}

/// Writes a proof that holds, or says why it does not.
fn write(
    proof: std::result::Result<RecordProof, Finding>,
    args: &Prove,
    output: &mut Output,
) -> Result {
    let proof = match proof {
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
    let Some(path) = file_named(args.out.as_deref()) else {
        return output.bytes(text.as_bytes());
    };
    fs::write(path, text).or_could(format_args!("write {}", path.shown()))?;
    if output.json {
        return output.json_line(&json!({
            "out": path.to_string_lossy(),
            "receipt": proof.receipt,
        }));
    }
    let (receipt, path) = (&proof.receipt, path.shown());
    output.note(format_args!(
        "record {} of {} is proved in {path}",
        receipt.sequence_number, receipt.tenant_id
    ));
    Ok(())
}

/// The proof that a server makes, checked here: against the record, and under the key that the log
/// names. Whether that is the right key, only somebody who has it can tell.
fn there(
    named: &Named,
    tenant: Option<TenantId>,
    remote: &Remote,
) -> Result<std::result::Result<RecordProof, Finding>> {
    let record = match *named {
        Named::Id(id) => {
            let path = format!("{RECORDS}/{id}");
            let of = tenant.as_ref().map(|tenant| ("tenant", tenant.as_str()));
            remote.get(&path, of.as_slice())?
        }
        Named::Number(number) => {
            let all = || {
                Ok(remote
                    .tenants()?
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect())
            };
            let tenant = tenant.clone().map_or_else(|| only(all()?), Ok)?;
            let missing = || Failure::Could(format!("there is no record {number} in {tenant}"));
            remote.record(&tenant, number)?.ok_or_else(missing)?
        }
    };
    let checked = Checked::of(&record).map_err(|what| remote.strange(what))?;
    let (of, number) = (&checked.place.tenant, checked.place.sequence_number);
    let event = EventView::parse(checked.leaf.event()).ok();
    let id = event.and_then(|event| AuditId::parse(&event.text(Field::AuditId)?).ok());
    let id = id.ok_or_else(|| remote.strange("a record without an id"))?;
    let is_asked = match *named {
        Named::Id(asked) => id == asked,
        Named::Number(asked) => number == asked,
    };
    if !is_asked || tenant.is_some_and(|tenant| tenant != *of) {
        return Err(remote.strange("another record than was asked for"));
    }
    let path = format!("{RECORDS}/{id}/proof");
    let proof: RecordProof = remote.get(&path, &[("tenant", of.as_str())])?;
    let first = remote.record(of, 0)?;
    let key = first.and_then(|first| named_key(of.as_str(), first.leaf.as_bytes()));
    let key = key.ok_or_else(|| remote.strange(format!("the log of {of} names no key")))?;
    let origin = proof.registry.checkpoint.lines().next().unwrap_or_default();
    let key = key_for(&key, origin).unwrap_or(key);
    let Err(why) = proof.verify(&key, Some(checked.leaf.bytes())) else {
        return Ok(Ok(proof));
    };
    let message = format!("the proof of {} does not hold: {why}", remote.url());
    Ok(Err(Finding::new(why.kind(), message)
        .tenant(of.as_str())
        .records(Span::one(number))))
}

/// How a record is named on the command line.
pub(super) enum Named {
    Number(u64),
    Id(AuditId),
}

impl Named {
    /// Reads it.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is neither.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let wrong = |error| Failure::Usage(format!("`{text}` is no sequence number: {error}"));
        AuditId::parse(text).map(Self::Id).map_err(wrong)
    }
}

/// The tenant whose record a number alone names.
pub(super) fn only(tenants: Vec<TenantId>) -> Result<TenantId> {
    let mut tenants: Vec<_> = tenants.into_iter().filter(|name| !name.is_ours()).collect();
    match (tenants.pop(), tenants.is_empty()) {
        (Some(tenant), true) => Ok(tenant),
        (None, _) => Err(Failure::Could("there is no tenant yet".to_owned())),
        _ => {
            let text = "say --tenant: a number alone names no record";
            Err(Failure::Usage(text.to_owned()))
        }
    }
}

/// Where the record is that is named.
///
/// # Errors
/// When it is not there.
pub(super) fn find(
    named: &Named,
    tenant: Option<TenantId>,
    reading: &Reading,
) -> Result<(TenantId, u64)> {
    let ledger = reading.stores.ledger.as_ref();
    let all = || ledger::tenants(reading);
    let id = match *named {
        Named::Id(id) => id,
        Named::Number(number) => {
            let tenant = &tenant.map_or_else(|| only(all()?), Ok)?;
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
    for tenant in tenant.map_or_else(all, |tenant| Ok(vec![tenant]))? {
        let found = ledger.find(&tenant, &[id]).or_could("look the id up")?;
        if let Some(number) = found.first().copied().flatten() {
            return Ok((tenant, number));
        }
    }
    Err(Failure::Could(format!(
        "there is no record with the id {id}"
    )))
}
