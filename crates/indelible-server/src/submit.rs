//! `POST /v1/events`: one event, its receipt; and whose an event is.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use indelible_api::limits::EVENT_BODY_BYTES_MAX;
use indelible_api::{Came, Problem, ProblemKind, Rates, Submitted};
use indelible_event::ids::TenantId;
use indelible_log::Submission;
use serde::Deserialize;

use crate::access::Principal;
use crate::accesses::hidden;
use crate::answer::{Answer, Refusal, json, of_outcome, of_store, refuse};
use crate::app::App;
use crate::batch::BYTE_ORDER_MARK;
use crate::body::{must_be_json, read};
use crate::decode;
use crate::guard::{Needs, allow};
use crate::limits::Brought;

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
    let let_in = let_in(&app, &principal, target.as_ref())?;
    let (parts, body) = request.into_parts();
    let read = read(body, &parts, EVENT_BODY_BYTES_MAX, &app).await?;
    let decoded = match read.encoding {
        decode::Encoding::Identity => Some(read.bytes),
        encoding => decode::whole(&read.bytes, encoding, EVENT_BODY_BYTES_MAX)
            .map_err(|_| refuse(ProblemKind::BadRequest, "the body cannot be decompressed"))?,
    };
    let event = decoded.ok_or_else(|| {
        let text = format!("an event may have {EVENT_BODY_BYTES_MAX} bytes");
        refuse(ProblemKind::TooLarge, text)
    })?;
    let event = match event.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_vec(),
        None => event,
    };
    let addressing = Addressing::new((&app, "/v1/events"), &principal, target);
    let addressing = addressing.taking(let_in);
    let tenant = addressing.tenant(&event).map_err(Refusal)?;
    addressing.took(&tenant, 1, event.len());
    drop(addressing);
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
        Ok((receipt, came)) => {
            let status = StatusCode::from_u16(came.status()).unwrap_or(StatusCode::OK);
            let other_claim = came == Came::Again { other_claim: true };
            let submitted = Submitted {
                receipt,
                other_claim,
            };
            json(status, &submitted)
        }
        Err(problem) => Err(Refusal(problem)),
    }
}

/// The tenant that the query names.
pub(crate) fn whose(
    query: Result<Query<Target>, QueryRejection>,
) -> Result<Option<TenantId>, Refusal> {
    let Query(target) = query.map_err(|error| bad_query(&error))?;
    target.tenant.as_deref().map(tenant_named).transpose()
}

/// What routes take that take nothing in the query of their URL. A parameter that is passed over
/// would be one that somebody believes in, such as a `limit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Refuses parameters where there are none.
pub(crate) fn nothing(query: Result<Query<Nothing>, QueryRejection>) -> Result<(), Refusal> {
    query.map(|_| ()).map_err(|error| bad_query(&error))
}

/// Refuses a parameter that would be passed over beside, or without, another one.
pub(crate) fn only_if(
    (given, parameter): (bool, &str),
    (holds, when): (bool, &str),
) -> Result<(), Refusal> {
    if !given || holds {
        return Ok(());
    }
    let text = format!("the URL's query: the parameter `{parameter}` is taken only {when}");
    Err(refuse(ProblemKind::BadRequest, text))
}

/// What is wrong with a query of the URL.
pub(crate) fn bad_query(error: &QueryRejection) -> Refusal {
    refuse(ProblemKind::BadRequest, crate::words::of_query(error))
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
    /// The route, for records of what was denied.
    route: &'static str,
    named: Option<TenantId>,
    /// The tenants that were allowed, by name: a batch names few of them, again and again.
    allowed: RefCell<HashMap<String, TenantId>>,
    /// What was taken, where events or bytes are: charged in the end.
    taken: Option<Taken>,
}

/// What was taken of whom.
struct Taken {
    rates: Rates,
    counts: bool,
    /// Whose request was let in before its body was read.
    let_in: Option<TenantId>,
    brought: RefCell<HashMap<TenantId, Brought>>,
}

/// Lets a request in that brings events of a tenant which is known without its body.
pub(crate) fn let_in(
    app: &App,
    principal: &Principal,
    named: Option<&TenantId>,
) -> Result<Option<TenantId>, Refusal> {
    let tenant = named.or_else(|| principal.only_tenant());
    let Some(tenant) = tenant.filter(|tenant| principal.may_see(tenant)) else {
        return Ok(None);
    };
    may_come(app, tenant).map_err(Refusal)?;
    Ok(Some(tenant.clone()))
}

/// Refuses what comes for a tenant that has come to a limit of its own.
fn may_come(app: &App, tenant: &TenantId) -> Result<(), Box<Problem>> {
    let (now, state) = (app.env.clock.now(), app.stores.state.as_ref());
    match app.limits.tenant(tenant, now, state) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reached)) => Err(Box::new(reached.problem(&app.metrics))),
        Err(error) => Err(Box::new(of_store(&error))),
    }
}

