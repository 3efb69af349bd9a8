//! `GET /v1/records/{audit_id}/related`: its tree, its correlation, its execution.
//!
//! All of it of the record's own log, and narrowed by what the caller may see: a parent that it may
//! not see is one that is not there.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use indelible_api::{JSON, ProblemKind, Related};
use indelible_event::ids::TenantId;
use indelible_query::related::{Scope, related};
use indelible_query::{Parsed, page};
use indelible_store::Expr;

use crate::access::Principal;
use crate::accesses::{Shown, What};
use crate::answer::{Answer, Refusal, refuse, typed, written};
use crate::app::App;
use crate::binding::{is_bound, sought};
use crate::guard::{Needs, allow};
use crate::list::unreadable;
use crate::read::blocking;
use crate::records::find;
use crate::relations::shown;
use crate::submit::{Target, whose};

/// Finds what belongs to a record.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    Path(id): Path<String>,
    query: Result<Query<Target>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let named = whose(query)?;
    let body = blocking(&app, move |app| {
        let (tenant, number) = find(app, &principal, named, &id)?;
        let related = of(app, &principal, tenant.clone(), number)?;
        let asked = format!("id:{id}");
        let done = (What::Read, "/v1/records/{audit_id}/related", asked.as_str());
        let (seen, now) = (Shown::records(&tenant, told(&related)), app.env.clock.now());
        app.accesses.note(&principal, done, &seen, now);
        app.memory.lists.keep(written(&related)?)
    });
    Ok(typed(StatusCode::OK, JSON, body.await?))
}

/// How many records are told in brief.
fn told(related: &Related) -> u64 {
    let timelines = [
        related.correlation.as_ref().map(|all| all.records.len()),
        related.execution.as_ref().map(|all| all.records.len()),
    ];
    let shown = timelines.into_iter().flatten().sum::<usize>();
    (1 + related.ancestors.len() + related.descendants.len() + shown) as u64
}

fn of(app: &App, principal: &Principal, tenant: TenantId, number: u64) -> Result<Related, Refusal> {
    let tenants = [tenant];
    let query = sought(app, principal, &Parsed::default(), &tenants)?.query;
    let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
    let this = Expr::Sequence(number..number.saturating_add(1));
    let this = indelible_store::Query {
        expr: Expr::And(vec![query.expr.clone(), this]),
        ..query.clone()
    };
    let found = page(index, ledger, &this, None, 1)?;
    let row = found.rows.into_iter().next();
    let missing = found.damaged.is_empty();
    let row = row.ok_or_else(|| {
        if missing {
            return refuse(ProblemKind::NotFound, "there is no record with this id");
        }
        refuse(ProblemKind::Internal, "the stored record is damaged")
    })?;
    let scope = Scope {
        index,
        ledger,
        query: &query,
    };
    let mut found = related(scope, &row)?;
    let damaged = std::mem::take(&mut found.damaged).into_iter();
    let mut related = shown((&app.keyring, principal.sight()), &row, &found)?;
    related.unreadable = damaged
        .map(|damage| unreadable(damage, is_bound(principal, &tenants)))
        .collect();
    Ok(related)
}
