//! Verifying a data directory: every tenant's log as it is stored, and the registry over them.

use indelible_event::ids::TenantId;
use indelible_log::registry::{identity, published_heads};
use indelible_log::verify::{Anchors, verify_log, verify_registry};
use indelible_merkle::root_at;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind, Span};
use indelible_proof::note::VerifierKey;
use indelible_proof::signer::SignerState;
use indelible_store::Ledger;
use serde_json::json;

use super::report::print_finding;
use super::{Given, Report, key_for};
use crate::config::Config;
use crate::dead_letters;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Access, same_bytes};
use crate::output::{Output, Show, Tone};
use crate::process::tenant_to_read;

/// Verifies and prints; whether all is clean.
///
/// # Errors
/// [`Failure::Could`] when the directory cannot be read at all.
pub fn data(
    tenant: Option<&str>,
    given: &Given,
    config: &Config,
    output: &mut Output,
) -> Result<bool> {
    let named = tenant_to_read(tenant, config)?;
    // What was signed is read first: the stores read after it are at least as new, also while a
    // writer goes on beside.
    let (disk, folder) = ledger::locate(config)?;
    let signed = folder
        .signer_state()
        .load()
        .or_could("read the signer's last checkpoint")?;
    let access = ledger::read(config, output)?;
    let ledger = access.stores.ledger.as_ref();
    let mut all = ledger.tenants().or_could("list the tenants")?;
    // A log that is gone altogether is still in the registry.
    let published = published_heads(access.stores.state.as_ref()).or_could("read the registry")?;
    all.extend(published.into_values().map(|head| head.tenant));
    all.sort();
    all.dedup();
    let tenants = match named {
        Some(tenant) if !all.contains(&tenant) => {
            let text = format!("there is no tenant {tenant} in {}", access.path.shown());
            return Err(Failure::Could(text));
        }
        Some(tenant) => vec![tenant],
        None => all,
    };
    let anchors = anchors(&access, given, signed.as_deref())?;
    let mut clean = true;
    let mut told = Vec::new();
    for tenant in &tenants {
        let report = log(&access, tenant, &anchors, given, output)?;
        report.print(output)?;
        output.flush()?;
        clean &= report.is_clean(given);
        told.extend(report.verdict.integrity);
    }
    let registry = verify_registry(&access.stores, &anchors).or_could("check the registry")?;
    print_part("registry", &registry, output)?;
    let progress = output.progress();
    let mut files = access.check(&progress)?;
    progress.clear();
    if let Some(master) = folder.master()? {
        files.extend(dead_letters::check(&disk, &master)?);
    }
    // Damage that a log has been told of is not told again.
    files.retain(|finding| {
        finding.kind.repairable() || !told.iter().any(|f| same_bytes(f, finding))
    });
    print_part("files", &files, output)?;
    Ok(clean && registry.is_empty() && files.is_empty())
}

/// One line for what lies beside the logs, and its findings.
fn print_part(name: &str, findings: &[Finding], output: &mut Output) -> Result {
    if output.json {
        return output.json_line(&json!({"findings": findings, "part": name}));
    }
    let word = if findings.is_empty() {
        output.paint("sound", Tone::Good)
    } else {
        output.paint("NOT SOUND", Tone::Bad)
    };
    output.line(format_args!("{name}: {word}"))?;
    for finding in findings {
        print_finding(finding, output)?;
    }
    Ok(())
}

/// The trusted key: the one given, else our own signing key's; and what was signed last, or the
/// registry's checkpoint that was given.
fn anchors(access: &Access, given: &Given, signed: Option<&[u8]>) -> Result<Anchors> {
    let own = access.folder.signing()?.map(|key| key.verifier_key());
    let key = given.key.clone().or(own);
    let kept = signed.map(SignedCheckpoint::parse).transpose();
    let kept = kept.or_could("read the signer's last checkpoint")?;
    let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
    let origin = identity.map(|(who, _)| who.origin_in_force());
    let about_registry =
        |signed: &&SignedCheckpoint| Some(&signed.unverified().origin) == origin.as_ref();
    let given = given.checkpoint.as_ref().filter(about_registry);
    let trusted = match (given, &key) {
        (Some(signed), Some(key)) => {
            let key = key_for(key, &signed.unverified().origin).unwrap_or_else(|| key.clone());
            let checkpoint = signed.verify(&key).map_err(|error| {
                Failure::Could(format!(
                    "the given checkpoint is not by the trusted key: {error}"
                ))
            })?;
            Some(checkpoint.clone())
        }
        (Some(signed), None) => Some(signed.unverified().clone()),
        (None, _) => kept.map(|signed| signed.unverified().clone()),
    };
    Ok(Anchors {
        key,
        kept: trusted,
        values: true,
    })
}

fn log(
    access: &Access,
    tenant: &TenantId,
    anchors: &Anchors,
    given: &Given,
    output: &Output,
) -> Result<Report> {
    let ledger = access.stores.ledger.as_ref();
    // A log whose tree is damaged has no head; what can be read of it is verified all the same.
    let head = ledger.head(tenant).ok().flatten();
    let size = head.map(|head| head.frontier.size());
    let progress = output.progress();
    progress.of_things(tenant.as_str(), size);
    let verdict = verify_log(
        &access.stores,
        &access.keyring,
        tenant,
        anchors,
        &mut |done| {
            progress.set(done);
        },
    )
    .or_could(format_args!("verify the log of {tenant}"))?;
    progress.clear();
    let (mut beside, mut unchecked) = (Vec::new(), Vec::new());
    if let Some(signed) = &given.checkpoint {
        let log_id = verdict.identity.as_ref().map(|who| who.log_id.clone());
        let about = signed
            .unverified()
            .origin
            .rsplit_once('/')
            .map(|(_, id)| id.to_owned());
        match size {
            Some(size) if log_id.is_some() && log_id == about => {
                beside.extend(against(signed, ledger, tenant, anchors.key.as_ref(), size)?);
            }
            None => unchecked.push("the given checkpoint: the log's tree is damaged".to_owned()),
            Some(_) => {}
        }
    }
    if !access.keyring.has_master() {
        unchecked.push("sealed values: the master key is not here".to_owned());
    }
    Ok(Report {
        file: None,
        verdict,
        beside,
        unchecked,
    })
}

/// Compares the stored log with a checkpoint of it that somebody kept.
fn against(
    signed: &SignedCheckpoint,
    ledger: &dyn Ledger,
    tenant: &TenantId,
    key: Option<&VerifierKey>,
    size: u64,
) -> Result<Option<Finding>> {
    let says = signed.unverified();
    if let Some(key) = key {
        let key = key_for(key, &says.origin).unwrap_or_else(|| key.clone());
        if let Err(error) = signed.verify(&key) {
            let finding = Finding::new(FindingKind::BadSignature, error.to_string());
            return Ok(Some(finding.tenant(tenant.as_str())));
        }
    }
    if says.size > size {
        let message = format!(
            "the checkpoint vouches for {} records, {size} are here",
            says.size
        );
        let finding = Finding::new(FindingKind::TruncatedTail, message)
            .tenant(tenant.as_str())
            .records(Span::new(size, says.size - 1));
        return Ok(Some(finding));
    }
    let root = root_at(says.size, |level, index| {
        ledger.subtree(tenant, level, index)
    })
    .or_could("compute the log's root")?;
    Ok((root != says.root).then(|| {
        let message = format!(
            "the first {} records are not those of the checkpoint",
            says.size
        );
        Finding::new(FindingKind::Forked, message).tenant(tenant.as_str())
    }))
}
