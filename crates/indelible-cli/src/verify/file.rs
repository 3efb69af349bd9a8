//! Verifying an export: lines that are leaves, with disclosures and a checkpoint beside them.
//!
//! It streams: a file may be of any size, and a pipe.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::disclosure::DisclosureLine;
use indelible_proof::finding::{Finding, FindingKind, Place, Span, records};
use indelible_proof::note::VerifierKey;
use indelible_proof::tail::Tail;
use indelible_proof::verify::{LogVerifier, Verdict};

use super::checkpoints::{is_given, note};
use super::lines::{Form, LINE_ENDINGS, Lines};
use super::source::{BUFFER_BYTES, Source};
use super::{Given, Report, named_key};
use crate::exit::{Failure, OrCould, Result};
use crate::output::{Output, Show};

/// Lines looked at to learn whose log it is.
const LINES_LOOKED_AT_MAX: u64 = 1_000;
/// Records or disclosures asked whose log it is: one of them may have been altered.
const TENANTS_HEARD: usize = 9;
/// Stands for the tenant where nothing says it; no tenant is named so.
const UNKNOWN: &str = "(unknown)";

/// Verifies the export `path`; `-` is standard input.
///
/// # Errors
/// [`Failure::Could`] when it cannot be read; what is wrong with the log is in the report.
pub fn file(
    path: &Path,
    disclosures: Option<&Path>,
    given: &Given,
    output: &Output,
) -> Result<Report> {
    let source = Source::open(path)?;
    let mut values = Disclosures::open(&source, disclosures)?;
    let own = source.beside("checkpoint");
    let path = source.path.as_path();
    let doing = || format!("read {}", path.shown());
    let mut lines = Lines::new(source.input);
    let (tenant, named) = who(path, &mut lines, values.as_mut(), own.is_some())?;
    let mut verifier = LogVerifier::new(&tenant);
    let (mut beside, mut unchecked) = (Vec::new(), Vec::new());
    let signed = checkpoints(own.as_deref(), given, &tenant, &mut beside)?;
    for signed in &signed {
        let named = named.as_ref();
        if let Err(why) = note(&mut verifier, signed, given, named) {
            if is_given(signed, given) && named.is_some() {
                let kind = FindingKind::UnknownCheckpoint;
                beside.push(Finding::new(kind, why).tenant(&tenant));
            } else {
                unchecked.push(why);
            }
        }
    }
    match &values {
        Some(_) => verifier.expect_disclosures(),
        None => unchecked.push("sealed values: there are no disclosures".to_owned()),
    }
    let progress = output.progress();
    progress.of_bytes(&path.shown(), source.length);
    let mut position = 0;
    loop {
        lines.form.number = position;
        let Some(line) = lines.next().or_could(doing())? else {
            break;
        };
        if let Some(values) = &mut values {
            let number = Tail::scan(line).map_or(position, |tail| tail.sequence_number);
            values.give(number, &mut verifier)?;
        }
        progress.add(line.len() as u64 + 1);
        verifier.push(line);
        position += 1;
    }
    if let Some(values) = &mut values {
        values.finish(&mut verifier)?;
    }
    progress.clear();
    let mut verdict = verifier.finish();
    if position == 0 {
        beside.extend(nothing_there(path, &signed, &verdict, &beside)?);
    }
    let forms = [(path, Some(&lines.form))].into_iter().chain(
        values
            .as_ref()
            .map(|values| (values.path.as_path(), values.form())),
    );
    for (path, form) in forms {
        form_of(path, form, &mut verdict, &mut beside);
    }
    let file = Some(path.display().to_string());
    Ok(Report {
        attachments: None,
        file,
        verdict,
        beside,
        has_checkpoint: !signed.is_empty(),
        unchecked,
    })
}

