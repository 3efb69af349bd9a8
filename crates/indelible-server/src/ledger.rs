//! `GET /v1/checkpoints`, `GET /v1/tenants`, `POST /v1/tenants`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::limits::SMALL_BODY_BYTES_MAX;
use indelible_api::{
    Checkpoints, CreateTenant, ProblemKind, RegistryCheckpoint, Tenant, TenantCheckpoint, Tenants,
};
use indelible_event::ids::TenantId;
use indelible_log::registry::{PublishedHead, log_row, published_heads, registry_head};

use crate::access::Principal;
use crate::answer::{Answer, Refusal, json, refuse};
use crate::app::App;
use crate::body::{must_be_json, read};
use crate::guard::{Needs, allow};
use crate::read::blocking;
use crate::submit::{Target, no_tenant, tenant_named, whose};

/// The newest signed checkpoints.
pub(crate) async fn checkpoints(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Target>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Audit)?.clone();
    let named = whose(query)?;
    let checkpoints = blocking(&app, move |app| {
        if let Some(tenant) = &named
            && (!principal.may_see(tenant) || !app.has_tenant(tenant)?)
        {
            return Err(no_tenant(tenant).into());
        }
        let state = app.stores.state.as_ref();
        let head = registry_head(state)?;
        let registry = (head.size > 0).then_some(RegistryCheckpoint {
            size: head.size,
            snapshot: head.line,
            checkpoint: head.checkpoint,
        });
        let heads = published_heads(state)?.into_values();
        let tenants = heads
            .filter(|head| principal.may_see(&head.tenant))
            .filter(|head| named.as_ref().is_none_or(|named| head.tenant == *named));
        Ok(Checkpoints {
            registry,
            tenants: tenants.map(checkpoint).collect(),
        })
    });
    json(StatusCode::OK, &checkpoints.await?)
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

/// The tenants and the two verdicts on each.
pub(crate) async fn tenants(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let tenants = blocking(&app, move |app| {
        let published = published_by_log(app)?;
        let tenants = app.visible(&principal)?;
        let tenants = tenants.iter().map(|tenant| one(app, tenant, &published));
        Ok(Tenants {
            tenants: tenants.collect::<Result<_, _>>()?,
        })
    });
    json(StatusCode::OK, &tenants.await?)
}

fn published_by_log(app: &App) -> Result<BTreeMap<String, u64>, Refusal> {
    let heads = published_heads(app.stores.state.as_ref())?.into_values();
    Ok(heads.map(|head| (head.log_id, head.size)).collect())
}

fn one(app: &App, tenant: &TenantId, published: &BTreeMap<String, u64>) -> Result<Tenant, Refusal> {
    // A log whose tree is damaged has no head; it is listed all the same.
    let head = app.stores.ledger.head(tenant).ok().flatten();
    let log_id = log_row(app.stores.state.as_ref(), tenant)?.map(|row| row.log_id);
    let size = log_id.as_ref().and_then(|id| published.get(id));
    Ok(Tenant {
        tenant_id: tenant.to_string(),
        published: size.copied().unwrap_or(0),
        log_id,
        records: head.as_ref().map(|head| head.frontier.size()),
        last_ingested_at: head.map(|head| head.last_ingested_at.to_rfc3339()),
        verdict: app.verdicts.of(tenant),
    })
}

/// Creates a tenant's log.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    request: Request,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    let wanted: CreateTenant = small(&app, request).await?;
    let tenant = tenant_named(&wanted.tenant_id)?;
    if tenant.is_ours() {
        let text = "a name with a leading _ is the ledger's own";
        return Err(refuse(ProblemKind::BadRequest, text));
    }
    let (status, tenant) = blocking(&app, move |app| {
        let was_there = app.has_tenant(&tenant)?;
        app.feed.ensure_tenant(&tenant)?;
        let status = if was_there {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        Ok((status, one(app, &tenant, &published_by_log(app)?)?))
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
    let read = read(
        body,
        &parts.headers,
        SMALL_BODY_BYTES_MAX,
        &app.budget,
        &app.settings,
    )
    .await?;
    if read.encoding != crate::decode::Encoding::Identity {
        let text = "this body is not taken compressed";
        return Err(refuse(ProblemKind::UnsupportedType, text));
    }
    serde_json::from_slice(&read.bytes)
        .map_err(|error| refuse(ProblemKind::BadRequest, format!("the body: {error}")))
}
