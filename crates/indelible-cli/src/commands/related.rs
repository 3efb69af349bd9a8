//! `related`: the tree that a record is part of, its correlation, and its agent's execution.
//!
//! Found in a data directory or by a server, and shown alike.

use indelible_api::related::{Brief, End, Execution};
use indelible_api::{Related, Unreadable};
use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, Field};
use indelible_log::mask::Sight;
use indelible_query::related::{Scope, related};
use indelible_query::{Damage, Lost, page};
use indelible_server::relations::shown;
use indelible_store::{Expr, Query};

use super::prove::{Named, find, only};
use crate::args;
use crate::config::Config;
use crate::damage::Told;
use crate::exit::{Failure, OrCould, Result};
use crate::ledger;
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::tenant_to_read;
use crate::remote::{Checked, Remote};

/// Finds and prints.
pub fn run(args: &args::Related, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_read(args.tenant.as_deref(), config)?;
    let named = Named::parse(&args.record)?;
    let mut told = Told::default();
    let found = match Remote::meant(&args.through, config, output)? {
        Some(remote) => there(&named, tenant, &remote, &mut told)?,
        None => here(&named, tenant, config, (&mut told, output))?,
    };
    if output.json {
        output.json_line(&found)?;
    } else {
        print(&found, output)?;
    }
    told.tell("there may be more", output)
}

fn here(
    named: &Named,
    tenant: Option<TenantId>,
    config: &Config,
    (told, output): (&mut Told, &Output),
) -> Result<Related> {
    let reading = ledger::read(config, output)?;
    let (tenant, number) = find(named, tenant, &reading)?;
    let (index, ledger) = (reading.index(), reading.stores.ledger.as_ref());
    let query = Query {
        tenants: Some(vec![tenant.clone()]),
        ..Query::default()
    };
    let this = Query {
        expr: Expr::Sequence(number..number.saturating_add(1)),
        ..query.clone()
    };
    let page = page(index, ledger, &this, None, 1).or_could("read the record")?;
    let row = page.rows.into_iter().next().ok_or_else(|| {
        Failure::Could(format!(
            "record {number} of {tenant} cannot be read: see verify"
        ))
    })?;
    let scope = Scope {
        index,
        ledger,
        query: &query,
    };
    let found = related(scope, &row).or_could("find what belongs to it")?;
    let shown = shown((&reading.keyring, Sight::Clear), &row, &found)
        .or_could("show what belongs to it")?;
    found
        .damaged
        .into_iter()
        .for_each(|damage| told.damage(damage));
    Ok(shown)
}

fn there(
    named: &Named,
    tenant: Option<TenantId>,
    remote: &Remote,
    told: &mut Told,
) -> Result<Related> {
    let mut of = tenant;
    let id = match *named {
        Named::Id(id) => id.to_string(),
        Named::Number(number) => {
            let all = || {
                Ok(remote
                    .tenants()?
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect())
            };
            let tenant = of.map_or_else(|| only(all()?), Ok)?;
            let missing = || Failure::Could(format!("there is no record {number} in {tenant}"));
            let record = remote.record(&tenant, number)?.ok_or_else(missing)?;
            let checked = Checked::of(&record).map_err(|what| remote.strange(what))?;
            let event = EventView::parse(checked.leaf.event()).ok();
            let id = event.and_then(|event| event.text(Field::AuditId).map(String::from));
            of = Some(tenant);
            id.ok_or_else(|| remote.strange("a record without an id"))?
        }
    };
    let path = format!("/v1/records/{id}/related");
    let of = of.as_ref().map(|tenant| ("tenant", tenant.as_str()));
    let mut found: Related = remote.get(&path, of.as_slice())?;
    for unreadable in std::mem::take(&mut found.unreadable) {
        told.damage(damage(unreadable).map_err(|error| remote.strange(error))?);
    }
    Ok(found)
}

/// What a server says cannot be read.
///
/// # Errors
/// Where it names a tenant that cannot be one.
pub(super) fn damage(
    unreadable: Unreadable,
) -> std::result::Result<Damage, indelible_event::ids::IdError> {
    let tenant = unreadable.tenant_id.as_deref().map(TenantId::parse);
    let records = unreadable.first.zip(unreadable.last);
    let records = records.map(|(first, last)| first..last.saturating_add(1));
    Ok(Damage {
        lost: Lost::Records,
        log: tenant.transpose()?.zip(records),
        place: unreadable.place,
    })
}

