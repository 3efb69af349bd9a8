//! `GET /v1/keys`, `POST /v1/keys`, `DELETE /v1/keys/{id}`.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::{CreateKey, Keys};

use crate::access::Principal;
use crate::answer::{Answer, json};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::ledger::small;
use crate::read::blocking;
use crate::submit::{Nothing, nothing};

/// All keys, without secrets.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    let keys = blocking(&app, |app| Ok(app.access.list()?)).await?;
    json(StatusCode::OK, &Keys { keys })
}

/// Makes a key; on an open server this closes it.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    request: Request,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    let wanted: CreateKey = small(&app, request).await?;
    let created = blocking(&app, move |app| Ok(app.access.create(&wanted, &app.env)?)).await?;
    tracing::info!(
        key = created.key.id,
        role = created.key.role.word(),
        "a key was made"
    );
    json(StatusCode::CREATED, &created)
}

/// Revokes a key at once.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    Path(id): Path<String>,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    let key = blocking(&app, move |app| Ok(app.access.revoke(&id, &app.env)?)).await?;
    tracing::info!(key = key.id, "a key was revoked");
    json(StatusCode::OK, &key)
}