/// An export without a record is sound for nobody: a checkpoint beside it says what is gone, also
/// where there is no key to check it with.
fn nothing_there(
    path: &Path,
    signed: &[SignedCheckpoint],
    verdict: &Verdict,
    beside: &[Finding],
) -> Result<Option<Finding>> {
    let size = signed.iter().map(|signed| signed.unverified().size).max();
    match size.filter(|size| *size > 0) {
        _ if !verdict.is_sound() => Ok(None),
        Some(size) => {
            let message = format!("the checkpoint is of {}, there are none", records(size));
            let mut finding = Finding::new(FindingKind::TruncatedTail, message)
                .tenant(&verdict.tenant_id)
                .records(Span::new(0, size - 1));
            finding.note("the checkpoint's signature was not checked: there is no key for it");
            Ok(Some(finding))
        }
        None if !beside.is_empty() => Ok(None),
        None => Err(Failure::Could(format!("{} holds no records", path.shown()))),
    }
}

/// Says what else of a file is not as an export writes it: under the finding it comes with, or as
/// one of its own.
fn form_of(path: &Path, form: Option<&Form>, verdict: &mut Verdict, beside: &mut Vec<Finding>) {
    let Some((message, span, bytes)) = form.and_then(Form::says) else {
        return;
    };
    let meets = |of: Span| of.first <= span.last && span.first <= of.last;
    let found = verdict.integrity.iter_mut().chain(beside.iter_mut());
    for finding in found {
        if finding.records.is_some_and(meets) {
            return finding.note(format!("{}: {message}", path.shown()));
        }
    }
    let mut finding = Finding::new(FindingKind::Corrupt, message).tenant(&verdict.tenant_id);
    // What stands behind the last record is no record.
    if span.first < verdict.head.size {
        finding = finding.records(Span::new(span.first, span.last.min(verdict.head.size - 1)));
    }
    beside.push(finding.place(path.display().to_string(), bytes));
}

/// Whose log it is, as most of the first records or disclosures say, and the key that its first
/// record names. With a checkpoint beside it, it may be an export of which nothing is left.
fn who(
    path: &Path,
    lines: &mut Lines<impl BufRead>,
    values: Option<&mut Disclosures>,
    has_checkpoint: bool,
) -> Result<(String, Option<VerifierKey>)> {
    let doing = || format!("read {}", path.shown());
    let (mut named, mut said) = (None, Vec::new());
    for index in 0..LINES_LOOKED_AT_MAX {
        lines.form.number = index;
        let Some(line) = lines.look().or_could(doing())? else {
            break;
        };
        let Ok(tail) = Tail::scan(line) else { continue };
        let tenant = tail.tenant_id.to_owned();
        if index == 0 {
            named = named_key(&tenant, line);
        }
        said.push(tenant);
        if said.len() == TENANTS_HEARD {
            break;
        }
    }
    if let Some(values) = values.filter(|_| said.is_empty()) {
        let doing = || format!("read {}", values.path.shown());
        while said.len() < TENANTS_HEARD
            && let Some(line) = values.lines.look().or_could(doing())?
        {
            said.extend(DisclosureLine::parse(line).ok().map(|line| line.tenant_id));
        }
    }
    let count = |tenant: &String| said.iter().filter(|said| *said == tenant).count();
    match said.iter().max_by_key(|tenant| count(tenant)) {
        Some(tenant) => Ok((tenant.clone(), named)),
        None if has_checkpoint => Ok((UNKNOWN.to_owned(), None)),
        None => {
            let path = path.shown();
            let text = format!("{path} is no export: none of its lines is a record");
            Err(Failure::Could(text))
        }
    }
}

/// The checkpoint given, and the one beside the export; that one not being any is a finding.
fn checkpoints(
    own: Option<&Path>,
    given: &Given,
    tenant: &str,
    findings: &mut Vec<Finding>,
) -> Result<Vec<SignedCheckpoint>> {
    let mut found: Vec<_> = given.checkpoint.iter().cloned().collect();
    if let Some(own) = own {
        let bytes = std::fs::read(own).or_could(format_args!("read {}", own.shown()))?;
        match SignedCheckpoint::parse(&bytes) {
            Ok(signed) => found.push(signed),
            Err(error) => {
                let message = format!("it is no checkpoint, so nothing is anchored by it: {error}");
                let mut finding = Finding::new(FindingKind::Corrupt, message).tenant(tenant);
                if bytes.contains(&b'\r') {
                    finding.note(LINE_ENDINGS);
                }
                let file = own.display().to_string();
                findings.push(finding.place(file, 0..bytes.len() as u64));
            }
        }
    }
    Ok(found)
}

