//! `GET /v1/counts`: how many records a query finds, by value and by time, and their numbers.
//!
//! Counted is what the caller may see, no more: a reader's own query is part of every count, and of
//! what values are looked up by. Personal values are opened for whoever may read the records.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use indelible_api::limits::COUNT_LOOKED_AT_MAX;
use indelible_api::{Counts, ProblemKind};
use indelible_log::mask::Sight;
use indelible_query::ParseContext;
use indelible_query::count::{Counting, Source, Written, count};
use indelible_store::Kind;
use serde::Deserialize;

use crate::access::Principal;
use crate::accesses::{Shown, What};
use crate::answer::{Answer, Refusal, json, refuse};
use crate::app::App;
use crate::binding::{is_bound, sought};
use crate::counted::{opened, shown};
use crate::guard::{Needs, allow};
use crate::list::{parsed, tenants, unreadable};
use crate::read::blocking;
use crate::submit::bad_query;

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    tenant: Option<String>,
    #[serde(default)]
    facet: String,
    top: Option<usize>,
    every: Option<String>,
    zone: Option<String>,
    #[serde(default)]
    stats: String,
}

/// Counts.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let Query(asked) = query.map_err(|error| bad_query(&error))?;
    let counts = blocking(&app, move |app| counts(app, &principal, &asked)).await?;
    json(StatusCode::OK, &counts)
}

fn counts(app: &App, principal: &Principal, asked: &Asked) -> Result<Counts, Refusal> {
    let written = Written {
        facets: &asked.facet,
        top: asked.top,
        every: asked.every.as_deref(),
        zone: asked.zone.as_deref(),
        stats: &asked.stats,
    };
    let now = app.env.clock.now();
    let wanted = Counting::read(&written, &ParseContext::utc(now).zone)
        .map_err(|text| refuse(ProblemKind::BadRequest, text))?;
    let parsed = parsed(&asked.q, now)?;
    let tenants = tenants(app, principal, asked.tenant.as_deref(), &parsed)?;
    let resolved = sought(app, principal, &parsed, &tenants)?;
    let source = Source {
        index: app.index.as_ref(),
        ledger: app.stores.ledger.as_ref(),
        open: &|tenant, value| opened((&app.keyring, principal.sight()), tenant, value),
        // A shape is no value that could be found elsewhere.
        finder: (principal.sight() == Sight::Clear).then_some(app.keyring.as_ref()),
        bodies_max: COUNT_LOOKED_AT_MAX,
    };
    let found = count(source, &resolved.query, &wanted).map_err(|error| match error.kind() {
        Kind::Invalid => refuse(ProblemKind::BadRequest, error.context()),
        _ => error.into(),
    })?;
    let seen = Shown::of(resolved.query.tenants.as_deref().unwrap_or_default());
    let done = (What::Read, "/v1/counts", asked.q.as_str());
    app.accesses.note(principal, done, &seen, now);
    let damaged = found.damaged.iter().cloned();
    let damaged = damaged.map(|damage| unreadable(damage, is_bound(principal, &tenants)));
    let mut counts = shown(&found, &wanted, &resolved.unsearched);
    counts.unreadable = damaged.collect();
    counts.indexed_up_to = principal.sees_all().then_some(found.as_of);
    Ok(counts)
}
