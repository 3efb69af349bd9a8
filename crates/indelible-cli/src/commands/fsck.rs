//! `fsck`: every byte in use of the data directory, or all that a database derives of its records;
//! and mending what can be computed again.

use indelible_proof::finding::Finding;
use serde_json::json;

use crate::args::Fsck;
use crate::config::Config;
use crate::exit::{Failure, Result};
use crate::ledger;
use crate::output::{Output, Tone};
use crate::verify::print_finding;

/// Checks, mends when asked, and checks again.
///
/// # Errors
/// [`Failure::No`] when something is found; [`Failure::Could`] when it cannot be checked.
pub fn run(args: &Fsck, config: &Config, output: &mut Output) -> Result {
    let (mut findings, mut incarnation) = check(config, output)?;
    let mut mended = 0;
    if args.repair && findings.iter().any(|finding| finding.kind.repairable()) {
        let before = findings.len();
        let progress = output.progress();
        ledger::repair(config, &progress)?;
        progress.clear();
        (findings, incarnation) = check(config, output)?;
        mended = before.saturating_sub(findings.len());
    }
    print(&findings, (mended, incarnation), config, output)?;
    if !output.json && !args.repair {
        hint(&findings, output);
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

fn check(config: &Config, output: &Output) -> Result<(Vec<Finding>, Option<u64>)> {
    let progress = output.progress();
    let checked = ledger::check(config, &progress);
    progress.clear();
    checked
}

fn print(
    findings: &[Finding],
    (mended, incarnation): (usize, Option<u64>),
    config: &Config,
    output: &mut Output,
) -> Result {
    if output.json {
        for finding in findings {
            output.json_line(finding)?;
        }
        return output.json_line(&json!({
            "findings": findings.len(),
            "incarnation": incarnation,
            "mended": mended,
        }));
    }
    for finding in findings {
        print_finding(finding, output)?;
    }
    if mended > 0 {
        output.line(format_args!("findings mended: {mended}"))?;
    }
    if let Some(number) = incarnation.filter(|number| *number > 1) {
        output.line(format_args!(
            "incarnation {number}: the ledger was recovered from a roll-back; indelible verify \
             tells what each log declares as lost"
        ))?;
    }
    if findings.is_empty() {
        let word = output.paint("sound", Tone::Good);
        return if config.database.is_some() {
            output.line(format_args!(
                "all that is derived of the records in the database is {word}"
            ))
        } else {
            output.line(format_args!(
                "every byte in use of the data directory is {word}"
            ))
        };
    }
    Ok(())
}

/// What can be done about them.
fn hint(findings: &[Finding], output: &mut Output) {
    let repairable = findings
        .iter()
        .filter(|finding| finding.kind.repairable())
        .count();
    if repairable > 0 {
        output.note(format_args!(
            "{repairable} of these can be mended: indelible fsck --repair"
        ));
    }
}
