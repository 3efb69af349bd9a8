//! Checking every byte of a data directory, and mending what is derived.
//!
//! Damage to records is named by tenant and sequence numbers as whoever reads the logs is told of
//! it: by block or personal value where the directory of the file is whole, else by the gap it
//! leaves. Damage around records that can all be read is named by the records of the frame.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use indelible_disk::Open;
use indelible_event::ids::TenantId;
use indelible_proof::damage::Damages;
use indelible_proof::finding::{Finding, FindingKind, Place, Span};
use indelible_store::{Kind, Result, Stored};

use crate::container::facts_of;
use crate::directory::{Directory, HOLE};
use crate::failure::from_disk;
use crate::format::Format;
use crate::frame::FILE_HEADER_BYTES;
use crate::heads::Heads;
use crate::manifest::{Manifest, SegmentFacts};
use crate::open::Tell;
use crate::options::Progress;
use crate::part::PartRef;
use crate::records::{RecordFile, Scanner, Step};
use crate::repair::{HeaderState, MADE, path_of};
use crate::store::Store;

/// A damaged stretch of a file of records: its bytes and the rows they hold.
struct Stretch {
    bytes: Range<u64>,
    rows: Range<u32>,
}

impl Store {
    /// Reads everything and says what is not as it was written.
    pub(crate) fn check(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        self.check_small(&mut findings)?;
        let view = self.view();
        let total = Some(view.parts.len() as u64);
        for (done, part) in (0_u64..).zip(&view.parts) {
            tell(Progress {
                what: "checking files".to_owned(),
                done,
                total,
            });
            match part {
                PartRef::Segment(segment) => {
                    self.check_segment(part, &segment.facts, &mut findings)?;
                }
                PartRef::Tail(tail) => {
                    self.check_header(part, &tail.records, &mut findings)?;
                    let limit = self.end_of(tail.first);
                    let index = tail.index.read();
                    let directory = Some(&index.directory);
                    check_records(&tail.records, limit, directory, &mut findings)?;
                }
            }
        }
        self.name_records(&mut findings)?;
        Ok(findings)
    }

    /// Puts the records that cannot be read in the place of the bytes they stood in: as whoever
    /// reads the logs is told of them.
    fn name_records(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let unread = self.mending(|| self.find_unread())?;
        let is_damage = |finding: &Finding| finding.kind == FindingKind::Corrupt;
        if unread.is_empty() && !findings.iter().any(is_damage) {
            return Ok(());
        }
        // What was damaged since it was read.
        self.caches.clear();
        let mut tenants: Vec<_> = self.heads.read().map.keys().cloned().collect();
        tenants.sort();
        let mut named = Vec::new();
        for tenant in tenants {
            let mut damages = Damages::default();
            let read = self.read(&tenant, 0..u64::MAX, &mut |stored| {
                match stored {
                    Stored::Damaged { range, place } => {
                        let span = Span::new(range.start, range.end.saturating_sub(1));
                        damages.records(span, &place);
                    }
                    Stored::Record(record) => {
                        if let Some(place) = record.unread {
                            damages.values(record.sequence_number, place);
                        }
                    }
                }
                ControlFlow::Continue(())
            });
            match read {
                // Nothing can be told of it, but what is damaged.
                Err(error) if error.kind() == Kind::Corrupt => {}
                read => read?,
            }
            let of_it = |finding: Finding| finding.tenant(tenant.as_str());
            named.extend(damages.findings().map(of_it));
        }
        findings.retain(|finding| !is_damage(finding) || !is_named(finding, &named));
        findings.extend(named);
        for unread in unread.iter().filter(|unread| unread.log.is_none()) {
            let Place { file, bytes } = unread.place.clone();
            let said = "these bytes are no records, and may have been";
            let finding = Finding::new(FindingKind::Corrupt, said).place(file, bytes);
            if !is_named(&finding, findings) {
                findings.push(finding);
            }
        }
        Ok(())
    }

    /// The bytes of the file that is appended to that are known to be written.
    fn end_of(&self, first: u64) -> Option<u64> {
        let writer = self.writer.lock();
        writer
            .as_ref()
            .filter(|writer| writer.tail.first == first)
            .map(|writer| writer.end)
    }