impl<'a> Addressing<'a> {
    pub(crate) fn new(
        (app, route): (&'a App, &'static str),
        principal: &'a Principal,
        named: Option<TenantId>,
    ) -> Self {
        Self {
            app,
            principal,
            route,
            named,
            allowed: RefCell::default(),
            taken: None,
        }
    }

    /// The same for what brings events or bytes, which is held to the limits of tenants and
    /// charged; the request was let in already for this one.
    pub(crate) fn taking(mut self, let_in: Option<TenantId>) -> Self {
        let rates = self.app.rates(self.principal);
        self.taken = Some(Taken {
            counts: self.app.limits.counts(&rates),
            rates,
            let_in,
            brought: RefCell::default(),
        });
        self
    }

    /// Counts what came of a tenant.
    pub(crate) fn took(&self, tenant: &TenantId, events: u64, bytes: usize) {
        let Some(taken) = self.taken.as_ref().filter(|taken| taken.counts) else {
            return;
        };
        let mut brought = taken.brought.borrow_mut();
        match brought.get_mut(tenant) {
            Some(brought) => brought.add(events, bytes),
            None => brought
                .entry(tenant.clone())
                .or_default()
                .add(events, bytes),
        }
    }

    /// The tenant of this event: the URL's, else the event's own, else the key's only one, else
    /// `default` on an open server.
    pub(crate) fn tenant(&self, event: &[u8]) -> Result<TenantId, Box<Problem>> {
        if let Some(named) = &self.named {
            return self.allow(named.as_str());
        }
        match named_in(event) {
            Some(name) => self.allow(&name),
            None => self.allow(self.implied()?.as_str()),
        }
    }

    fn allow(&self, name: &str) -> Result<TenantId, Box<Problem>> {
        let mut allowed = self.allowed.borrow_mut();
        if let Some(tenant) = allowed.get(name) {
            return Ok(tenant.clone());
        }
        let tenant = TenantId::parse(name).map_err(|error| {
            let text = format!("the tenant: {error}");
            Box::new(Problem::new(ProblemKind::InvalidEvent, text).at("/tenant_id"))
        })?;
        self.check(&tenant)?;
        if let Some(taken) = &self.taken
            && taken.let_in.as_ref() != Some(&tenant)
        {
            may_come(self.app, &tenant)?;
        }
        allowed.insert(name.to_owned(), tenant.clone());
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
        let missing = || Err(hidden(self.app, self.principal, self.route, tenant).0);
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

impl Drop for Addressing<'_> {
    fn drop(&mut self) {
        let Some(taken) = self.taken.take() else {
            return;
        };
        let name = self.principal.submitter();
        for (tenant, brought) in taken.brought.into_inner() {
            let limits = &self.app.limits;
            limits.charge((name.as_deref(), &taken.rates), &tenant, brought);
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
fn named_in(event: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        tenant_id: Option<Cow<'a, str>>,
    }
    const KEY: &[u8] = b",\"tenant_id\":\"";
    let at = memchr::memmem::rfind(event, b"\"tenant_id\"")?;
    // Mostly it is the last member, as our own clients write it. What stands before the brace that
    // ends the event is at its top level, and a quote behind a comma begins a key, or else the
    // event is not JSON and refused by whoever reads it next.
    let last = event.get(at.saturating_sub(1)..).unwrap_or_default();
    let name = last
        .strip_prefix(KEY)
        .and_then(|rest| rest.strip_suffix(b"\"}"));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(byte);
    if let Some(name) = name.filter(|name| name.iter().all(plain)) {
        return std::str::from_utf8(name).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<Named<'_>>(event).ok()?.tenant_id
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn a_tenant_is_named_at_the_top_level_wherever_it_stands() {
        for (event, name) in [
            (r#"{"a":1,"tenant_id":"acme"}"#, Some("acme")),
            (
                r#"{"tenant_id":"acme","z":{"tenant_id":"other"}}"#,
                Some("acme"),
            ),
            (r#"{"tenant_id":"acme"}"#, Some("acme")),
            (r#"{"a":1, "tenant_id" : "ac\u006de" }"#, Some("acme")),
            (r#"{"a":{"b":1,"tenant_id":"other"}}"#, None),
            (r#"{"a":"\",\"tenant_id\":\"other\"}"}"#, None),
            (r#"{"a":1,"tenant_id":null}"#, None),
            (r#"{"a":1}"#, None),
            ("nonsense", None),
        ] {
            let found = named_in(event.as_bytes());
            assert_eq!(found.as_deref(), name, "{event}");
        }
    }
}
