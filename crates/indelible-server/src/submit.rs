//! `POST /v1/events`: one event, its receipt; and whose an event is.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::limits::EVENT_BODY_BYTES_MAX;
use indelible_api::{ItemResult, Problem, ProblemKind, Submitted};
use indelible_event::ids::TenantId;
use indelible_log::Submission;
use serde::Deserialize;

use crate::access::Principal;
use crate::answer::{Answer, Refusal, json, of_outcome, of_store, refuse};
use crate::app::App;
use crate::body::{must_be_json, read};
use crate::decode;
use crate::guard::{Needs, allow};

const DEFAULT_TENANT: &str = "default";

/// The query of both routes that take events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    tenant: Option<String>,
}

/// Commits one event.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Target>, QueryRejection>,
    request: Request,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Emit)?.clone();
    let target = whose(query)?;
    must_be_json(request.headers())?;
    let (parts, body) = request.into_parts();
    let read = read(
        body,
        &parts.headers,
        EVENT_BODY_BYTES_MAX,
        &app.budget,
        &app.settings,
    )
    .await?;
    let decoded = match read.encoding {
        decode::Encoding::Identity => Some(read.bytes),
        encoding => decode::whole(&read.bytes, encoding, EVENT_BODY_BYTES_MAX)
            .map_err(|_| refuse(ProblemKind::BadRequest, "the body cannot be decompressed"))?,
    };
    let event = decoded.ok_or_else(|| {
        let text = format!("an event may have {EVENT_BODY_BYTES_MAX} bytes");
        refuse(ProblemKind::TooLarge, text)
    })?;
    let addressing = Addressing::new(&app, &principal, target);
    let tenant = addressing.tenant(&event).map_err(Refusal)?;
    let submission = Submission {
        tenant,
        event,
        admission: app.admission(&principal),
        stream: None,
    };
    let Some(outcome) = app.intake.submit(submission) else {
        app.metrics.overloaded();
        let text = "too many events are waiting to be committed";
        return Err(refuse(ProblemKind::Overloaded, text));
    };
    let outcome = outcome
        .await
        .map_err(|_| refuse(ProblemKind::Unavailable, "the server is stopping"))?;
    drop(read.granted);
    match of_outcome(outcome) {
        (status, ItemResult::Receipt(receipt)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            json(status, &Submitted { receipt })
        }
        (_, ItemResult::Problem(problem)) => Err(Refusal(problem)),
    }
}

/// The tenant that the query names.
pub(crate) fn whose(
    query: Result<Query<Target>, QueryRejection>,
) -> Result<Option<TenantId>, Refusal> {
    let Query(target) = query.map_err(|error| bad_query(&error))?;
    target.tenant.as_deref().map(tenant_named).transpose()
}

/// What is wrong with a query of the URL.
pub(crate) fn bad_query(error: &QueryRejection) -> Refusal {
    refuse(
        ProblemKind::BadRequest,
        format!("the URL's query: {}", error.body_text()),
    )
}

/// A tenant's name as it was sent.
pub(crate) fn tenant_named(name: &str) -> Result<TenantId, Refusal> {
    TenantId::parse(name)
        .map_err(|error| refuse(ProblemKind::BadRequest, format!("the tenant: {error}")))
}

/// Decides whose each event is, and whether it may be sent there.
pub(crate) struct Addressing<'a> {
    app: &'a App,
    principal: &'a Principal,
    named: Option<TenantId>,
    /// The last tenant that was allowed: events of a batch mostly have the same.
    last: std::cell::RefCell<Option<TenantId>>,
}

impl<'a> Addressing<'a> {
    pub(crate) fn new(app: &'a App, principal: &'a Principal, named: Option<TenantId>) -> Self {
        Self {
            app,
            principal,
            named,
            last: std::cell::RefCell::default(),
        }
    }

    /// The tenant of this event: the URL's, else the event's own, else the key's only one, else
    /// `default` on an open server.
    pub(crate) fn tenant(&self, event: &[u8]) -> Result<TenantId, Box<Problem>> {
        let tenant = match &self.named {
            Some(named) => named.clone(),
            None => match named_in(event)? {
                Some(named) => named,
                None => self.implied()?,
            },
        };
        let mut last = self.last.borrow_mut();
        if last.as_ref() != Some(&tenant) {
            self.check(&tenant)?;
            *last = Some(tenant.clone());
        }
        Ok(tenant)
    }

    fn implied(&self) -> Result<TenantId, Box<Problem>> {
        if let Some(only) = self.principal.only_tenant() {
            return Ok(only.clone());
        }
        if *self.principal == Principal::Open
            && let Ok(default) = TenantId::parse(DEFAULT_TENANT)
        {
            return Ok(default);
        }
        let text = "neither the URL nor the event names a tenant, and the key is not bound to one";
        Err(Box::new(Problem::new(ProblemKind::TenantNeeded, text)))
    }

    fn check(&self, tenant: &TenantId) -> Result<(), Box<Problem>> {
        let missing = || Err(Box::new(no_tenant(tenant)));
        if tenant.is_ours() || !self.principal.may_see(tenant) {
            return missing();
        }
        // On an open server, and where an administrator bound a key to the name, a tenant gets its
        // log with its first event.
        if *self.principal == Principal::Open || self.principal.names(tenant) {
            return Ok(());
        }
        match self.app.has_tenant(tenant) {
            Ok(true) => Ok(()),
            Ok(false) => missing(),
            Err(error) => Err(Box::new(of_store(&error))),
        }
    }
}

/// The problem of a tenant that is not there, or not for this key.
pub(crate) fn no_tenant(tenant: &TenantId) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no tenant {tenant}"),
    )
}

/// The tenant that the event names. Whether the event is one is asked later.
fn named_in(event: &[u8]) -> Result<Option<TenantId>, Box<Problem>> {
    #[derive(Deserialize)]
    struct Named {
        tenant_id: Option<String>,
    }
    if memchr::memmem::find(event, b"\"tenant_id\"").is_none() {
        return Ok(None);
    }
    let Ok(Named {
        tenant_id: Some(name),
    }) = serde_json::from_slice(event)
    else {
        return Ok(None);
    };
    TenantId::parse(&name).map(Some).map_err(|error| {
        let text = format!("the tenant: {error}");
        Box::new(Problem::new(ProblemKind::InvalidEvent, text).at("/tenant_id"))
    })
}
