//! `POST /v1/viewer-tokens`: a tenant's records for somebody else, for a short while.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{StatusCode, header};
use indelible_api::{CreateViewerToken, ProblemKind};
use indelible_log::mask::Sight;

use crate::access::{Access, Principal, Who};
use crate::accesses::hidden;
use crate::answer::{Answer, json, refuse};
use crate::app::App;
use crate::binding::asks_for_addresses;
use crate::guard::{Needs, allow};
use crate::ledger::small;
use crate::read::blocking;
use crate::submit::{Nothing, nothing, tenant_named};

/// Makes a viewer token in the name of the key that by.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
    request: Request,
) -> Answer {
    let by = allow(principal.as_deref(), Needs::Read)?.clone();
    nothing(query)?;
    let Principal::Known {
        who: Who::Key(_), ..
    } = &by
    else {
        let text = "a viewer token is made with a key, since it falls with that key";
        return Err(refuse(ProblemKind::Forbidden, text));
    };
    let key = request.headers().get(header::AUTHORIZATION).cloned();
    let wanted: CreateViewerToken = small(&app, request).await?;
    let tenant = tenant_named(&wanted.tenant)?;
    let made = blocking(&app, move |app| {
        let (query, now) = (wanted.query.as_ref(), app.env.clock.now());
        if !by.may_see(&tenant) || tenant.is_ours() || !app.has_tenant(&tenant)? {
            return Err(hidden(app, &by, "/v1/viewer-tokens", &tenant));
        }
        let is_sought = |query: &String| asks_for_addresses(query, &tenant, now);
        if by.sight() == Sight::Masked && query.is_some_and(is_sought) {
            let text = "the query asks for addresses, which whoever sees them masked does not \
                        search: leave them out, or make the token with a key that sees them";
            return Err(refuse(ProblemKind::BadQuery, text));
        }
        let key = key.as_ref().and_then(|value| value.to_str().ok());
        let key = key.unwrap_or_default();
        let (made, lasts) = Access::create_viewer((&wanted, &app.cursor_key), key, now)?;
        let told = (&tenant, query.is_some(), lasts);
        app.accesses.viewer_made(&by, told, now);
        Ok(made)
    });
    json(StatusCode::CREATED, &made.await?)
}
