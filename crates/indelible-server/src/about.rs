//! `GET /v1/access` and `GET /v1/configuration`: what whoever asks may do, and what the server runs
//! with.
//!
//! The first asks the same rule as every other route, so that it never says more than they allow.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use indelible_api::{Allowed, May, ProblemKind};
use indelible_event::ids::TenantId;

use crate::access::Principal;
use crate::answer::{Answer, json, refuse};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::submit::{Nothing, nothing};

/// What whoever asks may do.
pub(crate) async fn access(
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
) -> Answer {
    let principal = principal.as_deref();
    let Some(known) = principal else {
        let text = "there is no key in the request";
        return Err(refuse(ProblemKind::Unauthorized, text));
    };
    nothing(query)?;
    let may = May::ALL.into_iter();
    let may = may.filter(|may| allow(principal, needs(*may)).is_ok());
    let names = |tenants: &[TenantId]| tenants.iter().map(ToString::to_string).collect();
    let allowed = Allowed {
        role: known.role(),
        may: may.collect(),
        tenants: known.bound_to().map(names),
    };
    json(StatusCode::OK, &allowed)
}

fn needs(may: May) -> Needs {
    match may {
        May::Emit => Needs::Emit,
        May::Read => Needs::Read,
        May::Whole => Needs::Whole,
        May::Audit => Needs::Audit,
        May::Administer => Needs::Administer,
    }
}

/// Every setting that is in force.
pub(crate) async fn configuration(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    json(StatusCode::OK, &app.in_force)
}
