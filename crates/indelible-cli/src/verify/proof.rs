//! Verifying the proof of one record.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use indelible_merkle::leaf_hash;
use indelible_proof::registry::RecordProof;
use serde_json::json;

use super::Given;
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Output, Show, Tone};

/// Verifies the proof in `path`; with exports, also that the record is one of their lines.
///
/// # Errors
/// [`Failure::No`] when it does not hold; [`Failure::Could`] when it cannot be read.
pub fn proof(path: &Path, exports: &[PathBuf], given: &Given, output: &mut Output) -> Result {
    let key = given.key.as_ref().ok_or_else(|| {
        Failure::Usage("a proof is worth what its key is: say --key with the key you trust".into())
    })?;
    let doing = || format!("read {}", path.shown());
    let bytes = fs::read(path).or_could(doing())?;
    let proof: RecordProof = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Could(format!("{} is no proof: {error}", path.shown())))?;
    let leaf = match find(&proof, exports)? {
        Found::Leaf(leaf) => Some(leaf),
        Found::NotAsked => None,
        Found::Missing => {
            return tell(
                &proof,
                &Err("the record is in none of the files".into()),
                output,
            );
        }
    };
    let origin = proof.registry.checkpoint.lines().next().unwrap_or_default();
    let key = super::key_for(key, origin).unwrap_or_else(|| key.clone());
    let result = proof
        .verify(&key, leaf.as_deref())
        .map_err(|error| error.to_string());
    tell(&proof, &result.map(|proved| proved.snapshot.time), output)
}

enum Found {
    NotAsked,
    Missing,
    Leaf(Vec<u8>),
}

/// The line of the exports that the proof is about.
fn find(proof: &RecordProof, exports: &[PathBuf]) -> Result<Found> {
    for path in exports {
        let doing = || format!("read {}", path.shown());
        let file = File::open(path).or_could(doing())?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.or_could(doing())?;
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

fn tell(
    proof: &RecordProof,
    result: &std::result::Result<String, String>,
    output: &mut Output,
) -> Result {
    let receipt = &proof.receipt;
    let (tenant, number) = (&receipt.tenant_id, receipt.sequence_number);
    if output.json {
        output.json_line(&json!({
            "error": result.as_ref().err(),
            "proved": result.is_ok(),
            "receipt": receipt,
            "snapshot_time": result.as_ref().ok(),
        }))?;
    } else {
        let (word, tone) = if result.is_ok() {
            ("proved", Tone::Good)
        } else {
            ("NOT proved", Tone::Bad)
        };
        let word = output.paint(word, tone);
        output.line(format_args!("record {number} of {tenant} is {word}"))?;
        match result {
            Ok(time) => {
                output.line(format_args!("  record hash  {}", receipt.record_hash))?;
                output.line(format_args!(
                    "  in snapshot  of {time}, by the signer's clock"
                ))?;
            }
            Err(error) => output.line(format_args!("  {error}"))?,
        }
    }
    if result.is_ok() {
        Ok(())
    } else {
        Err(Failure::No)
    }
}
