//! Verifying a data directory: every tenant's log as it is stored, and the registry over them.

use indelible_directory::KeyFolder;
use indelible_event::ids::TenantId;
use indelible_log::registry::{identity, published_heads};
use indelible_log::verify::{Anchors, Kept, verify_log, verify_registry};
use indelible_merkle::root_at;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind, Span};
use indelible_proof::note::VerifierKey;
use indelible_store::{Kind, Ledger};
use serde_json::json;

use super::report::print_finding;
use super::{Given, Report, key_for};
use crate::config::Config;
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
    let (_, folder) = ledger::locate(config)?;
    let kept = kept(&folder)?;
    let progress = output.progress();
    let access = ledger::read_quietly(config, &progress)?;
    progress.clear();
    let ledger = access.stores.ledger.as_ref();
    let mut all = ledger.tenants().or_could("list the tenants")?;
    // A log that is gone altogether is still in the registry.
    if access.has_state() {
        let published = published_heads(access.stores.state.as_ref());
        let published = published.or_could("read the registry")?;
        all.extend(published.into_values().map(|head| head.tenant));
    }
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
    let anchors = anchors(&access, given, kept)?;
    let mut clean = true;
    let mut told = Vec::new();
    for tenant in &tenants {
        let report = log(&access, tenant, &anchors, given, output)?;
        report.print(output)?;
        output.flush()?;
        clean &= report.is_clean(given);
        told.extend(report.verdict.integrity);
    }
    let (registry, unchecked) = registry(&access, &anchors)?;
    print_part("registry", &registry, &unchecked, output)?;
    let progress = output.progress();
    let mut files = ledger::files(&access, &progress)?;
    progress.clear();
    // Damage that a log has been told of is not told again.
    files.retain(|finding| {
        finding.kind.repairable() || !told.iter().any(|f| same_bytes(f, finding))
    });
    print_part("files", &files, &[], output)?;
    Ok(clean && registry.is_empty() && files.is_empty())
}

/// The findings of the registry, and what of it was not checked.
fn registry(access: &Access, anchors: &Anchors) -> Result<(Vec<Finding>, Vec<String>)> {
    if !access.has_state() {
        let unchecked = "what was published: the state store cannot be read";
        return Ok((Vec::new(), vec![unchecked.to_owned()]));
    }
    let findings = verify_registry(&access.stores, anchors).or_could("check the registry")?;
    let unchecked = match anchors.kept {
        Kept::Elsewhere => vec![format!(
            "what was signed: the signer's last checkpoint is not in {}",
            access.folder.path().shown()
        )],
        Kept::Nothing | Kept::Checkpoint(_) => Vec::new(),
    };
    Ok((findings, unchecked))
}

/// One line for what lies beside the logs, its findings, and what was not checked.
fn print_part(
    name: &str,
    findings: &[Finding],
    unchecked: &[String],
    output: &mut Output,
) -> Result {
    if output.json {
        let part = json!({"findings": findings, "part": name, "unchecked": unchecked});
        return output.json_line(&part);
    }
    let word = if !findings.is_empty() {
        output.paint("NOT SOUND", Tone::Bad)
    } else if unchecked.is_empty() {
        output.paint("sound", Tone::Good)
    } else {
        output.paint("sound as far as it was checked", Tone::Warn)
    };
    output.line(format_args!("{name}: {word}"))?;
    for finding in findings {
        print_finding(finding, output)?;
    }
    for text in unchecked {
        let text = output.paint(text, Tone::Warn);
        output.line(format_args!("  not checked   {text}"))?;
    }
    Ok(())
}

/// What the signer keeps. A damaged file is a finding among those of the files.
fn kept(folder: &KeyFolder) -> Result<Kept> {
    match folder.kept() {
        Err(error) if error.kind() == Kind::Corrupt => Ok(Kept::Elsewhere),
        kept => kept.or_could("read the signer's last checkpoint"),
    }
}

/// The trusted key: the one given, else our own signing key's; and what was signed last, or the
/// registry's checkpoint that was given.
fn anchors(access: &Access, given: &Given, kept: Kept) -> Result<Anchors> {
    // A damaged key is a finding among those of the files.
    let own = access.folder.signing().ok().flatten();
    let own = own.map(|key| key.verifier_key());
    let key = given.key.clone().or(own);
    let origin = if access.has_state() {
        let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
        identity.map(|(who, _)| who.origin_in_force())
    } else {
        None
    };
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
            Kept::Checkpoint(checkpoint.clone())
        }
        (Some(signed), None) => Kept::Checkpoint(signed.unverified().clone()),
        (None, _) => match kept {
            // Read before the registry: a first publication may have come between.
            Kept::Nothing if !matches!(access.folder.kept(), Ok(Kept::Nothing)) => Kept::Elsewhere,
            kept => kept,
        },
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
