//! Around every request: its id, whether it can be read in one way only, who it is by, the name it
//! was sent to, and one line of telemetry.
//!
//! The line has the route as we write it, never the path or query as sent: those may hold what
//! somebody searched for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use indelible_api::limits::REQUEST_ID_CHARS_MAX;
use indelible_api::{ProblemKind, REQUEST_ID};
use indelible_event::redact::secret_parts;

use crate::access::{Access, NotInForce, Principal, Who, hex};
use crate::accesses::{self, Denied};
use crate::answer::{Refusal, Refused, refuse};
use crate::app::App;
use crate::caller::Caller;
use crate::clear::must_be_clear;
use crate::cors;

/// Where the connection of a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What the pages may do: load and call what is served here, and nothing else.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors";
/// The one page that others may show in a frame, if they are named.
const EMBEDDED: &str = "/embed";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// For a year a browser is to speak TLS with this name.
const TLS_ONLY: &str = "max-age=31536000";

/// The middleware of every route.
pub(crate) async fn around(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let began = Instant::now();
    let id = request_id(request.headers(), &app);
    let method = known_method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let clear = must_be_clear(&request);
    let is_clear = clear.is_ok();
    let origins = &app.settings.cors_origins;
    let readers = cors::readers(origins, request.headers());
    let preflight = cors::preflight(origins, request.method(), request.headers());
    let principal = match clear {
        Err(refusal) => Err(refusal),
        Ok(()) if preflight.is_some() => Ok(None),
        Ok(()) => match principal(Asking::of(&request), &app).await {
            // What everybody may have is not refused for what is wrong with a key.
            Err(_) if is_for_all(&route) => Ok(None),
            Err(refusal) => {
                accesses::nobody(&app, &request, &route, &refusal);
                Err(refusal)
            }
            Ok(found) => within(found, &route, &app).and_then(|found| limited(found, &route, &app)),
        },
    };
    let by = match &principal {
        Ok(Some(principal)) => Some(principal.submitter().unwrap_or_default()),
        _ => None,
    };
    let mut response = match (principal, preflight) {
        (Err(refusal), _) => refusal.into_response(),
        (Ok(_), Some(preflight)) => preflight,
        (Ok(principal), None) => answered(request, next, (&app, &route), principal).await,
    };
    response.headers_mut().extend(readers);
    if !is_clear {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    explain(&mut response, &id, &app);
    headers(response.headers_mut(), &id, app.tls.is_some());
    framed(
        response.headers_mut(),
        &app.settings.frame_ancestors,
        &route,
    );
    let status = response.status().as_u16();
    let took = began.elapsed();
    app.metrics.answered(group(&route), status, took);
    tell(&app, (&id, method, &route), (status, took), by.as_deref());
    response
}

/// Adds to a problem which request it is of, and what whoever is nobody can do here.
fn explain(response: &mut Response<Body>, id: &str, app: &App) {
    let Some(Refused(mut problem)) = response.extensions_mut().remove::<Refused>() else {
        return;
    };
    problem.request_id = Some(id.to_owned());
    if problem.kind() == Some(ProblemKind::Unauthorized) {
        problem.next = app.access.how_to_ask().unwrap_or(problem.next);
    }
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
}

/// The line of telemetry; `by` is `None` for nobody, who can be refused as often as he likes.
fn tell(
    app: &App,
    (request_id, method, route): (&str, &str, &str),
    (status, took): (u16, Duration),
    by: Option<&str>,
) {
    let ms = millis(took);
    if status >= 500 {
        let by = by.unwrap_or_default();
        tracing::warn!(request_id, method, route, status, ms, by, "answered");
    } else if status < 400 {
        let by = by.unwrap_or_default();
        tracing::debug!(request_id, method, route, status, ms, by, "answered");
    } else if let Some(by) = by {
        tracing::info!(request_id, method, route, status, ms, by, "answered");
    } else if let Some(untold) = app.refused_lines.due() {
        tracing::info!(request_id, method, route, status, ms, untold, "answered");
    }
}

/// The answer of the route; that it is not for the principal is noted.
async fn answered(
    mut request: Request,
    next: Next,
    (app, route): (&App, &str),
    principal: Option<Principal>,
) -> Response<Body> {
    let Some(principal) = principal else {
        return next.run(request).await;
    };
    request.extensions_mut().insert(principal.clone());
    let uri = request.uri().clone();
    let gone = request.extensions().get().cloned().unwrap_or_default();
    let party = principal.party().into();
    let response = Caller { party, gone }.has(next.run(request)).await;
    if response.status() == StatusCode::FORBIDDEN {
        accesses::forbidden(app, &principal, &uri, route);
    }
    response
}

/// The method, where it is one of HTTP's own: any other is text of whoever sent it.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}

/// Milliseconds to the microsecond: three digits after the point.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

fn headers(headers: &mut HeaderMap, id: &str, is_tls: bool) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    if is_tls {
        let value = HeaderValue::from_static(TLS_ONLY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), value);
    }
}

