//! `/health/live`, `/health/ready`, `/metrics`.
//!
//! Ready means proof of work (invariant 11): a recent commit or an empty queue, a checkpoint of
//! what is durable, somebody who publishes, and a verifier that is at work.
//!
//! Health takes any parameters, unlike all else: probes add some against caches, a refusal would
//! take a server out of service that works, and no parameter could have changed the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use indelible_api::Health;
use indelible_api::metrics::CONTENT_TYPE;
use indelible_event::ids::Micros;

use crate::access::Principal;
use crate::answer::{Answer, json, typed};
use crate::app::App;
use crate::guard::{Needs, allow};
use crate::metrics::Now;
use crate::read::blocking;
use crate::submit::{Nothing, nothing};

/// How many intervals of the verifier may pass without a sign of it.
const VERIFIER_INTERVALS: u32 = 5;
/// How many intervals of the publisher may pass in which nothing is seen of others, at least.
const PUBLISHER_INTERVALS: u32 = 3;

/// The process answers.
pub(crate) async fn live() -> Answer {
    json(StatusCode::OK, &health(Vec::new(), None))
}

/// Work gets done.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Answer {
    let reasons = reasons(&app);
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &health(reasons, app.stands_on.clone()))
}

fn health(reasons: Vec<String>, ledger: Option<String>) -> Health {
    let status = if reasons.is_empty() { "ok" } else { "failing" };
    Health {
        status: status.to_owned(),
        reasons,
        ledger,
    }
}

fn reasons(app: &App) -> Vec<String> {
    let now = app.env.clock.now();
    let within = app.settings.ready_within;
    let metrics = &app.metrics;
    // Of others nothing can be seen more often than that.
    let unseen_within = within.max(app.settings.publish_interval * PUBLISHER_INTERVALS);
    let unseen = |seen: Option<Micros>| seen.is_some_and(|at| older(at, now, unseen_within));
    if app.shared && (metrics.database_is_away() || unseen(metrics.database_seen())) {
        // All else follows from it.
        let said = "the database is not reachable: the telemetry has the cause";
        return vec![said.to_owned()];
    }
    let mut reasons = Vec::new();
    let waiting = metrics.waiting();
    if waiting > 0
        && metrics
            .last_commit()
            .is_none_or(|at| older(at, now, within))
    {
        let text = format!("{waiting} events wait and nothing was committed for {within:?}");
        reasons.push(text);
    }
    if metrics
        .news_since()
        .is_some_and(|at| older(at, now, within))
    {
        let whose = if app.feed.signs() {
            ""
        } else {
            ": the server with the signing key publishes, and does not"
        };
        reasons.push(format!(
            "no checkpoint covers what was committed {within:?} ago{whose}"
        ));
    } else if app.shared && !app.feed.signs() && unseen(metrics.publisher_seen()) {
        reasons.push(format!(
            "nobody publishes: no server with the signing key was seen for {unseen_within:?}"
        ));
    }
    // For as long as that only: whoever is sent nobody commits nothing, and would stay so.
    for (failed, what) in [
        (metrics.last_failure(), "commit"),
        (metrics.last_attachment_failure(), "upload of an attachment"),
    ] {
        if let Some(failed) = failed.filter(|failed| !older(failed.at, now, within)) {
            let why = if failed.for_space {
                " for want of space"
            } else {
                ""
            };
            reasons.push(format!(
                "the newest {what} failed{why}: the telemetry has the cause"
            ));
        }
    }
    let patience = app.settings.verify_interval * VERIFIER_INTERVALS;
    if metrics
        .verifier_seen()
        .is_none_or(|at| older(at, now, patience))
    {
        reasons.push("the verifier shows no sign of work".to_owned());
    }
    reasons
}

fn older(at: Micros, now: Micros, than: Duration) -> bool {
    let age = u128::try_from(now.0.saturating_sub(at.0)).unwrap_or(0);
    age > than.as_micros()
}

/// The figures.
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Nothing>, QueryRejection>,
) -> Answer {
    allow(principal.as_deref(), Needs::Administer)?;
    nothing(query)?;
    let tenants = blocking(&app, |app| Ok(app.stores.ledger.tenants()?.len())).await?;
    let now = Now {
        at: app.env.clock.now(),
        tails: app.tails.open(),
        tenants,
        ready: reasons(&app).is_empty(),
    };
    Ok(typed(StatusCode::OK, CONTENT_TYPE, app.metrics.text(&now)))
}
