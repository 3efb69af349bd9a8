//! Verifying a data directory: every tenant's log as it is stored, and the registry over them.

use indelible_event::ids::TenantId;
use indelible_log::registry::{identity, log_row, published_heads};
use indelible_log::verify::{Anchors, verify_left, verify_log, verify_registry};
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::signer::SignerState;
use serde_json::json;

use super::report::print_finding;
use super::{Given, Report, key_for};
use crate::config::Config;
use crate::dead_letters;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Access};
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
    let (anchors, found) = anchors(&access, given, signed.as_deref())?;
    let mut strange = anchors.checkpoint.clone();
    let mut clean = true;
    let mut told = Vec::new();
    for tenant in &tenants {
        let report = log(&access, tenant, &anchors, output)?;
        report.print(output)?;
        output.flush()?;
        clean &= report.is_clean(given);
        let concerns = |signed: &SignedCheckpoint| is_about(&access, tenant, &report, signed);
        if strange.as_ref().map(concerns).transpose()? == Some(true) {
            strange = None;
        }
        told.extend(report.verdict.integrity);
    }
    let mut registry = verify_registry(&access.stores, &anchors).or_could("check the registry")?;
    registry.extend(found);
    if let Some(signed) = strange {
        let message = format!(
            "the checkpoint given is of none of the logs checked here: {}",
            signed.unverified().origin
        );
        registry.push(Finding::new(FindingKind::UnknownCheckpoint, message));
    }
    print_part("registry", &registry, output)?;
    let progress = output.progress();
    let mut files = access.check(&progress)?;
    progress.clear();
    if let Some(master) = folder.master()? {
        files.extend(dead_letters::check(&disk, &master)?);
    }
    // Damage that a log has been told of is not told again.
    files.retain(|finding| finding.kind.repairable() || !told.iter().any(|f| same(f, finding)));
    print_part("files", &files, output)?;
    Ok(clean && registry.is_empty() && files.is_empty())
}

/// Whether a checkpoint was compared with this log.
fn is_about(
    access: &Access,
    tenant: &TenantId,
    report: &Report,
    signed: &SignedCheckpoint,
) -> Result<bool> {
    let row = log_row(access.stores.state.as_ref(), tenant).or_could("read the registry")?;
    let said = report.verdict.identity.as_ref().map(|who| &who.log_id);
    let id = row.as_ref().map(|row| &row.log_id).or(said);
    let of = signed.unverified().origin.rsplit_once('/');
    Ok(of.is_some_and(|(_, of)| id.is_some_and(|id| id == of)))
}

/// Whether two findings are of the same bytes, or of records of the same log that overlap.
fn same(one: &Finding, other: &Finding) -> bool {
    let place = |finding: &Finding| finding.place.clone();
    let records = match (one.records, other.records) {
        (Some(a), Some(b)) => a.first <= b.last && b.first <= a.last,
        _ => false,
    };
    let same_place = place(one).is_some() && place(one) == place(other);
    same_place || (records && one.tenant_id == other.tenant_id)
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

/// The trusted key: the one given, else our own signing key's; what was signed last, or the
/// registry's checkpoint that was given; and what is found of that one if it is of another
/// incarnation.
fn anchors(
    access: &Access,
    given: &Given,
    signed: Option<&[u8]>,
) -> Result<(Anchors, Option<Finding>)> {
    let own = access.folder.signing()?.map(|key| key.verifier_key());
    let key = given.key.clone().or(own);
    let kept = signed.map(SignedCheckpoint::parse).transpose();
    let kept = kept.or_could("read the signer's last checkpoint")?;
    let mut anchors = Anchors {
        key,
        kept: kept.map(|signed| signed.unverified().clone()),
        checkpoint: given.checkpoint.clone(),
        values: true,
    };
    let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
    let who = identity.map(|(who, _)| who);
    let registry = given.checkpoint.as_ref().and_then(|signed| {
        let number = who.as_ref()?.incarnation_of(&signed.unverified().origin)?;
        Some((signed, number))
    });
    let (Some((signed, number)), Some(who)) = (registry, who) else {
        return Ok((anchors, None));
    };
    let says = signed.unverified();
    if let Some(key) = &anchors.key {
        let key = key_for(key, &says.origin).unwrap_or_else(|| key.clone());
        signed.verify(&key).map_err(|error| {
            Failure::Could(format!(
                "the given checkpoint is not by the trusted key: {error}"
            ))
        })?;
    }
    anchors.checkpoint = None;
    if number == who.incarnation {
        anchors.kept = Some(says.clone());
        return Ok((anchors, None));
    }
    let found = verify_left(&access.stores, &who, number, says).or_could("check the registry")?;
    Ok((anchors, found))
}

fn log(access: &Access, tenant: &TenantId, anchors: &Anchors, output: &Output) -> Result<Report> {
    let ledger = access.stores.ledger.as_ref();
    // A log whose tree is damaged has no head; what can be read of it is verified all the same.
    let head = ledger.head(tenant).ok().flatten();
    let size = head.map(|head| head.frontier.size());
    let progress = output.progress();
    progress.of_things(tenant.as_str(), size);
    let mut verdict = verify_log(
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
    verdict.integrity = one_per_place(verdict.integrity);
    let mut unchecked = Vec::new();
    if !access.keyring.has_master() {
        unchecked.push("sealed values: the master key is not here".to_owned());
    }
    Ok(Report {
        file: None,
        verdict,
        beside: Vec::new(),
        unchecked,
    })
}

/// Damage of one place is one finding, though records here and there lean on what stood in it.
fn one_per_place(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut more: Vec<(usize, u64, u64)> = Vec::new();
    for finding in findings {
        let same = |known: &Finding| {
            finding.kind == FindingKind::Corrupt
                && known.kind == FindingKind::Corrupt
                && known.place == finding.place
                && known.tenant_id == finding.tenant_id
        };
        let Some(at) = kept.iter().position(same) else {
            kept.push(finding);
            continue;
        };
        let (count, last) = finding
            .records
            .map_or((0, 0), |span| (span.count(), span.last));
        match more.iter_mut().find(|(of, _, _)| *of == at) {
            Some((_, sum, end)) => (*sum, *end) = (*sum + count, last.max(*end)),
            None => more.push((at, count, last)),
        }
        if let Some(first) = kept.get_mut(at) {
            for note in finding.notes {
                first.note(note);
            }
        }
    }
    for (at, count, last) in more {
        if let Some(finding) = kept.get_mut(at) {
            finding.note(format!(
                "{count} more records, up to {last}, have personal values that stood there"
            ));
        }
    }
    kept
}
