//! `tenants`: whose logs there are, and a new one, in a data directory or at a server.

use indelible_api::{CreateTenant, Tenant};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::registry::{log_row, published_heads};
use serde::Serialize;
use serde_json::json;

use crate::args::Tenants;
use crate::config::Config;
use crate::exit::{OrCould, Result};
use crate::ledger;
use crate::output::{Column, Output, Show, Table, Tone};
use crate::process::tenant_to_write;
use crate::remote::Remote;
use indelible_server::access::COMMAND;

/// The status of a log that was made.
const CREATED: u16 = 201;
/// The server's route.
const TENANTS: &str = "/v1/tenants";

/// Lists or creates.
pub fn run(args: &Tenants, config: &Config, output: &mut Output) -> Result {
    match args {
        Tenants::List(through) => {
            let logs = match Remote::meant(through, config, output)? {
                Some(remote) => there(&remote)?,
                None => here(config, output)?,
            };
            print(logs, output)
        }
        Tenants::Create { name, through } => {
            let tenant = tenant_to_write(Some(name), config)?;
            let (created, log_id) = match Remote::meant(through, config, output)? {
                Some(remote) => create_there(&tenant, &remote)?,
                None => create_here(&tenant, config, output)?,
            };
            created_or_not(&tenant, created, log_id, output)
        }
    }
}

/// What is listed of a log.
#[derive(Serialize)]
struct Log {
    last_ingested_at: Option<Micros>,
    log_id: Option<String>,
    /// Records under the newest published head, where that is known.
    published: Option<u64>,
    /// Records in it; without them its head cannot be read.
    records: Option<u64>,
    tenant_id: TenantId,
}

fn there(remote: &Remote) -> Result<Vec<Log>> {
    let logs = remote.tenants()?.into_iter().map(|(tenant_id, tenant)| {
        let last = tenant.last_ingested_at.map(|last| Micros::parse(&last));
        let last = last.transpose();
        Ok(Log {
            last_ingested_at: last.map_err(|error| remote.strange(error))?,
            log_id: tenant.log_id,
            published: Some(tenant.published),
            records: tenant.records,
            tenant_id,
        })
    });
    logs.collect()
}

fn here(config: &Config, output: &Output) -> Result<Vec<Log>> {
    let kept = ledger::kept(config)?;
    let reading = ledger::read(config, output)?;
    ledger::extends_signed(&kept, &reading, output)?;
    let ledger = reading.stores.ledger.as_ref();
    let state = reading.stores.state.as_ref();
    // Without the state store it is not known what was published; reading has said so.
    let published = reading.has_state().then(|| published_heads(state));
    let published = published.transpose().or_could("read the registry")?;
    let logs = ledger::tenants(&reading)?.into_iter().map(|tenant_id| {
        let doing = || format!("read the log of {tenant_id}");
        // A log whose tree is damaged has no head; it is listed, and verify says what is wrong.
        let head = ledger.head(&tenant_id).ok().flatten();
        let row = published.as_ref().map(|_| log_row(state, &tenant_id));
        let row = row.transpose().or_could(doing())?.flatten();
        let size = published.as_ref().map(|published| {
            let head = row.as_ref().and_then(|row| published.get(&row.slot));
            head.map_or(0, |head| head.size)
        });
        Ok(Log {
            records: head.as_ref().map(|head| head.frontier.size()),
            last_ingested_at: head.map(|head| head.last_ingested_at),
            log_id: row.map(|row| row.log_id),
            published: size,
            tenant_id,
        })
    });
    logs.collect()
}

fn print(logs: Vec<Log>, output: &mut Output) -> Result {
    if output.json {
        return logs.iter().try_for_each(|log| output.json_line(log));
    }
    let mut table = Table::new(vec![
        Column::text("TENANT", 8),
        Column::number("RECORDS"),
        Column::number("PUBLISHED"),
        Column::whole("LAST RECORD"),
        Column::text("LOG ID", 8),
    ]);
    for log in logs {
        let last = log.last_ingested_at.map(|last| output.zone.seconds(last));
        let ours = if log.tenant_id.is_ours() {
            Tone::Dim
        } else {
            Tone::Plain
        };
        // What of it is published is behind while a writer goes on.
        let behind = match (log.published, log.records) {
            (Some(size), Some(records)) if size < records => Tone::Warn,
            _ => Tone::Plain,
        };
        table.row(vec![
            (log.tenant_id.to_string(), ours),
            number(log.records, Tone::Plain),
            number(log.published, behind),
            (last.unwrap_or_default(), Tone::Plain),
            (log.log_id.unwrap_or_default(), Tone::Dim),
        ]);
    }
    output.table(&table)
}

/// A number, or that it cannot be read.
fn number(number: Option<u64>, tone: Tone) -> (String, Tone) {
    number.map_or_else(
        || ("damaged".to_owned(), Tone::Bad),
        |number| (number.to_string(), tone),
    )
}

/// Whether it was created, and its log id.
fn create_there(tenant: &TenantId, remote: &Remote) -> Result<(bool, Option<String>)> {
    let wanted = CreateTenant {
        tenant_id: tenant.to_string(),
    };
    let (status, made): (_, Tenant) = remote.post(TENANTS, &wanted)?;
    if made.tenant_id != wanted.tenant_id {
        return Err(remote.strange(format!("the tenant {}", made.tenant_id.shown())));
    }
    Ok((status == CREATED, made.log_id))
}

fn create_here(
    tenant: &TenantId,
    config: &Config,
    output: &Output,
) -> Result<(bool, Option<String>)> {
    let writing = ledger::write(config, output)?;
    let ledger = &writing.access.stores.ledger;
    let was_there = ledger.head(tenant).or_could("read the log")?.is_some();
    writing
        .log
        .ensure_tenant(tenant, COMMAND)
        .or_could(format_args!("create the tenant {tenant}"))?;
    let log_id = log_id(&writing, tenant)?;
    writing.publish_and_close(output)?;
    Ok((!was_there, log_id))
}

fn created_or_not(
    tenant: &TenantId,
    created: bool,
    log_id: Option<String>,
    output: &mut Output,
) -> Result {
    if output.json {
        return output
            .json_line(&json!({"created": created, "log_id": log_id, "tenant_id": tenant}));
    }
    let what = if created {
        "created"
    } else {
        "is there already"
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
