//! `export`: a tenant's log as lines that anyone can verify, disclosures and checkpoint beside.
//!
//! The log is that of a data directory, or of a server (`there`), which gives no disclosures. What
//! a query finds, and tables, are another thing: `selection`.

mod part;
mod selection;
mod there;

use std::ops::ControlFlow;
use std::path::Path;

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
use crate::remote::Remote;
use part::Part;

/// Writes the files, or the leaves to standard output.
pub fn run(args: &Export, config: &Config, output: &mut Output) -> Result {
    if args.is_selection() {
        return selection::run(args, config, output);
    }
    if !args.columns.is_empty() {
        let text = "--columns are those of tables: say --format csv or parquet";
        return Err(Failure::Usage(text.to_owned()));
    }
    let named = tenant_to_read(args.tenant.as_deref(), config)?;
    let remote = Remote::meant(&args.through, config, output)?;
    let (from, extends) = if let Some(remote) = &remote {
        (From::There(remote), true)
    } else {
        let kept = ledger::kept(config)?;
        let reading = ledger::read(config, output)?;
        let extends = ledger::extends_signed(&kept, &reading, output)?;
        (From::Here(Box::new(reading)), extends)
    };
    let of = Of::find(args, named, from)?;
    let out = file_named(args.out.as_deref());
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
            "root": head.as_ref().map(|head| head.root),
            "sealed": of.from.is_here().then_some(summary.closed),
            "size": summary.size,
            "tenant_id": tenant,
            "unpublished": of.unpublished,
        });
        match out {
            Some(_) => output.json_line(&line)?,
            // The leaves are there.
            None => output.note(line),
        }
    } else {
        let published = head.as_ref().map_or("", |_| "published ");
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
        if !of.from.is_here() && !args.is_joined() && !args.without_disclosures {
            output.note("without disclosures: a server gives none, only who has the keys");
        }
        if let Some(count) = of.unpublished.filter(|count| *count > 0) {
            output.note(format_args!(
                "{} committed beyond that head and not published yet: not in this export",
                records(count)
            ));
        }
    }
    if summary.closed > 0 && !args.without_disclosures {
        let no_file = if out.is_some() && !args.is_joined() && opens_none(summary) {
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
fn only_tenant(mut tenants: Vec<TenantId>) -> Result<TenantId> {
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

/// Where the records come from.
enum From<'a> {
    Here(Box<Reading>),
    There(&'a Remote),
}

impl From<'_> {
    fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    fn tenants(&self) -> Result<Vec<TenantId>> {
        match self {
            Self::Here(reading) => ledger::tenants(reading),
            Self::There(remote) => {
                let tenants = remote.tenants()?.into_iter();
                Ok(tenants.map(|(name, _)| name).collect())
            }
        }
    }

    /// The published head, as far as there is one that can be read.
    fn head(&self, tenant: &TenantId) -> Result<Option<PublishedHead>> {
        match self {
            Self::Here(reading) if !reading.has_state() => Ok(None),
            Self::Here(reading) => published_head(&reading.stores, tenant)
                .or_could("export")
                .map(Some),
            Self::There(remote) => {
                let head = remote.published(tenant)?;
                let text = || format!("nothing of the log of {tenant} is published yet");
                head.ok_or_else(|| Failure::Could(text())).map(Some)
            }
        }
    }

    /// How many records are committed, where that can be told.
    fn committed(&self, tenant: &TenantId) -> Result<Option<u64>> {
        match self {
            Self::Here(reading) => {
                let head = reading.stores.ledger.head(tenant).ok().flatten();
                Ok(head.map(|head| head.frontier.size()))
            }
            Self::There(remote) => Ok(remote.tenant(tenant)?.records),
        }
    }
}

/// What is exported: a log, up to its published head, or all that is stored when that is unknown.
struct Of<'a> {
    args: &'a Export,
    from: From<'a>,
    tenant: TenantId,
    head: Option<PublishedHead>,
    /// Records that are committed beyond the published head, as far as both are known.
    unpublished: Option<u64>,
}

impl<'a> Of<'a> {
    fn find(args: &'a Export, named: Option<TenantId>, from: From<'a>) -> Result<Self> {
        let tenant = named.map_or_else(|| only_tenant(from.tenants()?), Ok)?;
        let head = from.head(&tenant)?;
        let out = file_named(args.out.as_deref());
        if let (From::Here(reading), Some(out)) = (&from, out)
            && indelible_directory::is_within(out, &reading.path)
        {
            return Err(Failure::Could(format!(
                "{} lies in the data directory: export to another",
                out.shown()
            )));
        }
        let committed = from.committed(&tenant)?.zip(head.as_ref());
        Ok(Self {
            unpublished: committed.map(|(all, head)| all.saturating_sub(head.size)),
            args,
            from,
            tenant,
            head,
        })
    }

    /// Records whose values were asked for and cannot be read.
    fn damaged_values(&self, summary: &Summary) -> u64 {
        if self.args.without_disclosures {
            0
        } else {
            summary.damaged_values
        }
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
                let line = if self.args.is_joined() {
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
        let keys = match &self.from {
            From::Here(reading) => reading.keyring.has_master(),
            From::There(_) => false,
        };
        let with_disclosures = !args.is_joined() && !args.without_disclosures && keys;
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
            .as_ref()
            .filter(|_| !args.is_joined())
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
                let line = if self.args.is_joined() {
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
        let mut told = Told::default();
        let mut give = |exported: Exported<'_>| {
            if let Exported::Damaged { range, place } = &exported {
                told.damage(Damage {
                    lost: Lost::Records,
                    log: Some((self.tenant.clone(), range.clone())),
                    place: where_of(place.as_ref()),
                });
            }
            give(exported)
        };
        let summary = match (&self.from, &self.head) {
            (From::Here(reading), head) => {
                let (stores, keyring) = (&reading.stores, &reading.keyring);
                let head = head.as_ref();
                export(stores, keyring, &self.tenant, head, &mut give).or_could("export")?
            }
            (From::There(remote), Some(head)) => there::export(remote, head, &mut give)?,
            (From::There(remote), None) => return Err(remote.strange("no published head")),
        };
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
