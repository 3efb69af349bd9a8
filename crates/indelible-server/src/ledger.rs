//! `GET /v1/checkpoints`, `GET /v1/tenants`, `POST /v1/tenants`.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::limits::SMALL_BODY_BYTES_MAX;
use indelible_api::{
    Checkpoints, CreateTenant, Integrity, JSON, Logs, ProblemKind, RegistryCheckpoint, Tenant,
    TenantCheckpoint, Tenants,
};
use indelible_event::ids::TenantId;
use indelible_log::registry::{PublishedHead, log_row, published_at, registry_head};

use serde::Deserialize;

use crate::access::Principal;
use crate::accesses::hidden;
use crate::answer::{Answer, Refusal, json, refuse, typed, written};
use crate::app::App;
use crate::body::{must_be_json, read};
use crate::guard::{Needs, allow};
use crate::list::page_limit;
use crate::read::blocking;
use crate::submit::{Nothing, bad_query, nothing, only_if, tenant_named};
use crate::words;

/// What the cursors are of.
const CHECKPOINTS: &str = "checkpoints";
const TENANTS: &str = "tenants";

/// Which checkpoints are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichHeads {
    tenant: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The newest signed checkpoints.
pub(crate) async fn checkpoints(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<WhichHeads>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Audit)?.clone();
    let Query(which) = query.map_err(|error| bad_query(&error))?;
    let of_all = (
        which.tenant.is_none(),
        "without `tenant`, which has one checkpoint",
    );
    only_if((which.cursor.is_some(), "cursor"), of_all)?;
    only_if((which.limit.is_some(), "limit"), of_all)?;
    let body = blocking(&app, move |app| {
        let tenants = match which.tenant.as_deref().map(tenant_named).transpose()? {
            None => app.visible(&principal)?,
            Some(tenant) if principal.may_see(&tenant) && app.has_tenant(&tenant)? => vec![tenant],
            Some(tenant) => return Err(hidden(app, &principal, "/v1/checkpoints", &tenant)),
        };
        let (tenants, next_cursor) = paged(
            (app, &principal, CHECKPOINTS),
            tenants,
            which.limit,
            which.cursor,
        )?;
        let head = registry_head(app.stores.state.as_ref())?;
        let registry = (head.size > 0).then_some(RegistryCheckpoint {
            size: head.size,
            snapshot: head.line,
            checkpoint: head.checkpoint,
        });
        let heads = tenants.iter().map(|tenant| published(app, tenant));
        let heads: Vec<_> = heads.collect::<Result<_, _>>()?;
        app.memory.lists.keep(written(&Checkpoints {
            registry,
            tenants: heads.into_iter().flatten().map(checkpoint).collect(),
            next_cursor,
        })?)
    });
    Ok(typed(StatusCode::OK, JSON, body.await?))
}

/// The tenants of one page, which are given by name, and the cursor of the next: the last name.
fn paged(
    (app, principal, list): (&App, &Principal, &str),
    mut tenants: Vec<TenantId>,
    limit: Option<usize>,
    cursor: Option<String>,
) -> Result<(Vec<TenantId>, Option<String>), Refusal> {
    let limit = page_limit(limit)?;
    let scope = principal.scope();
    if let Some(cursor) = cursor {
        let after = app.cursor_key.open((list, &scope), &cursor)?;
        tenants.retain(|tenant| tenant.as_str() > after.as_str());
    }
    let more = tenants.len() > limit;
    tenants.truncate(limit);
    let last = tenants.last().filter(|_| more);
    let next = last.map(|tenant| app.cursor_key.seal((list, &scope), tenant.as_str()));
    Ok((tenants, next.transpose()?))
}

fn published(app: &App, tenant: &TenantId) -> Result<Option<PublishedHead>, Refusal> {
    let state = app.stores.state.as_ref();
    let Some(row) = log_row(state, tenant)? else {
        return Ok(None);
    };
    Ok(published_at(state, row.slot)?)
}

fn checkpoint(head: PublishedHead) -> TenantCheckpoint {
    TenantCheckpoint {
        tenant_id: head.tenant.to_string(),
        log_id: head.log_id,
        size: head.size,
        root: head.root,
        checkpoint: head.checkpoint,
    }
}

