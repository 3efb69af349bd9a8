//! A verdict in words and as JSON.

use std::fmt::Write as _;

use indelible_log::attachments::Checked;
use indelible_proof::finding::{Finding, FindingKind, records};
use indelible_proof::stream::{Completeness, Name};
use indelible_proof::verify::{Anchor, Trust, Verdict};
use serde_json::{Value, json};

use super::Given;
use crate::exit::Result;
use crate::output::{Output, Tone};

/// Streams that are told one by one; all are in the JSON.
const STREAMS_TOLD_MAX: usize = 20;

/// What is found of a log that is not as a checkpoint says.
const DO_NOT_HOLD: [FindingKind; 4] = [
    FindingKind::Forked,
    FindingKind::RolledBack,
    FindingKind::RootMismatch,
    FindingKind::TruncatedTail,
];
/// What is found of a checkpoint that says nothing of a log.
const NOT_COMPARED: [FindingKind; 2] = [FindingKind::BadSignature, FindingKind::UnknownCheckpoint];

/// What verifying one log came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file, if it was one.
    pub file: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Findings of what lies beside the records: disclosures, checkpoints.
    pub beside: Vec<Finding>,
    /// What the records name, where it could be looked at.
    pub attachments: Option<Checked>,
    /// Whether a checkpoint was there.
    pub has_checkpoint: bool,
    /// What was not checked, and why.
    pub unchecked: Vec<String>,
}

impl Report {
    /// Whether nothing was found, and the anchor is there if it must be.
    pub fn is_clean(&self, given: &Given) -> bool {
        let anchored = !given.require_anchor || self.covers_all();
        self.is_sound() && !self.has_gap() && anchored
    }

    pub(super) fn is_sound(&self) -> bool {
        self.verdict.is_sound() && self.beside.is_empty()
    }

    fn has_gap(&self) -> bool {
        let gap = |word| word == Completeness::UndeclaredGap;
        self.verdict
            .completeness
            .iter()
            .any(|stream| gap(stream.completeness()))
    }

    /// Whether a key from elsewhere vouches for every record.
    fn covers_all(&self) -> bool {
        match &self.verdict.anchored {
            Anchor::Checkpoint {
                size,
                trust: Trust::Key,
                ..
            } => *size >= self.verdict.head.size,
            _ => false,
        }
    }

