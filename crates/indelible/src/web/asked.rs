//! What the head of a request says, as far as it may stand in an event.

use std::net::{IpAddr, SocketAddr};

use http::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{Extensions, Method};
use indelible_emit::{Actor, Surroundings};
use indelible_event::limits::{EVENT_TYPE_CHARS_MAX, PERSONAL_CHARS_MAX};
use indelible_event::{AuditId, Micros};
use indelible_merkle::sha256;

use super::Rules;
use crate::process::Process;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Where no route is known.
const UNMATCHED: &str = "/{unmatched}";
/// The longest id of a request that is taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Methods that are told by name; others are `other`.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::CONNECT,
    Method::TRACE,
];

/// What was asked, and by whom as far as the head tells.
pub(super) struct Asked {
    pub(super) event_type: String,
    pub(super) method: String,
    pub(super) route: String,
    /// What the route is when the path of a call turns out to name no method.
    unless_called: Option<String>,
    /// Nothing is to be changed by it.
    pub(super) reads: bool,
    pub(super) request_id: String,
    pub(super) traceparent: Option<String>,
    pub(super) actor: Option<Actor>,
    ip: Option<IpAddr>,
    session: Option<String>,
    user_agent: Option<String>,
    /// The length of a user agent that was too long, in bytes.
    pub(super) user_agent_bytes: Option<usize>,
}

impl Asked {
    pub(super) fn of(parts: &Parts, rules: &Rules) -> Self {
        let headers = &parts.headers;
        let method = METHODS.iter().find(|known| **known == parts.method);
        let method = method.map_or("OTHER", Method::as_str).to_owned();
        let (route, unless_called) = route(parts, rules);
        let agent = headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        let fits = |agent: &&str| agent.len() <= PERSONAL_CHARS_MAX;
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let session = rules.session_cookie.as_deref();
        Self {
            event_type: event_type(&method, &route),
            method,
            route,
            unless_called,
            reads: [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method),
            request_id: header(REQUEST_ID)
                .filter(|id| is_sound(id))
                .map_or_else(|| mint().to_string(), str::to_owned),
            traceparent: header(TRACEPARENT).map(str::to_owned),
            actor: rules.actor.as_ref().and_then(|actor| actor(parts)),
            ip: client(parts, rules),
            session: session.and_then(|name| Some(hashed(cookie(headers, name)?))),
            user_agent: agent.filter(fits).map(str::to_owned),
            user_agent_bytes: agent.filter(|agent| !fits(agent)).map(str::len),
        }
    }

    /// Says that nothing was called: the path is whatever somebody asked for.
    pub(super) fn was_no_call(&mut self) {
        if let Some(route) = self.unless_called.take() {
            self.event_type = event_type(&self.method, &route);
            self.route = route;
        }
    }

    /// The id as a header.
    pub(super) fn request_id_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.request_id).ok()
    }

    /// The actor with what the head says of where it is.
    pub(super) fn placed(&self, actor: Actor) -> Actor {
        let mut place = Actor::anonymous();
        if let Some(ip) = self.ip {
            place = place.ip(ip.to_string());
        }
        if let Some(agent) = &self.user_agent {
            place = place.user_agent(agent);
        }
        if let Some(session) = &self.session {
            place = place.session(session);
        }
        actor.or(place)
    }
}

fn event_type(method: &str, route: &str) -> String {
    format!("api.{}.{route}", method.to_ascii_lowercase())
}

/// The template of the route; where it is the path of a call, also what it is if there is no such
/// call.
fn route(parts: &Parts, rules: &Rules) -> (String, Option<String>) {
    if let Some(route) = rules.route.as_ref().and_then(|route| route(parts)) {
        return (fit(route), None);
    }
    let matched = matched(&parts.extensions);
    // A router sends all methods of a service to one route.
    let of_service = |path: &&str| match &matched {
        Some(matched) => {
            let service = matched.split_once("{*").map(|(service, _)| service);
            service.is_some_and(|service| service.len() > 1 && path.starts_with(service))
        }
        None => true,
    };
    let called = grpc(parts).filter(of_service).map(str::to_owned);
    let otherwise = matched.map_or_else(|| UNMATCHED.to_owned(), fit);
    match called {
        Some(called) => (fit(called), Some(otherwise)),
        None => (otherwise, None),
    }
}

/// A route that makes an event type of the form that there is.
fn fit(route: String) -> String {
    let longest = EVENT_TYPE_CHARS_MAX - "api.options.".len();
    let good = route.starts_with('/')
        && route.len() <= longest
        && route.bytes().all(|b| b.is_ascii_graphic());
    if good {
        return route;
    }
    // It is the program's own, so that it has a name of its own, if an ugly one.
    let hash = sha256(route.as_bytes()).to_string();
    format!("/{{route-{}}}", hash.get(..16).unwrap_or_default())
}

#[cfg(feature = "axum")]
fn matched(extensions: &Extensions) -> Option<String> {
    let matched = extensions.get::<axum::extract::MatchedPath>()?;
    Some(matched.as_str().to_owned())
}

#[cfg(not(feature = "axum"))]
fn matched(_: &Extensions) -> Option<String> {
    None
}

/// `/package.Service/Method` of gRPC is its own template: letters, digits, dots and `_`. Whether
/// there is such a method only the answer says.
fn grpc(parts: &Parts) -> Option<&str> {
    if !is_grpc(&parts.headers) {
        return None;
    }
    let path = parts.uri.path();
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let word = |text: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(good)
    };
    (word(service) && word(method) && !method.contains('.')).then_some(path)
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    kind(headers).is_some()
}

/// Whether the status stands in the trailers: for browsers, gRPC-Web puts it into the body.
pub(super) fn has_trailers(headers: &HeaderMap) -> bool {
    kind(headers).is_some_and(|kind| !kind.starts_with(b"-web"))
}

/// What stands behind `application/grpc`.
fn kind(headers: &HeaderMap) -> Option<&[u8]> {
    let kind = headers.get(CONTENT_TYPE)?;
    kind.as_bytes().strip_prefix(b"application/grpc")
}

/// Whoever connected, or who connected to the outermost of our proxies.
fn client(parts: &Parts, rules: &Rules) -> Option<IpAddr> {
    if rules.trusted_proxies > 0 {
        let forwarded = parts.headers.get_all(FORWARDED_FOR).into_iter();
        let forwarded = forwarded.filter_map(|value| value.to_str().ok());
        let hops: Vec<_> = forwarded.flat_map(|value| value.split(',')).collect();
        let hop = hops.len().checked_sub(rules.trusted_proxies);
        return hop.and_then(|hop| hops.get(hop)?.trim().parse().ok());
    }
    match &rules.peer {
        Some(peer) => peer(parts),
        None => connected(&parts.extensions),
    }
}

#[cfg(feature = "axum")]
fn connected(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
    let peer = peer.map(|peer| peer.0.ip());
    peer.or_else(|| extensions.get::<SocketAddr>().map(SocketAddr::ip))
}

#[cfg(not(feature = "axum"))]
fn connected(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).into_iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// The same session has the same hash, and the hash opens none.
fn hashed(session: &str) -> String {
    format!(
        "sha256:{}",
        sha256(format!("indelible session\n{session}").as_bytes())
    )
}

/// What a client says is taken over only as what cannot do harm in a log or a header.
fn is_sound(id: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(good)
}

fn mint() -> AuditId {
    let Micros(micros) = Process.now();
    let mut random = [0; 10];
    Surroundings::fill(&Process, &mut random);
    AuditId::mint(u64::try_from(micros / 1_000).unwrap_or(0), random)
}