    /// The files that are not of a segment.
    fn check_small(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let disk = &*self.disk;
        let whole = |path: &str| -> Result<Range<u64>> {
            Ok(0..disk.len(path).map_err(from_disk)?.unwrap_or(0))
        };
        match Format::load(disk) {
            Ok(format) if format == self.format => {}
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            _ => {
                let path = crate::format::PATH;
                let finding = Finding::new(FindingKind::Corrupt, "FORMAT is not what was written");
                findings.push(finding.place(path, whole(path)?));
            }
        }
        // Beside a writer the two may be newer than what was opened, and are whole all the same.
        let path = crate::manifest::PATH;
        let ours = self.manifest.lock();
        let there = Manifest::load(disk)?;
        let differs = there.as_ref().is_some_and(|there| *there != *ours);
        let damaged = there.is_none() && (!ours.segments.is_empty() || !whole(path)?.is_empty());
        if damaged || (differs && !self.options.read_only) {
            findings.push(derived(path, whole(path)?));
        }
        // As of another end they are computed on opening, and no worse for it.
        if !ours.segments.is_empty() && Heads::load(disk).is_none() {
            let path = crate::heads::PATH;
            findings.push(derived(path, whole(path)?));
        }
        Ok(())
    }

    fn check_segment(
        &self,
        part: &PartRef,
        segment: &SegmentFacts,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let path = path_of(segment, "records");
        let limit = segment.file("records").map(|file| file.bytes);
        let file = RecordFile::open(&*self.disk, &path, Open::Read, &self.caches);
        let damaged = self.damaged_files(segment)?;
        let lost = matches!(&file, Err(error) if error.kind() == Kind::NotFound);
        if (lost || !damaged.is_empty()) && !self.is_named(segment)? {
            // Merged meanwhile: its records are still open here, what was derived is of no use.
            let records = part.records()?;
            return part
                .with(|part| check_records(records, limit, part.directory().ok(), findings));
        }
        for name in damaged {
            let path = path_of(segment, name);
            let length = self.disk.len(&path).map_err(from_disk)?;
            // What is not there with its records cannot be made again.
            if length.is_some() || !lost {
                findings.push(derived(&path, 0..length.unwrap_or(0)));
            }
        }
        if lost {
            let bytes = 0..limit.unwrap_or(0);
            let finding = Finding::new(FindingKind::Corrupt, "the file is not there");
            findings.push(finding.place(&path, bytes));
            return Ok(());
        }
        let file = file?;
        self.check_header(part, &file, findings)?;
        part.with(|part| check_records(&file, limit, part.directory().ok(), findings))
    }

    /// The header of a file of records: what is not what was written is made again from what the
    /// directory says of the file, where its first frame proves that.
    fn check_header(
        &self,
        part: &PartRef,
        file: &RecordFile,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let (kind, said) = match self.header_of(part, file)? {
            HeaderState::Whole => return Ok(()),
            HeaderState::Proved(_) => (
                FindingKind::DerivedDamaged,
                "the header of the file is not what was written, and can be made again",
            ),
            HeaderState::Lost => (
                FindingKind::Corrupt,
                "the header of the file is not what was written",
            ),
        };
        let length = file.file.len().map_err(from_disk)?;
        let bytes = 0..length.min(FILE_HEADER_BYTES as u64);
        findings.push(Finding::new(kind, said).place(&file.path, bytes));
        Ok(())
    }

    /// The derived files of a segment that are not what was written.
    pub(crate) fn damaged_files(&self, segment: &SegmentFacts) -> Result<Vec<&'static str>> {
        let mut damaged = Vec::new();
        for name in MADE {
            let expected = segment.file(name).map(crate::manifest::FileLine::facts);
            let there = match facts_of(&*self.disk, &path_of(segment, name), None) {
                Err(error) if error.kind() == Kind::NotFound => None,
                facts => Some(facts?),
            };
            if there.is_none() || there != expected {
                damaged.push(name);
            }
        }
        Ok(damaged)
    }

    /// Whether the find index lacks rows though there is an opener now.
    fn is_openable(&self, segment: &SegmentFacts) -> Result<bool> {
        let shown = self
            .segments()
            .into_iter()
            .find(|s| s.facts.first == segment.first);
        match (&self.opener, shown) {
            (Some(_), Some(shown)) => Ok(!shown.personal()?.is_complete()),
            _ => Ok(false),
        }
    }

    /// Mends what is derived and returns what was wrong with it.
    pub(crate) fn repair(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        let _held = self.maintenance.lock();
        let found = self.check(tell)?;
        // Files that stay damaged, since their records are.
        let mut kept = Vec::new();
        let segments = self.manifest.lock().segments.clone();
        for segment in &segments {
            let mut damaged = self.damaged_files(segment)?;
            if !damaged.contains(&"personal") && self.is_openable(segment)? {
                damaged.push("personal");
            }
            if !damaged.is_empty() && !self.rebuild(segment, &damaged, tell)? {
                kept.extend(damaged.iter().map(|name| path_of(segment, name)));
            }
        }
        for part in &self.view().parts {
            self.mend_header(part)?;
        }
        let manifest = self.manifest.lock();
        let end = manifest.end();
        if found
            .iter()
            .any(|finding| is_at(finding, crate::manifest::PATH))
        {
            manifest.store(&*self.disk)?;
        }
        drop(manifest);
        if found
            .iter()
            .any(|finding| is_at(finding, crate::heads::PATH))
        {
            self.compute_heads(tell)?.store(&*self.disk, end)?;
        }
        Ok(found
            .into_iter()
            .filter(|finding| finding.kind.repairable())
            .filter(|finding| !kept.iter().any(|path| is_at(finding, path)))
            .collect())
    }
}

