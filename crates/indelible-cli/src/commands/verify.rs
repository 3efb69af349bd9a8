//! `verify`: whether a data directory, a server's logs, an export or a proof is what was committed.
//!
//! Two verdicts, never one: integrity (every record is what was committed, in that order) and
//! completeness (whether a producer's numbered events are all there). Beside them, who vouches for
//! it: without a key from elsewhere the word is *consistent, not anchored*.

use std::fs;
use std::path::Path;

use indelible_event::ids::TenantId;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::note::VerifierKey;

use crate::args::Verify;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Output, Show};
use crate::process::{tenant_named, tenant_to_read};
use crate::remote::Remote;
use crate::verify::{self, Given, Report};

/// Verifies what was named, else the server's logs or the data directory.
pub fn run(args: &Verify, config: &Config, output: &mut Output) -> Result {
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        let text = "standard input (-) can be read only once";
        return Err(Failure::Usage(text.to_owned()));
    }
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
        clean = match Remote::meant(&args.through, config, output)? {
            Some(remote) => {
                let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
                verify::server(&remote, tenant.as_ref(), &given, output)?
            }
            None => verify::data(args.tenant.as_deref(), &given, config, output)?,
        };
    }
    let asked = args.tenant.as_deref().map(tenant_named).transpose()?;
    for file in &args.files {
        let mut report = verify::file(file, args.disclosures.as_deref(), &given, output)?;
        report.beside.extend(other_tenant(&report, asked.as_ref()));
        clean &= print(&report, &given, output)?;
    }
    if clean { Ok(()) } else { Err(Failure::No) }
}

fn print(report: &Report, given: &Given, output: &mut Output) -> Result<bool> {
    report.print(output)?;
    Ok(report.is_clean(given))
}

/// The finding when an export is of another tenant than the one asked for.
fn other_tenant(report: &Report, asked: Option<&TenantId>) -> Option<Finding> {
    let of = &report.verdict.tenant_id;
    let asked = asked.filter(|asked| asked.as_str() != of)?;
    let message = format!("the export is of tenant {of}, and {asked} was asked for");
    Some(Finding::new(FindingKind::WrongTenant, message).tenant(of))
}

/// A verifier key, as text or in a file.
fn key(text: &str) -> Result<VerifierKey> {
    let content = fs::read_to_string(text);
    let key = content.as_deref().unwrap_or(text).trim().parse();
    key.map_err(|error| {
        let why = match content {
            Ok(_) => format!("{text}: {error}"),
            Err(unread) => format!("there is no file `{text}` to read ({unread}), and {error}"),
        };
        Failure::Usage(format!(
            "--key: {why}; it is a file, or text like example.com+1234abcd+ABC…, as `indelible \
             keys show` prints it"
        ))
    })
}

fn checkpoint(path: &Path) -> Result<SignedCheckpoint> {
    let bytes = fs::read(path).or_could(format_args!("read {}", path.shown()))?;
    SignedCheckpoint::parse(&bytes)
        .map_err(|error| Failure::Usage(format!("{} is no checkpoint: {error}", path.shown())))
}