/// What a page may do, and who may show it in a frame: nobody, but for the one page that is made
/// for it and the origins that the operator named.
fn framed(headers: &mut HeaderMap, ancestors: &[String], route: &str) {
    let mut named = ancestors.join(" ");
    if route != EMBEDDED || named.is_empty() {
        "'none'".clone_into(&mut named);
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if let Ok(policy) = HeaderValue::from_str(&format!("{CONTENT_POLICY} {named}")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// The client's own, where it can harm nobody and is no secret that was sent in the wrong place,
/// else a new one.
fn request_id(headers: &HeaderMap, app: &App) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let fits = |text: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_plain = text.chars().all(plain) && secret_parts(text).is_empty();
        !text.is_empty() && text.len() <= REQUEST_ID_CHARS_MAX && is_plain
    };
    match given.filter(fits) {
        Some(given) => given.to_owned(),
        None => hex(&app.env.random_bytes::<8>()),
    }
}

/// What of a request says who it is by.
struct Asking<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    /// The address of the connection.
    peer: Option<IpAddr>,
}

impl<'a> Asking<'a> {
    fn of(request: &'a Request) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            peer: request.extensions().get().map(|Peer(address)| *address),
        }
    }
}

/// Who the request is by; `None` without a key on a server that has keys.
async fn principal(asking: Asking<'_>, app: &App) -> Result<Option<Principal>, Refusal> {
    let (headers, now) = (asking.headers, app.env.clock.now());
    let from = (headers, asking.peer);
    let proxied = app.access.proxied(from, now, &app.cursor_key);
    if let Some(principal) = proxied.map_err(|why| not_in_force(&why))? {
        return Ok(Some(principal));
    }
    if app.access.is_open() {
        // A page elsewhere may make a browser call us under a name of its own. The URL's own name
        // goes before the header's (RFC 9112 §3.2.2).
        let host = headers.get(header::HOST);
        let host = match asking.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => host.and_then(|value| value.to_str().ok()),
        };
        // What CONNECT names is whom it wants to reach, and it reaches nobody.
        let is_for_us = host.is_some_and(is_loopback_name);
        if !is_for_us && *asking.method != Method::CONNECT {
            let text = "a server without keys answers only to the names of this machine itself";
            return Err(refuse(ProblemKind::Misdirected, text));
        }
        return Ok(Some(Principal::Open));
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    bearer(value, app).await.map(Some)
}

/// What a request said of who it is by, for one that goes on for long.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<IpAddr>,
}

/// Who it is now that a request is by which goes on for long.
pub(crate) async fn still(asker: &Asker, app: &App) -> Result<Principal, Refusal> {
    let (headers, now) = (&asker.headers, app.env.clock.now());
    let proxied = app
        .access
        .proxied((headers, asker.peer), now, &app.cursor_key);
    if let Some(principal) = proxied.map_err(|why| not_in_force(&why))? {
        return Ok(principal);
    }
    match headers.get(header::AUTHORIZATION) {
        _ if app.access.is_open() => Ok(Principal::Open),
        Some(value) => bearer(value, app).await,
        None => Err(refuse(
            ProblemKind::Unauthorized,
            "the server has got keys meanwhile, and there is none in the request",
        )),
    }
}

