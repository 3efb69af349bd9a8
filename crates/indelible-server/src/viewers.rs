//! `POST /v1/viewer-tokens`: a tenant's records for somebody else, for a short while.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::{CreateViewerToken, ProblemKind};

use crate::access::{Principal, Who};
use crate::accesses::hidden;
use crate::answer::{Answer, json, refuse};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::keys::changed;
use crate::ledger::small;
use crate::read::blocking;
use crate::submit::{Nothing, nothing, tenant_named};

/// Makes a viewer token in the name of the key that asks.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    request: Request,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Read)?.clone();
    nothing(query)?;
    let Principal::Known {
        who: Who::Key(key), ..
    } = &by
    else {
        let text = "a viewer token is made with a key, since it falls with that key";
        return Err(refuse(ProblemKind::Forbidden, text));
    };
    let key = Arc::clone(key);
    let wanted: CreateViewerToken = small(&app, request).await?;
    let tenant = tenant_named(&wanted.tenant)?;
    let asks = by.clone();
    blocking(&app, move |app| {
        if asks.may_see(&tenant) && !tenant.is_ours() && app.has_tenant(&tenant)? {
            return Ok(());
        }
        Err(hidden(app, &asks, "/v1/viewer-tokens", &tenant))
    })
    .await?;
    let sealing = app.cursor_key.clone();
    let made = changed(&app, by, move |access, env, by| {
        access.create_viewer((&wanted, &sealing), env, (&key, by))
    });
    json(StatusCode::CREATED, &made.await?)
}