/// The disclosures beside an export, read in step with it.
struct Disclosures {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    waiting: Option<DisclosureLine>,
    /// Whether there is any line.
    any: bool,
    /// Lines that cannot be read, since the last that could: bytes, first and last line.
    unread: Option<(Range<u64>, u64, u64)>,
}

impl Disclosures {
    fn open(export: &Source, named: Option<&Path>) -> Result<Option<Self>> {
        let named = named.map(Path::to_path_buf);
        let Some(path) = named.or_else(|| export.beside("disclosures")) else {
            return Ok(None);
        };
        let file = File::open(&path).or_could(format_args!("read {}", path.shown()))?;
        let lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, file));
        Ok(Some(Self {
            path,
            lines,
            waiting: None,
            any: false,
            unread: None,
        }))
    }

    /// Gives the verifier what belongs to records up to `number`.
    fn give(&mut self, number: u64, verifier: &mut LogVerifier) -> Result {
        loop {
            let line = match self.waiting.take() {
                Some(line) => line,
                None => match self.next(verifier)? {
                    Some(line) => line,
                    None => return Ok(()),
                },
            };
            if line.sequence_number > number || !verifier.has_room() {
                self.waiting = Some(line);
                return Ok(());
            }
            verifier.disclosures(line);
        }
    }

    /// Gives what is left.
    fn finish(&mut self, verifier: &mut LogVerifier) -> Result {
        self.give(u64::MAX, verifier)?;
        if !self.any {
            let place = self.place(0..0);
            let all = Span::new(0, u64::MAX);
            verifier.unreadable_disclosures(all, place, "there are no disclosures in the file");
        }
        Ok(())
    }

    fn place(&self, bytes: Range<u64>) -> Place {
        let file = self.path.display().to_string();
        Place { file, bytes }
    }

    /// What is odd about the file beside its lines; nothing where they say enough.
    fn form(&self) -> Option<&Form> {
        Some(&self.lines.form).filter(|_| self.any)
    }

    fn next(&mut self, verifier: &mut LogVerifier) -> Result<Option<DisclosureLine>> {
        let before = self.lines.form.number;
        loop {
            let doing = || format!("read {}", self.path.shown());
            let read = self.lines.next().or_could(doing())?;
            let line = read.map(DisclosureLine::parse);
            self.any |= line.is_some();
            match line {
                Some(Err(_)) => {
                    let (place, number) = self.lines.place();
                    let first = (place.clone(), number, number);
                    let (bytes, _, last) = self.unread.get_or_insert(first);
                    (bytes.end, *last) = (place.end, number);
                }
                Some(Ok(line)) => {
                    self.lines.form.number = line.sequence_number;
                    self.tell_unread(before, line.sequence_number, verifier);
                    return Ok(Some(line));
                }
                None => {
                    self.tell_unread(before, u64::MAX, verifier);
                    return Ok(None);
                }
            }
        }
    }

    fn tell_unread(&mut self, before: u64, next: u64, verifier: &mut LogVerifier) {
        let Some((bytes, first, last)) = self.unread.take() else {
            return;
        };
        let mut message = if first == last {
            format!("line {first} is no line of disclosures")
        } else {
            format!("lines {first} to {last} are no lines of disclosures")
        };
        if next == u64::MAX && std::mem::take(&mut self.lines.form.cut) {
            message.push_str(", and the file ends in the middle of it");
        }
        let between = Span::new(before.min(next), next);
        verifier.unreadable_disclosures(between, self.place(bytes), &message);
    }
}