/// Which tenants are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichTenants {
    limit: Option<usize>,
    cursor: Option<String>,
    integrity: Option<Integrity>,
}

/// The tenants and the two verdicts on each.
pub(crate) async fn tenants(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<WhichTenants>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let Query(which) = query.map_err(|error| bad_query(&error))?;
    let body = blocking(&app, move |app| {
        let mut tenants = app.visible(&principal)?;
        let logs = if principal.is_narrowed() {
            // Of no log is it told a verdict, so of none together either.
            Logs {
                all: tenants.len() as u64,
                ..Logs::default()
            }
        } else {
            app.verdicts.count(&tenants)
        };
        match which.integrity {
            Some(_) if principal.is_narrowed() => tenants.clear(),
            Some(wanted) => app.verdicts.retain(&mut tenants, wanted),
            None => {}
        }
        let (tenants, next_cursor) = paged(
            (app, &principal, TENANTS),
            tenants,
            which.limit,
            which.cursor,
        )?;
        let of: fn(&App, &TenantId) -> Result<Tenant, Refusal> =
            if principal.is_narrowed() { named } else { one };
        let tenants = tenants.iter().map(|tenant| of(app, tenant));
        app.memory.lists.keep(written(&Tenants {
            tenants: tenants.collect::<Result<_, _>>()?,
            next_cursor,
            logs,
        })?)
    });
    Ok(typed(StatusCode::OK, JSON, body.await?))
}

/// A tenant, without what counts its whole log.
fn named(app: &App, tenant: &TenantId) -> Result<Tenant, Refusal> {
    let log_id = log_row(app.stores.state.as_ref(), tenant)?.map(|row| row.log_id);
    Ok(Tenant {
        tenant_id: tenant.to_string(),
        published: 0,
        log_id,
        records: None,
        last_ingested_at: None,
        verdict: None,
    })
}

fn one(app: &App, tenant: &TenantId) -> Result<Tenant, Refusal> {
    // What was found of a log, and what is signed of it, is read before how long it is: it grows
    // meanwhile.
    let verdict = app.verdicts.of(tenant);
    let signed = published(app, tenant)?.map_or(0, |head| head.size);
    // A log whose tree is damaged has no head; it is listed all the same.
    let head = app.stores.ledger.head(tenant).ok().flatten();
    let log_id = log_row(app.stores.state.as_ref(), tenant)?.map(|row| row.log_id);
    Ok(Tenant {
        tenant_id: tenant.to_string(),
        published: signed,
        log_id,
        records: head.as_ref().map(|head| head.frontier.size()),
        last_ingested_at: head.map(|head| head.last_ingested_at.to_rfc3339()),
        verdict,
    })
}

/// Creates a tenant's log.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    request: Request,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Administer)?.clone();
    nothing(query)?;
    let wanted: CreateTenant = small(&app, request).await?;
    let tenant = tenant_named(&wanted.tenant_id)?;
    if tenant.is_ours() {
        let text = "a name with a leading _ is the ledger's own";
        return Err(refuse(ProblemKind::BadRequest, text));
    }
    let (status, tenant) = blocking(&app, move |app| {
        let was_there = app.has_tenant(&tenant)?;
        let id = by.submitter();
        let id = id.as_deref().unwrap_or("anybody");
        app.feed.ensure_tenant(&tenant, (by.kind(), id))?;
        let status = if was_there {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        Ok((status, one(app, &tenant)?))
    })
    .await?;
    json(status, &tenant)
}

/// A small JSON body.
pub(crate) async fn small<T: serde::de::DeserializeOwned>(
    app: &App,
    request: Request,
) -> Result<T, Refusal> {
    must_be_json(request.headers())?;
    let (parts, body) = request.into_parts();
    let read = read(body, &parts, SMALL_BODY_BYTES_MAX, app).await?;
    if read.encoding != crate::decode::Encoding::Identity {
        let text = "this body is not taken compressed";
        return Err(refuse(ProblemKind::UnsupportedType, text));
    }
    // An array would pass for an object whose members may all be missing.
    if read.bytes.trim_ascii_start().first() == Some(&b'[') {
        let text = "the body is an array and not the object that /openapi.json describes";
        return Err(refuse(ProblemKind::BadRequest, text));
    }
    words::read_json(&read.bytes)
}
