//! `export`: a tenant's log as lines that anyone can verify, disclosures and checkpoint beside.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indelible_event::ids::TenantId;
use indelible_event::leaf::LeafView;
use indelible_log::export::{Exported, Summary, export, published_head};
use indelible_log::registry::PublishedHead;
use indelible_proof::finding::records;
use indelible_query::{Damage, Lost};
use serde_json::json;

use crate::args::Export;
use crate::cancel;
use crate::config::Config;
use crate::damage::{Told, where_of};
use crate::exit::{Failure, OrCould, Result};
use crate::export_names::beside;
use crate::ledger::{self, Reading};
use crate::output::{Output, Show};
use crate::process::{file_named, tenant_to_read};

/// Writes the files, or the leaves to standard output.
pub fn run(args: &Export, config: &Config, output: &mut Output) -> Result {
    let named = tenant_to_read(args.tenant.as_deref(), config)?;
    let kept = ledger::kept(config)?;
    let reading = ledger::read(config, output)?;
    let extends = ledger::extends_signed(&kept, &reading, output)?;
    let tenant = match named {
        Some(tenant) => tenant,
        None => only_tenant(&reading)?,
    };
    let head = if reading.has_state() {
        Some(published_head(&reading.stores, &tenant).or_could("export")?)
    } else {
        None
    };
    let of = Of {
        args,
        reading: &reading,
        tenant: &tenant,
        head: head.as_ref(),
    };
    let out = file_named(args.out.as_deref());
    if let Some(out) = out.filter(|out| indelible_directory::is_within(out, &reading.path)) {
        return Err(Failure::Could(format!(
            "{} lies in the data directory: export to another",
            out.shown()
        )));
    }
    let (summary, damage) = match out {
        None => of.to_output(output)?,
        Some(out) => of.to_files(out)?,
    };
    tell(&of, out, &summary, output)?;
    damage.tell("the export lacks records", output)?;
    if extends && of.is_whole(&summary) {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

/// Says what was exported and what of it is not as it should be.
fn tell(of: &Of<'_>, out: Option<&Path>, summary: &Summary, output: &mut Output) -> Result {
    let Of {
        args, tenant, head, ..
    } = of;
    if output.json {
        let line = json!({
            "attachments": summary.attachments,
            "damaged": summary.damaged,
            "damaged_values": summary.damaged_values,
            "disclosures": summary.disclosures,
            "forked": summary.forked,
            "records": summary.records,
            "root": head.map(|head| head.root),
            "sealed": summary.closed,
            "size": summary.size,
            "tenant_id": tenant,
            "unpublished": of.unpublished(),
        });
        match out {
            Some(_) => output.json_line(&line)?,
            // The leaves are there.
            None => output.note(line),
        }
    } else {
        let published = head.map_or("", |_| "published ");
        output.note(format_args!(
            "{} of {tenant}, up to the {published}head at {}",
            records(summary.records),
            summary.size
        ));
        if summary.attachments > 0 {
            output.note(format_args!(
                "attachments are named {} times: their bytes are not in this export",
                summary.attachments
            ));
        }
        if let Some(count) = of.unpublished().filter(|count| *count > 0) {
            output.note(format_args!(
                "{} committed beyond that head and not published yet: not in this export",
                records(count)
            ));
        }
    }
    if summary.closed > 0 && !args.without_disclosures {
        let no_file = if out.is_some() && !args.joined && opens_none(summary) {
            "; no file of disclosures is written"
        } else {
            ""
        };
        output.warn(format_args!(
            "personal values of {} stay sealed: erased, or the keys are not here or cannot be \
             used{no_file}",
            records(summary.closed)
        ));
    }
    if of.damaged_values(summary) > 0 {
        output.error(format_args!(
            "personal values of {} cannot be read; see verify",
            records(summary.damaged_values)
        ));
    }
    if summary.forked {
        output.error("the records do not lead to the root that was published; see verify");
    }
    if head.is_none() {
        output.error("without a checkpoint: what was published cannot be read; see verify");
    }
    Ok(())
}

/// Whether there are values and not one of them opens: a file of disclosures without a line would
/// not verify.
fn opens_none(summary: &Summary) -> bool {
    summary.disclosures == 0 && summary.closed + summary.damaged_values > 0
}

/// The tenant of a ledger that has but one.
fn only_tenant(reading: &Reading) -> Result<TenantId> {
    let mut tenants = ledger::tenants(reading)?;
    tenants.retain(|tenant| !tenant.is_ours());
    match tenants.as_slice() {
        [tenant] => Ok(tenant.clone()),
        [] => Err(Failure::Could("there is no tenant yet".to_owned())),
        several => {
            let names: Vec<_> = several.iter().take(10).map(TenantId::as_str).collect();
            Err(Failure::Usage(format!(
                "say --tenant: there are {}",
                names.join(", ")
            )))
        }
    }
}

/// What is exported: a log, up to its published head, or all that is stored when that is unknown.
struct Of<'a> {
    args: &'a Export,
    reading: &'a Reading,
    tenant: &'a TenantId,
    head: Option<&'a PublishedHead>,
}

impl Of<'_> {
    /// Records whose values were asked for and cannot be read.
    fn damaged_values(&self, summary: &Summary) -> u64 {
        if self.args.without_disclosures {
            0
        } else {
            summary.damaged_values
        }
    }

    /// Records that are committed beyond the published head, as far as both heads are known.
    fn unpublished(&self) -> Option<u64> {
        let stored = self.reading.stores.ledger.head(self.tenant).ok()??;
        Some(stored.frontier.size().saturating_sub(self.head?.size))
    }

    fn is_whole(&self, summary: &Summary) -> bool {
        self.damaged_values(summary) == 0 && !summary.forked && self.head.is_some()
    }

    fn to_output(&self, output: &mut Output) -> Result<(Summary, Told)> {
        let mut written = Ok(());
        let _gently = cancel::gently();
        let exported = self.export(&mut |exported| {
            if cancel::wanted() {
                written = Err(cancelled("what was written ends with a whole record"));
            } else if let Exported::Record { leaf, joined, .. } = exported {
                let line = if self.args.joined {
                    &join(leaf, joined)
                } else {
                    leaf
                };
                written = output.bytes(line).and_then(|()| output.bytes(b"\n"));
            }
            if written.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        written.map(|()| exported)
    }

    /// Writes beside the names first, and puts the files in their places when all is there.
    fn to_files(&self, out: &Path) -> Result<(Summary, Told)> {
        let args = self.args;
        // Without keys there would be none to write, and a file without them says that they are
        // gone.
        let keys = self.reading.keyring.has_master();
        let with_disclosures = !args.joined && !args.without_disclosures && keys;
        if args.force && self.head.is_none() {
            let _ = std::fs::remove_file(beside(out, "checkpoint"));
        }
        // Before the first file is there, so that what is unfinished is always taken away.
        let _gently = cancel::gently();
        let mut leaves = Part::create(out, args.force)?;
        let mut disclosures = with_disclosures
            .then(|| Part::create(&beside(out, "disclosures"), args.force))
            .transpose()?;
        let mut checkpoint = self
            .head
            .filter(|_| !args.joined)
            .map(|head| {
                Part::create(&beside(out, "checkpoint"), args.force).map(|part| (part, head))
            })
            .transpose()?;
        let mut written = Ok(());
        let exported = self.export(&mut |exported| {
            if cancel::wanted() {
                written = Err(cancelled("nothing was written"));
            } else if let Exported::Record {
                leaf,
                joined,
                disclosures: lines,
                ..
            } = exported
            {
                let line = if self.args.joined {
                    &join(leaf, joined)
                } else {
                    leaf
                };
                written = leaves.line(line);
                for line in lines {
                    if let (Ok(()), Some(part)) = (&written, &mut disclosures) {
                        written = serde_json::to_vec(line)
                            .or_could("write a disclosure")
                            .and_then(|line| part.line(&line));
                    }
                }
            }
            if written.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        written?;
        if opens_none(&exported.0) {
            disclosures = None;
        }
        if args.force && (!keys || opens_none(&exported.0)) {
            // Those of an earlier export are not of this one.
            let _ = std::fs::remove_file(beside(out, "disclosures"));
        }
        if let Some((part, head)) = &mut checkpoint {
            part.bytes(head.checkpoint.as_bytes())?;
        }
        for part in [checkpoint.map(|(part, _)| part), disclosures, Some(leaves)]
            .into_iter()
            .flatten()
        {
            part.finish()?;
        }
        Ok(exported)
    }

    /// Gives all there is; what that was, and the damage met.
    fn export(
        &self,
        give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
    ) -> Result<(Summary, Told)> {
        let Self {
            reading,
            tenant,
            head,
            ..
        } = self;
        let mut told = Told::default();
        let mut give = |exported: Exported<'_>| {
            if let Exported::Damaged { range, place } = &exported {
                told.damage(Damage {
                    lost: Lost::Records,
                    log: Some(((*tenant).clone(), range.clone())),
                    place: where_of(place.as_ref()),
                });
            }
            give(exported)
        };
        let (stores, keyring) = (&reading.stores, &reading.keyring);
        let summary = export(stores, keyring, tenant, *head, &mut give).or_could("export")?;
        Ok((summary, told))
    }
}

fn cancelled(what: &str) -> Failure {
    Failure::Cancelled(what.to_owned())
}

/// The leaf with the personal values back in their places.
fn join(leaf: &[u8], event: &[u8]) -> Vec<u8> {
    let Ok(view) = LeafView::locate(leaf) else {
        return leaf.to_vec();
    };
    let span = view.event_span();
    let (head, tail) = (leaf.get(..span.start), leaf.get(span.end..));
    [head.unwrap_or_default(), event, tail.unwrap_or_default()].concat()
}

/// A file being written under a name of its own until it is whole; removed if it never is.
struct Part {
    writer: Option<BufWriter<File>>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Part {
    fn create(path: &Path, force: bool) -> Result<Self> {
        // The finished file takes the name by a rename, which would replace a device or a pipe.
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let text = format!(
                "{} is no file; leave --out away to write to standard output",
                path.shown()
            );
            return Err(Failure::Could(text));
        }
        if !force && path.exists() {
            let text = format!(
                "{} is there already; say --force to write over it",
                path.shown()
            );
            return Err(Failure::Could(text));
        }
        let unfinished = beside(path, "unfinished");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .or_could(format_args!("write {}", unfinished.shown()))?;
        let writer = Some(BufWriter::with_capacity(256 * 1024, file));
        Ok(Self {
            writer,
            unfinished,
            path: path.to_path_buf(),
        })
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer
            .write_all(bytes)
            .or_could(format_args!("write {}", self.path.shown()))
    }

    fn line(&mut self, bytes: &[u8]) -> Result {
        self.bytes(bytes)?;
        self.bytes(b"\n")
    }

    fn finish(mut self) -> Result {
        let doing = || format!("write {}", self.path.shown());
        if let Some(writer) = self.writer.take() {
            let file = writer
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error);
            file.and_then(|file| file.sync_all()).or_could(doing())?;
        }
        std::fs::rename(&self.unfinished, &self.path).or_could(doing())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.unfinished.exists() {
            // It was never finished: what is left of it is of no use to anybody.
            let _ = std::fs::remove_file(&self.unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_part_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ndjson");
        let mut part = Part::create(&path, false).unwrap();
        part.line(b"one").unwrap();
        drop(part);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut part = Part::create(&path, false).unwrap();
        part.line(b"one").unwrap();
        part.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
        assert!(
            Part::create(&path, false).is_err(),
            "nothing is written over unasked"
        );
        assert!(Part::create(&path, true).is_ok());
    }
}