    /// Prints the report.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, output: &mut Output) -> Result {
        if output.json {
            return output.json_line(&self.json());
        }
        let verdict = &self.verdict;
        let head = output.paint(&verdict.tenant_id, Tone::Bold);
        match &self.file {
            Some(file) => output.line(format_args!("{head} ({file})"))?,
            None => output.line(head)?,
        }
        let word = if self.is_sound() {
            output.paint("sound", Tone::Good)
        } else {
            output.paint("NOT SOUND", Tone::Bad)
        };
        output.line(format_args!("  integrity     {word}: {}", self.checked()))?;
        for finding in verdict.integrity.iter().chain(&self.beside) {
            print_finding(finding, output)?;
        }
        if verdict.findings_left_out > 0 {
            output.line(format_args!("    … and {} more", verdict.findings_left_out))?;
        }
        self.print_incarnation(output)?;
        self.print_attachments(output)?;
        self.print_completeness(output)?;
        let (anchor, tone) = self.anchor();
        let anchor = output.paint(&anchor, tone);
        output.line(format_args!("  anchor        {anchor}"))?;
        if let Some(root) = verdict.head.root {
            output.line(format_args!(
                "  head          {}, root {root}",
                records(verdict.head.size)
            ))?;
        }
        for text in &self.unchecked {
            let text = output.paint(text, Tone::Warn);
            output.line(format_args!("  not checked   {text}"))?;
        }
        Ok(())
    }

    /// What the log says about recoveries; nothing when there was none.
    fn print_incarnation(&self, output: &mut Output) -> Result {
        let verdict = &self.verdict;
        if verdict.incarnation > 1 {
            let of = verdict.incarnation;
            output.line(format_args!("  incarnation   {of}"))?;
        }
        for recovery in &verdict.recoveries {
            let text = output.paint(&recovery.to_string(), Tone::Warn);
            output.line(format_args!("    {text}"))?;
        }
        Ok(())
    }

    /// How many attachments there are; nothing when there are none.
    fn print_attachments(&self, output: &mut Output) -> Result {
        let Some(of) = self.attachments.as_ref().filter(|of| of.named > 0) else {
            return Ok(());
        };
        let lost = match of.lost {
            0 => String::new(),
            lost => output.paint(&format!(", {lost} missing or damaged"), Tone::Bad),
        };
        let erased = match of.erased {
            0 => String::new(),
            erased => format!(", {erased} erased"),
        };
        output.line(format_args!(
            "  attachments   {} named{erased}{lost}",
            of.named
        ))
    }

    fn print_completeness(&self, output: &mut Output) -> Result {
        let streams = &self.verdict.completeness;
        if streams.is_empty() {
            return output.line("  completeness  no producer's events are in this log");
        }
        for (index, stream) in streams.iter().enumerate() {
            let label = if index == 0 { "completeness" } else { "" };
            if index == STREAMS_TOLD_MAX {
                let more = streams.len() - index;
                return output.line(format_args!("  {label:<12}  … and {more} more streams"));
            }
            let tone = match stream.completeness() {
                Completeness::UndeclaredGap => Tone::Bad,
                Completeness::DeclaredLoss | Completeness::EndedUnclean => Tone::Warn,
                Completeness::Complete => Tone::Good,
                Completeness::Open | Completeness::Unnumbered => Tone::Plain,
            };
            let words = output.paint(&stream.to_string(), tone);
            let line = if let Some(name) = &stream.stream {
                format!("stream {}, epoch {}: {words}", Name(name), stream.epoch)
            } else {
                format!("{} {words}", records(stream.records))
            };
            output.line(format_args!("  {label:<12}  {line}"))?;
        }
        Ok(())
    }

    fn checked(&self) -> String {
        let verdict = &self.verdict;
        let mut text = match verdict.checked {
            Some(span) => format!(
                "{} checked ({} {span})",
                records(verdict.records_checked),
                if span.count() == 1 {
                    "number"
                } else {
                    "numbers"
                }
            ),
            None => "no records checked".to_owned(),
        };
        if verdict.stubs > 0 {
            let _ = write!(text, ", {} pruned: only their hashes", verdict.stubs);
        }
        text
    }

    /// Why no checkpoint anchors it.
    fn unanchored(&self) -> &'static str {
        let found = |kinds: &[FindingKind]| {
            let mut all = self.verdict.integrity.iter().chain(&self.beside);
            all.any(|finding| kinds.contains(&finding.kind))
        };
        if found(&DO_NOT_HOLD) {
            "no checkpoint that is here holds"
        } else if self.has_checkpoint || found(&NOT_COMPARED) {
            "no checkpoint that is here could be compared"
        } else {
            "no checkpoint"
        }
    }

    fn anchor(&self) -> (String, Tone) {
        let total = self.verdict.head.size;
        let consistent = if self.is_sound() {
            "consistent, not anchored"
        } else {
            "not anchored"
        };
        match &self.verdict.anchored {
            Anchor::None => (format!("{consistent}: {}", self.unanchored()), Tone::Warn),
            Anchor::Checkpoint {
                size,
                trust: Trust::Key,
                ..
            } if *size >= total => (
                "anchored: a checkpoint by the trusted key covers every record".into(),
                Tone::Good,
            ),
            Anchor::Checkpoint {
                size,
                trust: Trust::Key,
                ..
            } => (
                format!(
                    "anchored to {size} of {} by the trusted key",
                    records(total)
                ),
                Tone::Warn,
            ),
            Anchor::Checkpoint { size, .. } => (
                format!(
                    "{consistent}: the checkpoint at {size} is by the key that the log itself \
                     names; say --key with the key you trust"
                ),
                Tone::Warn,
            ),
        }
    }

    fn json(&self) -> Value {
        let verdict = &self.verdict;
        let anchor = match &verdict.anchored {
            Anchor::None => Value::Null,
            Anchor::Checkpoint {
                size,
                origin,
                trust,
            } => json!({
                "origin": origin,
                "size": size,
                "trust": match trust {
                    Trust::Key => "key",
                    Trust::Named => "named-by-the-log",
                    Trust::Store => "store",
                },
            }),
        };
        json!({
            "anchor": anchor,
            "anchored": self.covers_all(),
            "attachments": self.attachments.as_ref().map(|of| json!({
                "erased": of.erased,
                "lost": of.lost,
                "named": of.named,
            })),
            "audit_ids_compared": verdict.audit_ids_compared,
            "checked": verdict.checked.map(|span| [span.first, span.last]),
            "completeness": verdict.completeness,
            "file": self.file,
            "findings": verdict.integrity.iter().chain(&self.beside).collect::<Vec<_>>(),
            "findings_left_out": verdict.findings_left_out,
            "head": {
                "last_hash": verdict.head.last_hash,
                "root": verdict.head.root,
                "size": verdict.head.size,
            },
            "incarnation": verdict.incarnation,
            "integrity": if self.is_sound() { "sound" } else { "not-sound" },
            "log": verdict.identity,
            "records_checked": verdict.records_checked,
            "recoveries": verdict.recoveries,
            "stubs": verdict.stubs,
            "tenant_id": verdict.tenant_id,
            "unchecked": self.unchecked,
        })
    }
}

/// One line for what lies beside the logs, its findings, and what was not checked.
pub(super) fn print_part(
    name: &str,
    findings: &[Finding],
    unchecked: &[String],
    output: &mut Output,
) -> Result {
    print_whole(name, None, findings, unchecked, output)
}

/// As [`print_part()`] for what holds the logs as well, of which some are not sound: `unsound` says
/// how many.
pub(super) fn print_whole(
    name: &str,
    unsound: Option<&str>,
    findings: &[Finding],
    unchecked: &[String],
    output: &mut Output,
) -> Result {
    if output.json {
        let part = json!({"findings": findings, "part": name, "unchecked": unchecked});
        return output.json_line(&part);
    }
    let word = if let Some(unsound) = unsound {
        output.paint(&format!("NOT SOUND: {unsound}"), Tone::Bad)
    } else if !findings.is_empty() {
        output.paint("NOT SOUND", Tone::Bad)
    } else if unchecked.is_empty() {
        output.paint("sound", Tone::Good)
    } else {
        output.paint("sound as far as it was checked", Tone::Warn)
    };
    output.line(format_args!("{name}: {word}"))?;
    for finding in findings {
        print_finding(finding, output)?;
    }
    for text in unchecked {
        let text = output.paint(text, Tone::Warn);
        output.line(format_args!("  not checked   {text}"))?;
    }
    Ok(())
}

/// A finding for people, with its notes under it.
pub fn print_finding(finding: &Finding, output: &mut Output) -> Result {
    let mut alone = finding.clone();
    let notes = std::mem::take(&mut alone.notes);
    let text = output.paint(&alone.to_string(), Tone::Bad);
    output.line(format_args!("    {text}"))?;
    for note in notes {
        let text = output.paint(&note, Tone::Dim);
        output.line(format_args!("      {text}"))?;
    }
    Ok(())
}
