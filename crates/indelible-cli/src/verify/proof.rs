//! Verifying the proof of one record.

use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use indelible_merkle::leaf_hash;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::registry::{Proved, RecordProof};
use serde_json::json;

use super::Given;
use super::report::print_finding;
use super::source::Source;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Output, Show, Tone};

/// What nothing in a proof speaks for.
const UNCHECKED: &str = "whose record it is, its id and its time: they stand in the record, so say \
                         FILE with it";

/// Verifies the proof in `path`; with exports, also that the record is one of their lines.
///
/// # Errors
/// [`Failure::No`] when it does not hold or is no proof; [`Failure::Could`] when it cannot be read.
pub fn proof(path: &Path, exports: &[PathBuf], given: &Given, output: &mut Output) -> Result {
    let key = given.key.as_ref().ok_or_else(|| {
        Failure::Usage("a proof is worth what its key is: say --key with the key you trust".into())
    })?;
    let doing = || format!("read {}", path.shown());
    let bytes = fs::read(path).or_could(doing())?;
    let proof: RecordProof = match serde_json::from_slice(&bytes) {
        Ok(proof) => proof,
        Err(error) => {
            let finding = Finding::new(FindingKind::Corrupt, format!("it is no proof: {error}"));
            let file = path.display().to_string();
            return refuse(
                &Refused::Finding(finding.place(file, 0..bytes.len() as u64)),
                output,
            );
        }
    };
    let leaf = match find(&proof, exports)? {
        Found::Leaf(leaf) => Some(leaf),
        Found::NotAsked => None,
        Found::Missing => {
            let error = "the record is in none of the files";
            return refuse(&Refused::Error(error.to_owned()), output);
        }
    };
    let origin = proof.registry.checkpoint.lines().next().unwrap_or_default();
    let key = super::key_for(key, origin).unwrap_or_else(|| key.clone());
    match proof.verify(&key, leaf.as_deref()) {
        Ok(proved) => tell(&proved, output),
        Err(error) => refuse(&Refused::Error(error.to_string()), output),
    }
}

enum Found {
    NotAsked,
    Missing,
    Leaf(Vec<u8>),
}

/// The line of the exports that the proof is about.
fn find(proof: &RecordProof, exports: &[PathBuf]) -> Result<Found> {
    for path in exports {
        let Source { path, input, .. } = Source::open(path)?;
        for line in input.split(b'\n') {
            let line = line.or_could(format_args!("read {}", path.shown()))?;
            if leaf_hash(&line) == proof.receipt.record_hash {
                return Ok(Found::Leaf(line));
            }
        }
    }
    Ok(if exports.is_empty() {
        Found::NotAsked
    } else {
        Found::Missing
    })
}

/// Why a proof proves nothing.
enum Refused {
    /// It does not hold.
    Error(String),
    /// The file is not one that was written.
    Finding(Finding),
}

fn refuse(why: &Refused, output: &mut Output) -> Result {
    if output.json {
        let (error, findings) = match why {
            Refused::Error(error) => (error, vec![]),
            Refused::Finding(finding) => (&finding.message, vec![finding]),
        };
        let line = json!({"error": error, "findings": findings, "proved": false});
        output.json_line(&line)?;
        return Err(Failure::No);
    }
    let word = output.paint("NOT proved", Tone::Bad);
    output.line(format_args!("the record is {word}"))?;
    match why {
        Refused::Error(error) => output.line(format_args!("  {error}"))?,
        Refused::Finding(finding) => print_finding(finding, output)?,
    }
    Err(Failure::No)
}

/// Tells what was proved, and nothing else that the file says.
fn tell(proved: &Proved, output: &mut Output) -> Result {
    let origin = &proved.checkpoint.unverified().origin;
    let (number, log_id, slot) = (proved.sequence_number, &proved.log_id, proved.slot);
    let (hash, time) = (&proved.record_hash, &proved.snapshot.time);
    if output.json {
        return output.json_line(&json!({
            "error": null,
            "findings": [],
            "log_id": log_id,
            "origin": origin,
            "proved": true,
            "receipt": proved.receipt,
            "record_hash": hash,
            "sequence_number": number,
            "slot": slot,
            "snapshot_time": time,
            "unchecked": if proved.receipt.is_none() { vec![UNCHECKED] } else { Vec::new() },
        }));
    }
    let word = output.paint("proved", Tone::Good);
    match &proved.receipt {
        Some(receipt) => {
            let tenant = &receipt.tenant_id;
            output.line(format_args!("record {number} of {tenant} is {word}"))?;
            output.line(format_args!("  audit id     {}", receipt.audit_id))?;
            let at = receipt.ingested_at.to_rfc3339();
            output.line(format_args!("  committed    {at}"))?;
        }
        None => output.line(format_args!("record {number} of log {log_id} is {word}"))?,
    }
    output.line(format_args!("  record hash  {hash}"))?;
    output.line(format_args!(
        "  in log       {log_id}, slot {slot} of {origin}"
    ))?;
    output.line(format_args!(
        "  in snapshot  of {time}, by the signer's clock"
    ))?;
    if proved.receipt.is_none() {
        let text = output.paint(UNCHECKED, Tone::Warn);
        output.line(format_args!("  not checked  {text}"))?;
    }
    Ok(())
}
