//! `recover`: going on after the ledger was rolled back, with a record of what is missing.

use indelible_directory::SIGNING;
use indelible_log::recover::{Recovered, recover};
use indelible_proof::finding::Finding;
use serde_json::json;

use crate::args::Recover;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger::{self, Opening};
use crate::output::{Output, Show};
use crate::verify::print_finding;

/// Says what would be done, or does it.
pub fn run(args: &Recover, config: &Config, output: &mut Output) -> Result {
    // Opening for writing would make a ledger where there is none.
    ledger::locate(config)?;
    let findings;
    let access = match ledger::try_write(config, output)? {
        Opening::Opened(writing) => {
            let signs = writing.log.signs();
            drop(writing);
            return nothing_lost(signs, config, output);
        }
        Opening::NotExtending(access, found) => {
            findings = found;
            access
        }
    };
    if !output.json {
        for finding in &findings {
            print_finding(finding, output)?;
        }
    }
    if !args.yes {
        if output.json {
            tell_json(&findings, None, output)?;
        }
        output.note(
            "recover --yes starts a new incarnation: the registry begins anew under an origin of \
             its own, and the first record of each log concerned says what is missing. If the \
             missing records are in a backup, restore that instead.",
        );
        return Err(Failure::No);
    }
    let signing = access.folder.signing().or_could("sign")?.ok_or_else(|| {
        let path = access.folder.path().join(SIGNING);
        Failure::Could(format!(
            "recovery is signed, and there is no {}",
            path.shown()
        ))
    })?;
    let state = access.folder.signer_state();
    let (stores, keyring) = (&access.stores, &access.keyring);
    let recovered = recover(stores, keyring, &signing, state, &access.env);
    let recovered = recovered.or_could("recover the ledger")?;
    // The stores are locked until they are let go.
    drop(access);
    let writing = ledger::write(config, output)?;
    writing.publish_and_close(output)?;
    if output.json {
        return tell_json(&findings, Some(&recovered), output);
    }
    output.line(format_args!(
        "incarnation {} has begun, under the origin {}",
        recovered.incarnation, recovered.origin
    ))?;
    output.note("hand out the new verifier key: indelible keys show");
    Ok(())
}

/// There is nothing to recover from, as far as that can be told; but what cannot be read is said,
/// so that nobody takes it for all being well.
fn nothing_lost(signs: bool, config: &Config, output: &mut Output) -> Result {
    let progress = output.progress();
    let (findings, _) = ledger::check(config, &progress)?;
    progress.clear();
    if output.json {
        tell_json(&findings, None, output)?;
    } else {
        for finding in &findings {
            print_finding(finding, output)?;
        }
    }
    if !signs {
        return Err(Failure::Could(format!(
            "what was signed is not known here: recover where {SIGNING} and what the signer keeps \
             are, or put them back into the folder of keys"
        )));
    }
    output.note("the ledger extends what was signed: there is nothing to recover from");
    if findings.is_empty() {
        return Ok(());
    }
    let advice = if findings.iter().all(|finding| finding.kind.repairable()) {
        "indelible fsck --repair mends this"
    } else {
        "but damage was found: restore these files from a backup"
    };
    output.note(advice);
    Err(Failure::No)
}

/// Everything as one document: what was found, and the incarnation that has begun, if one has.
fn tell_json(findings: &[Finding], recovered: Option<&Recovered>, output: &mut Output) -> Result {
    output.json_line(&json!({
        "findings": findings,
        "incarnation": recovered.map(|recovered| recovered.incarnation),
        "origin": recovered.map(|recovered| &recovered.origin),
        "recovered": recovered.is_some(),
    }))
}