fn print(found: &Related, output: &mut Output) -> Result {
    let mut lines = Vec::new();
    let above = found.ancestors.len();
    for (at, brief) in found.ancestors.iter().rev().enumerate() {
        lines.push((at, brief, Tone::Plain));
    }
    lines.push((above, &found.record, Tone::Bold));
    for brief in &found.descendants {
        let depth = usize::try_from(brief.depth).unwrap_or(0);
        lines.push((above + depth, brief, Tone::Plain));
    }
    table(&in_order(lines), output)?;
    let named = found.above.parent_id.as_deref().unwrap_or_default();
    match found.above.end {
        End::Root => {}
        End::Missing => output.note(format_args!("the parent {named} is not there")),
        End::Cycle => output.note(format_args!("the parent {named} is below it: a circle")),
        End::More => output.note(format_args!("it goes on upwards, with {named}")),
    }
    if found.more_below {
        output.note("there are more records below");
    }
    if found.cycle_below {
        output.note("records below name each other as parents: a circle");
    }
    if let Some(timeline) = &found.correlation {
        output.line(format_args!("\ncorrelation {}", timeline.id.shown()))?;
        let lines: Vec<_> = timeline
            .records
            .iter()
            .map(|brief| (0, brief, Tone::Plain))
            .collect();
        table(&lines, output)?;
        if timeline.more {
            output.note("there are more records of this correlation: ask with correlation:");
        }
    }
    found
        .execution
        .as_ref()
        .map_or(Ok(()), |execution| nodes(execution, output))
}

/// Each record below its parent, as far as that is there: levels come one after the other.
fn in_order<'a>(lines: Vec<(usize, &'a Brief, Tone)>) -> Vec<(usize, &'a Brief, Tone)> {
    let mut ordered: Vec<(usize, &'a Brief, Tone)> = Vec::with_capacity(lines.len());
    for line in lines {
        let parent = line.1.parent_id.as_deref().map(str::to_lowercase);
        let is_parent = |at: &(usize, &Brief, Tone)| {
            at.0 + 1 == line.0 && Some(at.1.audit_id.to_lowercase()) == parent
        };
        let Some(at) = ordered.iter().position(is_parent) else {
            ordered.push(line);
            continue;
        };
        let behind = ordered
            .iter()
            .skip(at + 1)
            .take_while(|other| other.0 >= line.0);
        let place = at + 1 + behind.count();
        ordered.insert(place, line);
    }
    ordered
}

fn table(lines: &[(usize, &Brief, Tone)], output: &mut Output) -> Result {
    let mut table = Table::new(vec![
        Column::whole("TIME"),
        Column::number("SEQ"),
        Column::text("EVENT", 16),
        Column::text("ACTOR", 7),
        Column::text("TARGET", 8),
        Column::whole("OUTCOME"),
        Column::optional("NODE", 8),
    ]);
    for (depth, brief, tone) in lines {
        let at = Micros::parse(&brief.occurred_at).or_could("show a time")?;
        let text = |text: &Option<String>| (text.clone().unwrap_or_default(), *tone);
        let event = brief.event_type.as_deref().unwrap_or_default();
        table.row(vec![
            (output.zone.seconds(at), Tone::Dim),
            (brief.sequence_number.to_string(), Tone::Dim),
            (format!("{}{event}", "  ".repeat(*depth)), *tone),
            text(&brief.actor),
            text(&brief.target),
            text(&brief.outcome),
            text(&brief.node),
        ]);
    }
    output.table(&table)
}

fn nodes(execution: &Execution, output: &mut Output) -> Result {
    let id = execution.id.shown();
    let records = execution.records.len();
    output.line(format_args!(
        "\nexecution {id}: {records} records in {} ms, {} tokens, {} US dollars",
        execution.duration_ms, execution.tokens, execution.cost_usd
    ))?;
    if execution.nodes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![
        Column::text("NODE", 8),
        Column::number("RECORDS"),
        Column::number("MS"),
        Column::whole("OUTCOME"),
        Column::text("MODELS", 8),
        Column::number("TOKENS"),
        Column::number("USD"),
    ]);
    for node in &execution.nodes {
        let plain = |text: String| (text, Tone::Plain);
        table.row(vec![
            plain(node.name.clone()),
            plain(node.records.to_string()),
            plain(node.duration_ms.to_string()),
            plain(node.outcome.clone().unwrap_or_default()),
            plain(node.models.join(", ")),
            plain(node.tokens.to_string()),
            plain(node.cost_usd.to_string()),
        ]);
    }
    output.table(&table)
}