async fn bearer(value: &HeaderValue, app: &App) -> Result<Principal, Refusal> {
    let bearer = value.to_str().ok().and_then(|text| {
        let (scheme, rest) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let is_of_keys = bearer.is_some_and(Access::is_of_keys);
    if is_of_keys && app.shared && app.access.is_older(app.settings.keys_believed) {
        let text = "the keys could not be read for a while, so it is not known which are in force";
        return Err(refuse(ProblemKind::Unavailable, text));
    }
    let now = app.env.clock.now();
    let found = match bearer {
        Some(bearer) => app.access.bearer(bearer, now, &app.cursor_key).await,
        None => Err(NotInForce::Unknown),
    };
    found.map_err(|why| not_in_force(&why))
}

/// The refusal of a key; more than that it is none is told only to who has its secret.
fn not_in_force(why: &NotInForce) -> Refusal {
    let (kind, text) = match why {
        NotInForce::Unknown | NotInForce::KeyNotThere => (
            ProblemKind::Unauthorized,
            "the Authorization header holds no key that is in force".to_owned(),
        ),
        NotInForce::Unfit(why) => (ProblemKind::Unauthorized, why.clone()),
        NotInForce::NoKeysYet => (
            ProblemKind::Unavailable,
            "the issuer's keys could not be fetched yet, so no token can be checked".to_owned(),
        ),
        NotInForce::Revoked(at) => (
            ProblemKind::KeyRevoked,
            format!("the key was revoked at {at}"),
        ),
        NotInForce::Expired(at) => (ProblemKind::KeyExpired, format!("it expired at {at}")),
        NotInForce::Replaced(at) => (
            ProblemKind::KeyExpired,
            format!("the key has a new secret, and this one was taken until {at}"),
        ),
    };
    refuse(kind, text)
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let v4 = || {
        name.parse()
            .is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
    };
    name.eq_ignore_ascii_case("localhost") || name == "[::1]" || v4()
}

/// Whether there is nothing behind the route that is anybody's.
fn is_for_all(route: &str) -> bool {
    let exact = ["/", EMBEDDED, "/docs", "/openapi.json", "/ui/{file}"];
    exact.contains(&route) || route.starts_with("/health/")
}

/// Nobody else than before, but for a viewer, who is refused where nothing is for viewers: what a
/// route is added for, they do not get by itself.
fn within(
    principal: Option<Principal>,
    route: &str,
    app: &App,
) -> Result<Option<Principal>, Refusal> {
    let for_viewers = [
        "/v1/records",
        "/v1/records/{audit_id}",
        "/v1/records/{audit_id}/proof",
        "none",
    ];
    let is_viewer = matches!(
        &principal,
        Some(Principal::Known {
            who: Who::Viewer(_),
            ..
        })
    );
    if is_viewer && !is_for_all(route) && !for_viewers.contains(&route) {
        if let Some(viewer) = &principal {
            let by = Denied::Principal(viewer, viewer.only_tenant());
            let why = (route, ProblemKind::Forbidden);
            app.accesses.denied(by, why, app.env.clock.now());
        }
        let text = "a viewer token gets records and their proofs, and nothing else";
        return Err(refuse(ProblemKind::Forbidden, text));
    }
    Ok(principal)
}

/// Nobody else than before, but for who asks more often than he may, or has yet to pay for what he
/// brought.
fn limited(
    principal: Option<Principal>,
    route: &str,
    app: &App,
) -> Result<Option<Principal>, Refusal> {
    if let Some(known) = &principal
        && route.starts_with("/v1/")
        && let Some(name) = known.payer()
    {
        let admitted = app.limits.key(&name, &app.rates(known));
        admitted.map_err(|reached| Refusal::from(reached.problem(&app.metrics)))?;
    }
    Ok(principal)
}

/// The kind of request for the figures.
fn group(route: &str) -> &'static str {
    match route {
        "/v1/events" => "event",
        "/v1/events:batch" => "batch",
        "/v1/keys" | "/v1/keys/{id}" | "/v1/keys/{id}/rotate" | "/v1/viewer-tokens" => "manage",
        _ if route.starts_with("/v1/") => "read",
        _ => "page",
    }
}

/// What a handler needs of the one who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// To send events.
    Emit,
    /// To search and read.
    Read,
    /// To read what counts or hashes whole logs, which no query narrows.
    Whole,
    /// To see checkpoints.
    Audit,
    /// To manage keys and tenants, of all tenants.
    Administer,
}

/// Who asks, if that is allowed.
pub(crate) fn allow(principal: Option<&Principal>, needs: Needs) -> Result<&Principal, Refusal> {
    let principal = principal
        .ok_or_else(|| refuse(ProblemKind::Unauthorized, "there is no key in the request"))?;
    let role = principal.role();
    if principal.is_narrowed() && matches!(needs, Needs::Whole | Needs::Audit) {
        let text = "access that is narrowed by a query is to records, and to nothing of whole logs";
        return Err(refuse(ProblemKind::Forbidden, text));
    }
    let (allowed, what) = match needs {
        Needs::Emit => (role.may_emit(), "send events"),
        Needs::Read | Needs::Whole => (role.may_read(), "read records"),
        Needs::Audit => (role.may_audit(), "see checkpoints"),
        Needs::Administer => (
            role.may_administer() && principal.sees_all(),
            "administer the server",
        ),
    };
    if allowed {
        return Ok(principal);
    }
    let text = format!("the role {} may not {what}", role.word());
    Err(refuse(ProblemKind::Forbidden, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_after_the_point_at_most() {
        for nanos in (0..2_000_000_000).step_by(1_234_567) {
            let text = millis(Duration::from_nanos(nanos)).to_string();
            let digits = text.split_once('.').map_or(0, |(_, part)| part.len());
            assert!(digits <= 3, "{text}");
        }
        assert_eq!(millis(Duration::from_nanos(1_234_499)).to_string(), "1.234");
    }

    #[test]
    fn a_method_of_the_clients_own_making_is_not_told() {
        assert_eq!(known_method(&Method::GET), "GET");
        let made_up = Method::from_bytes(b"dana-geheim_secret").unwrap_or_default();
        assert_eq!(known_method(&made_up), "other");
    }

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for ours in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "localhost:1",
            "LocalHost",
            "[::1]:80",
            "[::1]",
            "127.0.0.2:9",
        ] {
            assert!(is_loopback_name(ours), "{ours}");
        }
        for other in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "10.0.0.1",
            "::1:x",
            "127.0.0.1:80a",
        ] {
            assert!(!is_loopback_name(other), "{other}");
        }
    }
}
