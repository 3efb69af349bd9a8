//! `tenants`: whose logs there are, and a new one.

use indelible_event::ids::TenantId;
use indelible_log::registry::{log_row, published_heads};
use serde_json::json;

use crate::args::Tenants;
use crate::config::Config;
use crate::exit::{OrCould, Result};
use crate::ledger;
use crate::output::{Column, Output, Table, Tone};
use crate::process::tenant_to_write;

/// Lists or creates.
pub fn run(args: &Tenants, config: &Config, output: &mut Output) -> Result {
    match args {
        Tenants::List => list(config, output),
        Tenants::Create { name } => create(name, config, output),
    }
}

fn list(config: &Config, output: &mut Output) -> Result {
    let kept = ledger::kept(config)?;
    let reading = ledger::read(config, output)?;
    ledger::extends_signed(&kept, &reading, output)?;
    let ledger = reading.stores.ledger.as_ref();
    let state = reading.stores.state.as_ref();
    // Without the state store it is not known what was published; reading has said so.
    let published = reading.has_state().then(|| published_heads(state));
    let published = published.transpose().or_could("read the registry")?;
    let mut table = Table::new(vec![
        Column::text("TENANT", 8),
        Column::number("RECORDS"),
        Column::number("PUBLISHED"),
        Column::whole("LAST RECORD"),
        Column::text("LOG ID", 8),
    ]);
    for tenant in ledger::tenants(&reading)? {
        let doing = || format!("read the log of {tenant}");
        // A log whose tree is damaged has no head; it is listed, and verify says what is wrong.
        let head = ledger.head(&tenant).ok().flatten();
        let row = published.as_ref().map(|_| log_row(state, &tenant));
        let row = row.transpose().or_could(doing())?.flatten();
        let size = published.as_ref().map(|published| {
            let head = row.as_ref().and_then(|row| published.get(&row.slot));
            head.map_or(0, |head| head.size)
        });
        let log_id = row.map(|row| row.log_id);
        let records = head.as_ref().map(|head| head.frontier.size());
        if output.json {
            output.json_line(&json!({
                "last_ingested_at": head.map(|head| head.last_ingested_at.to_rfc3339()),
                "log_id": log_id,
                "published": size,
                "records": records,
                "tenant_id": tenant,
            }))?;
            continue;
        }
        let last = head.map(|head| output.zone.seconds(head.last_ingested_at));
        let ours = if tenant.is_ours() {
            Tone::Dim
        } else {
            Tone::Plain
        };
        // What of it is published is behind while a writer goes on.
        let behind = match (size, records) {
            (Some(size), Some(records)) if size < records => Tone::Warn,
            _ => Tone::Plain,
        };
        table.row(vec![
            (tenant.to_string(), ours),
            number(records, Tone::Plain),
            number(size, behind),
            (last.unwrap_or_default(), Tone::Plain),
            (log_id.unwrap_or_default(), Tone::Dim),
        ]);
    }
    if output.json {
        Ok(())
    } else {
        output.table(&table)
    }
}

/// A number, or that it cannot be read.
fn number(number: Option<u64>, tone: Tone) -> (String, Tone) {
    number.map_or_else(
        || ("damaged".to_owned(), Tone::Bad),
        |number| (number.to_string(), tone),
    )
}

fn create(name: &str, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_write(Some(name), config)?;
    let writing = ledger::write(config, output)?;
    let ledger = &writing.access.stores.ledger;
    let was_there = ledger.head(&tenant).or_could("read the log")?.is_some();
    writing
        .log
        .ensure_tenant(&tenant)
        .or_could(format_args!("create the tenant {tenant}"))?;
    let log_id = log_id(&writing, &tenant)?;
    writing.publish_and_close()?;
    if output.json {
        return output
            .json_line(&json!({"created": !was_there, "log_id": log_id, "tenant_id": tenant}));
    }
    let what = if was_there {
        "is there already"
    } else {
        "created"
    };
    output.line(format_args!(
        "tenant {tenant} {what}, log {}",
        log_id.unwrap_or_default()
    ))
}

fn log_id(writing: &ledger::Writing, tenant: &TenantId) -> Result<Option<String>> {
    let row =
        log_row(writing.access.stores.state.as_ref(), tenant).or_could("read the registry")?;
    Ok(row.map(|row| row.log_id))
}
