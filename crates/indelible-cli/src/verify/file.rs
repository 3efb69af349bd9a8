//! Verifying an export: lines that are leaves, with disclosures and a checkpoint beside them.
//!
//! It streams: a file may be of any size.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::disclosure::DisclosureLine;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::note::VerifierKey;
use indelible_proof::tail::Tail;
use indelible_proof::verify::{LogVerifier, Trust};

use super::{Given, Report, key_for};
use crate::exit::{Failure, OrCould, Result};
use crate::export_names::beside;
use crate::output::{Output, Show};

/// A line longer than this is no leaf; the verifier says so from its beginning.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines looked at to learn whose log it is.
const LINES_LOOKED_AT_MAX: usize = 1_000;
const BUFFER_BYTES: usize = 256 * 1024;

/// Verifies the export `path`.
///
/// # Errors
/// [`Failure::Could`] when it cannot be read; what is wrong with the log is in the report.
pub fn file(
    path: &Path,
    disclosures: Option<&Path>,
    given: &Given,
    output: &Output,
) -> Result<Report> {
    let doing = || format!("read {}", path.shown());
    let (tenant, named) = who(path)?;
    let mut verifier = LogVerifier::new(&tenant);
    let mut beside_findings = Vec::new();
    let mut unchecked = Vec::new();
    for signed in checkpoints(path, given)? {
        note(
            &mut verifier,
            &signed,
            given,
            named.as_ref(),
            &mut unchecked,
        );
    }
    let mut values = Disclosures::open(path, disclosures)?;
    match &values {
        Some(_) => verifier.expect_disclosures(),
        None => unchecked.push("sealed values: there are no disclosures".to_owned()),
    }
    let source = File::open(path).or_could(doing())?;
    let length = source.metadata().map_or(0, |meta| meta.len());
    let progress = output.progress();
    progress.of_bytes(&path.shown(), Some(length));
    let mut lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, source));
    let mut position = 0;
    while let Some(line) = lines.next().or_could(doing())? {
        let bytes = line.len() as u64 + 1;
        if let Some(values) = &mut values {
            let number = Tail::scan(line).map_or(position, |tail| tail.sequence_number);
            values.give(number, &mut verifier, &mut beside_findings)?;
        }
        verifier.push(line);
        position += 1;
        progress.add(bytes);
    }
    if let Some(values) = &mut values {
        values.give(u64::MAX, &mut verifier, &mut beside_findings)?;
    }
    progress.clear();
    let verdict = verifier.finish();
    if position == 0 {
        return Err(Failure::Could(format!("{} holds no records", path.shown())));
    }
    let file = Some(path.display().to_string());
    Ok(Report {
        file,
        verdict,
        beside: beside_findings,
        unchecked,
    })
}

/// Whose log it is, and the key that its first record names.
fn who(path: &Path) -> Result<(String, Option<VerifierKey>)> {
    let doing = || format!("read {}", path.shown());
    let mut lines = Lines::new(BufReader::new(File::open(path).or_could(doing())?));
    let mut named = None;
    for index in 0..LINES_LOOKED_AT_MAX {
        let Some(line) = lines.next().or_could(doing())? else {
            break;
        };
        let Ok(tail) = Tail::scan(line) else { continue };
        let tenant = tail.tenant_id.to_owned();
        if index == 0 {
            let mut first = LogVerifier::new(&tenant);
            first.push(line);
            named = first
                .finish()
                .identity
                .and_then(|who| who.verifier_key.parse().ok());
        }
        return Ok((tenant, named));
    }
    let text = format!(
        "{} is no export: none of its lines is a record",
        path.shown()
    );
    Err(Failure::Could(text))
}

fn checkpoints(path: &Path, given: &Given) -> Result<Vec<SignedCheckpoint>> {
    let mut found: Vec<_> = given.checkpoint.iter().cloned().collect();
    let own = beside(path, "checkpoint");
    if own.is_file() {
        let doing = || format!("use {}", own.shown());
        let bytes = std::fs::read(&own).or_could(doing())?;
        found.push(SignedCheckpoint::parse(&bytes).or_could(doing())?);
    }
    Ok(found)
}

/// Gives a checkpoint to the verifier under the key that is trusted most.
fn note(
    verifier: &mut LogVerifier,
    signed: &SignedCheckpoint,
    given: &Given,
    named: Option<&VerifierKey>,
    unchecked: &mut Vec<String>,
) {
    let origin = &signed.unverified().origin;
    let kept = given.checkpoint.as_ref() == Some(signed);
    let trusted = given.key.as_ref().map(|key| {
        // Under its own name the verifier reports that it belongs to another log.
        (
            key_for(key, origin).unwrap_or_else(|| key.clone()),
            Trust::Key,
        )
    });
    let by_name = || {
        let trust = if kept { Trust::Key } else { Trust::Named };
        named
            .and_then(|key| key_for(key, origin))
            .map(|key| (key, trust))
    };
    match trusted.or_else(by_name) {
        Some((key, trust)) => {
            verifier.checkpoint(signed, &key, trust);
        }
        None => unchecked.push(format!(
            "the checkpoint of {origin}: no key for it, say --key"
        )),
    }
}

/// The disclosures beside an export, read in step with it.
struct Disclosures {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    waiting: Option<DisclosureLine>,
    number: u64,
}

impl Disclosures {
    fn open(export: &Path, named: Option<&Path>) -> Result<Option<Self>> {
        let path = named.map_or_else(|| beside(export, "disclosures"), Path::to_path_buf);
        if named.is_none() && !path.is_file() {
            return Ok(None);
        }
        let file = File::open(&path).or_could(format_args!("read {}", path.shown()))?;
        let lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, file));
        Ok(Some(Self {
            path,
            lines,
            waiting: None,
            number: 0,
        }))
    }

    /// Gives the verifier what belongs to records up to `number`.
    fn give(
        &mut self,
        number: u64,
        verifier: &mut LogVerifier,
        findings: &mut Vec<Finding>,
    ) -> Result {
        loop {
            let line = match self.waiting.take() {
                Some(line) => line,
                None => match self.next(findings)? {
                    Some(line) => line,
                    None => return Ok(()),
                },
            };
            if line.sequence_number > number {
                self.waiting = Some(line);
                return Ok(());
            }
            if !verifier.disclosures(line) {
                let text = format!("{} is not sorted by sequence number", self.path.shown());
                return Err(Failure::Could(text));
            }
        }
    }

    fn next(&mut self, findings: &mut Vec<Finding>) -> Result<Option<DisclosureLine>> {
        loop {
            let doing = || format!("read {}", self.path.shown());
            let Some(line) = self.lines.next().or_could(doing())? else {
                return Ok(None);
            };
            self.number += 1;
            match DisclosureLine::parse(line) {
                Ok(line) => return Ok(Some(line)),
                Err(error) => {
                    let message = format!("line {} of {}: {error}", self.number, self.path.shown());
                    findings.push(Finding::new(FindingKind::SealedValueMismatch, message));
                }
            }
        }
    }
}

/// Lines of a file into a buffer that is used again; blank lines are passed over.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
        }
    }

    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES_MAX as u64;
            let read = self
                .input
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if read == LINE_BYTES_MAX {
                self.input.skip_until(b'\n')?;
            }
            if !self.line.is_empty() {
                break;
            }
        }
        Ok(Some(&self.line))
    }
}
