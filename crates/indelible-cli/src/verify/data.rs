//! Verifying a data directory: every tenant's log as it is stored, and the registry over them.

use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::Disk;
use indelible_event::ids::TenantId;
use indelible_log::attachments::{Attachments, Check};
use indelible_log::registry::{identity, log_row};
use indelible_log::verify::{Anchors, Kept, verify_left, verify_log, verify_registry};
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind};

use super::report::print_part;
use super::{Given, Report, key_for};
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Access, same_bytes};
use crate::output::{Output, Show};
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
    data_against(tenant, given, None, config, output)
}

/// As [`data`], against what the signer kept when a copy was begun, if this is one.
///
/// # Errors
/// As [`data`].
pub fn data_against(
    tenant: Option<&str>,
    given: &Given,
    kept: Option<Kept>,
    config: &Config,
    output: &mut Output,
) -> Result<bool> {
    let named = tenant_to_read(tenant, config)?;
    if let Some(finding) = ledger::check_format(config)? {
        print_part("files", &[finding], &["every log".to_owned()], output)?;
        return Ok(false);
    }
    // What was signed is read first: the stores read after it are at least as new, also while a
    // writer goes on beside.
    let kept = kept.map_or_else(|| ledger::kept(config), Ok)?;
    let progress = output.progress();
    let access = ledger::read_quietly(config, &progress)?;
    progress.clear();
    let all = ledger::tenants(&access)?;
    let tenants = match named {
        Some(tenant) if !all.contains(&tenant) => {
            let text = format!("there is no tenant {tenant} in {}", access.path.shown());
            return Err(Failure::Could(text));
        }
        Some(tenant) => vec![tenant],
        None => all,
    };
    let (anchors, found) = anchors(&access, given, kept)?;
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
    let (mut registry, unchecked) = registry(&access, &anchors, config)?;
    registry.extend(found);
    if let Some(signed) = strange {
        let message = format!(
            "the checkpoint given is of none of the logs checked here: {}",
            signed.unverified().origin
        );
        registry.push(Finding::new(FindingKind::UnknownCheckpoint, message));
    }
    print_part("registry", &registry, &unchecked, output)?;
    let progress = output.progress();
    let mut files = ledger::files(&access, &progress)?;
    progress.clear();
    // Damage that a log has been told of is not told again.
    files.retain(|finding| {
        finding.kind.repairable() || !told.iter().any(|f| same_bytes(f, finding))
    });
    // Of a database, the files of the keys are all that there are.
    let part = if access.is_shared() { "keys" } else { "files" };
    print_part(part, &files, &[], output)?;
    Ok(clean && registry.is_empty() && files.is_empty())
}

/// Whether a checkpoint was compared with this log.
fn is_about(
    access: &Access,
    tenant: &TenantId,
    report: &Report,
    signed: &SignedCheckpoint,
) -> Result<bool> {
    let row = if access.has_state() {
        log_row(access.stores.state.as_ref(), tenant).or_could("read the registry")?
    } else {
        None
    };
    let said = report.verdict.identity.as_ref().map(|who| &who.log_id);
    let id = row.as_ref().map(|row| &row.log_id).or(said);
    let of = signed.unverified().origin.rsplit_once('/');
    Ok(of.is_some_and(|(_, of)| id.is_some_and(|id| id == of)))
}

/// The findings of the registry, and what of it was not checked.
fn registry(
    access: &Access,
    anchors: &Anchors,
    config: &Config,
) -> Result<(Vec<Finding>, Vec<String>)> {
    if !access.has_state() {
        let unchecked = "what was published: the state store cannot be read";
        return Ok((Vec::new(), vec![unchecked.to_owned()]));
    }
    let findings = verify_registry(&access.stores, anchors).or_could("check the registry")?;
    let unchecked = match anchors.kept {
        Kept::Elsewhere if access.is_backup() => {
            vec!["what was signed since the backup was made".to_owned()]
        }
        Kept::Elsewhere => vec![match ledger::moved(config)? {
            Some(place) => format!(
                "what was signed since the ledger was moved to {place}: verify it there, with \
                 --ledger"
            ),
            None => format!(
                "what was signed: the signer's last checkpoint is not in {}",
                access.folder.path().shown()
            ),
        }],
        Kept::Nothing | Kept::Checkpoint(_) => Vec::new(),
    };
    Ok((findings, unchecked))
}

/// The trusted key: the one given, else our own signing key's; what was signed last, or the
/// registry's checkpoint that was given; and what is found of that one if it is of another
/// incarnation.
fn anchors(access: &Access, given: &Given, kept: Kept) -> Result<(Anchors, Option<Finding>)> {
    // A damaged key is a finding among those of the files.
    let own = access.folder.signing().ok().flatten();
    let own = own.map(|key| key.verifier_key());
    let key = given.key.clone().or(own);
    let kept = match kept {
        // Read before the registry: a first publication may have come between.
        Kept::Nothing if !matches!(access.folder.kept(), Ok(Kept::Nothing)) => Kept::Elsewhere,
        kept => kept,
    };
    let mut anchors = Anchors {
        key,
        kept,
        checkpoint: given.checkpoint.clone(),
        values: true,
    };
    let who = if access.has_state() {
        let identity = identity(access.stores.state.as_ref()).or_could("read who the ledger is")?;
        identity.map(|(who, _)| who)
    } else {
        None
    };
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
        anchors.kept = Kept::Checkpoint(says.clone());
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
    let has_master = access.keyring.has_master();
    let disk = Arc::clone(&access.disk) as Arc<dyn Disk>;
    let store = Attachments::read(disk, Arc::clone(&access.keyring), access.env.clone());
    let mut attachments = Check::new(&store, tenant);
    let verdict = verify_log(
        &access.stores,
        &access.keyring,
        tenant,
        anchors,
        &mut |done, leaf| {
            progress.set(done);
            if has_master {
                attachments.record(done - 1, leaf);
            }
            ControlFlow::Continue(())
        },
    )
    .or_could(format_args!("verify the log of {tenant}"))?;
    progress.clear();
    let mut unchecked = Vec::new();
    if !has_master {
        let why = ledger::no_master(access);
        unchecked.push(format!("sealed values and attachments: {why}"));
    }
    let mut attachments = attachments.finish().or_could("check the attachments")?;
    Ok(Report {
        file: None,
        verdict,
        beside: std::mem::take(&mut attachments.findings),
        attachments: has_master.then_some(attachments),
        has_checkpoint: false,
        unchecked,
    })
}
