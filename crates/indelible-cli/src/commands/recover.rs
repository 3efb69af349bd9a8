//! `recover`: going on after the ledger was rolled back, with a record of what is missing.

use indelible_log::recover::recover;
use indelible_proof::finding::Finding;
use serde_json::json;

use crate::args::Recover;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::keys;
use crate::ledger::{self, Opening};
use crate::output::Output;
use crate::verify::print_finding;

/// Says what would be done, or does it.
pub fn run(args: &Recover, config: &Config, output: &mut Output) -> Result {
    let access = match ledger::try_write(config, output)? {
        Opening::Opened(_) => {
            output.note("the ledger extends what was signed: there is nothing to recover from");
            return Ok(());
        }
        Opening::NotExtending(access, findings) => {
            tell(&findings, output)?;
            access
        }
    };
    if !args.yes {
        output.note(
            "recover --yes starts a new incarnation: the registry begins anew under an origin of \
             its own, and the first record of each log concerned says what is missing. If the \
             missing records are in a backup, restore that instead.",
        );
        return Err(Failure::No);
    }
    let signing = access.folder.signing()?.ok_or_else(|| {
        let path = access.folder.path().join(keys::SIGNING);
        Failure::Could(format!(
            "recovery is signed, and there is no {}",
            path.display()
        ))
    })?;
    let state = access.folder.signer_state();
    let recovered =
        recover(&access.stores, &signing, state, &access.env).or_could("recover the ledger")?;
    // The stores are locked until they are let go.
    drop(access);
    let writing = ledger::write(config, output)?;
    writing.publish_and_close()?;
    if output.json {
        return output
            .json_line(&json!({"incarnation": recovered.incarnation, "origin": recovered.origin}));
    }
    output.line(format_args!(
        "incarnation {} has begun, under the origin {}",
        recovered.incarnation, recovered.origin
    ))?;
    output.note("hand out the new verifier key: indelible keys show");
    Ok(())
}

fn tell(findings: &[Finding], output: &mut Output) -> Result {
    for finding in findings {
        if output.json {
            output.json_line(finding)?;
        } else {
            print_finding(finding, output)?;
        }
    }
    Ok(())
}
