//! `verify`: whether a data directory, an export or a proof is what was committed.
//!
//! Two verdicts, never one: integrity (every record is what was committed, in that order) and
//! completeness (whether a producer's numbered events are all there). Beside them, who vouches for
//! it: without a key from elsewhere the word is *consistent, not anchored*.

use std::fs;
use std::path::Path;

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::note::VerifierKey;

use crate::args::Verify;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Output, Show};
use crate::verify::{self, Given, Report};

/// Verifies what was named, else the data directory.
pub fn run(args: &Verify, config: &Config, output: &mut Output) -> Result {
    let given = Given {
        key: args.key.as_deref().map(key).transpose()?,
        checkpoint: args.checkpoint.as_deref().map(checkpoint).transpose()?,
        require_anchor: args.require_anchor,
    };
    if let Some(proof) = &args.proof {
        return verify::proof(proof, &args.files, &given, output);
    }
    let mut clean = true;
    if args.files.is_empty() {
        clean = verify::data(args.tenant.as_deref(), &given, config, output)?;
    }
    for file in &args.files {
        let report = verify::file(file, args.disclosures.as_deref(), &given, output)?;
        clean &= print(&report, &given, output)?;
    }
    if clean { Ok(()) } else { Err(Failure::No) }
}

fn print(report: &Report, given: &Given, output: &mut Output) -> Result<bool> {
    report.print(output)?;
    Ok(report.is_clean(given))
}

/// A verifier key, as text or in a file.
fn key(text: &str) -> Result<VerifierKey> {
    let text = match fs::read_to_string(text) {
        Ok(content) => content,
        Err(_) => text.to_owned(),
    };
    text.trim().parse().map_err(|error| {
        Failure::Usage(format!(
            "--key: {error}; it is a file, or text like example.com+1234abcd+ABC…, as `indelible \
             keys show` prints it"
        ))
    })
}

fn checkpoint(path: &Path) -> Result<SignedCheckpoint> {
    let bytes = fs::read(path).or_could(format_args!("read {}", path.shown()))?;
    SignedCheckpoint::parse(&bytes)
        .map_err(|error| Failure::Usage(format!("{} is no checkpoint: {error}", path.shown())))
}