/// Whether bytes of a finding are those of one of the others.
fn is_named(finding: &Finding, others: &[Finding]) -> bool {
    let mut places = others.iter().filter_map(|other| other.place.as_ref());
    let place = finding.place.as_ref();
    place.is_some_and(|place| places.any(|other| place.overlaps(other)))
}

fn is_at(finding: &Finding, path: &str) -> bool {
    finding
        .place
        .as_ref()
        .is_some_and(|place| place.file == path)
}

fn derived(path: &str, bytes: Range<u64>) -> Finding {
    let said = "the file is not what was written, and can be made again";
    Finding::new(FindingKind::DerivedDamaged, said).place(path, bytes)
}

/// Walks the frames of a file of records.
fn check_records(
    file: &RecordFile,
    limit: Option<u64>,
    directory: Option<&Directory>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut scanner = Scanner::new(Arc::clone(&file.file), limit)?;
    let mut row = 0;
    let mut damaged: Option<Range<u64>> = None;
    loop {
        let (bytes, next_row, done) = match scanner.step()? {
            Step::Frame { header, .. } => {
                let stretch = damaged.take();
                let first = header.first_row;
                let after = first.saturating_add(header.records);
                if let Some(bytes) = stretch {
                    report(
                        file,
                        &Stretch {
                            bytes,
                            rows: row..first,
                        },
                        directory,
                        findings,
                    );
                }
                row = after;
                continue;
            }
            Step::Damaged(bytes) => {
                let from = damaged.map_or(bytes.start, |before| before.start);
                damaged = Some(from..bytes.end);
                continue;
            }
            Step::Torn { bytes, clean } => {
                let unfinished = clean && limit.is_none();
                (
                    Some(bytes).filter(|_| !unfinished),
                    directory.map_or(row, |d| d.rows),
                    true,
                )
            }
            Step::End => (None, row, true),
        };
        let bytes = damaged
            .take()
            .into_iter()
            .chain(bytes)
            .reduce(|a, b| a.start..b.end);
        if let Some(bytes) = bytes {
            report(
                file,
                &Stretch {
                    bytes,
                    rows: row..next_row,
                },
                directory,
                findings,
            );
        }
        if done {
            return Ok(());
        }
    }
}

/// Names a damaged stretch by all records whose frames are in it: those that cannot be read are
/// named closer by reading them, and where all can it is what holds them that is damaged.
fn report(
    file: &RecordFile,
    stretch: &Stretch,
    directory: Option<&Directory>,
    findings: &mut Vec<Finding>,
) {
    let said = "stored bytes are not what was written";
    let finding =
        || Finding::new(FindingKind::Corrupt, said).place(&file.path, stretch.bytes.clone());
    let places = directory.map_or_else(Vec::new, |directory| places(directory, &stretch.rows));
    if places.is_empty() {
        findings.push(finding());
    }
    let named = places.into_iter();
    findings.extend(named.map(|(tenant, span)| finding().tenant(tenant.as_str()).records(span)));
}

/// Whose records the rows hold.
fn places<'a>(directory: &'a Directory, rows: &Range<u32>) -> Vec<(&'a TenantId, Span)> {
    let mut places: Vec<(&TenantId, Span)> = Vec::new();
    let mut row = rows.start;
    while row < rows.end {
        let run = directory
            .runs
            .partition_point(|run| run.row <= row)
            .saturating_sub(1);
        let number = crate::bytes::to_u32(run);
        let end = directory.rows_of(number).end.min(rows.end).max(row + 1);
        if let Some(run) = directory.runs.get(run).filter(|run| run.tenant != HOLE)
            && let Some(part) = directory.tenant(run.tenant)
        {
            let first = run.first_seq + u64::from(row - run.row);
            let last = run.first_seq + u64::from(end - 1 - run.row);
            match places.last_mut() {
                Some((tenant, span)) if **tenant == part.tenant && span.last + 1 == first => {
                    span.last = last;
                }
                _ => places.push((&part.tenant, Span::new(first, last))),
            }
        }
        row = end;
    }
    places
}
