//! What is denied: where the middleware or a handler says no, and to whom.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use indelible_api::ProblemKind;
use indelible_event::ids::{Micros, TenantId};
use indelible_event::redact::secret_parts;

use super::notes::{Detail, Key};
use super::{Accesses, What};
use crate::access::Principal;
use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::binding::is_bound;
use crate::guard::Peer;
use crate::submit::no_tenant;

/// Who is denied something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied<'a> {
    /// Somebody who is known, and whose records he asked for.
    Principal(&'a Principal, Option<&'a TenantId>),
    /// Nobody who is known.
    Nobody {
        /// The id of the key that he claims to have, if there is such a key.
        key: Option<&'a str>,
        /// The address of his connection.
        peer: Option<IpAddr>,
    },
}

impl Accesses {
    /// Notes that something is not for whoever asked, by the route and the kind of the problem.
    pub(crate) fn denied(&self, by: Denied<'_>, (route, why): (&str, ProblemKind), now: Micros) {
        let why = why.name();
        let (actor, tenant, detail) = match by {
            Denied::Principal(principal, tenant) => {
                let Some(name) = principal.submitter() else {
                    return;
                };
                let detail = Detail::Refused(why, None, None);
                // A name that nobody has may be anything that somebody typed.
                let is_plain = |name: &&TenantId| secret_parts(name.as_str()).is_empty();
                let tenant = tenant.filter(is_plain).cloned();
                ((principal.kind(), name.into()), tenant, detail)
            }
            Denied::Nobody { key, peer } => {
                let network = peer.map(|peer| network(peer).into());
                let detail = Detail::Refused(why, key.map(Into::into), network);
                (("anonymous", "anybody".into()), None, detail)
            }
        };
        let key = Key {
            what: What::Denied,
            actor,
            tenant,
            route: route.into(),
            detail,
        };
        self.lock().count(key, 1, 0, now);
    }
}

/// Notes a request whose key, token or proxy is not taken. One that shows none is no attempt.
pub(crate) fn nobody(app: &App, request: &Request, route: &str, refusal: &Refusal) {
    let Some(why) = refusal.0.kind() else {
        return;
    };
    let bearer = request.headers().get(header::AUTHORIZATION);
    let shows_some = bearer.is_some() || app.access.is_proxied(request.headers());
    if refusal.0.status != StatusCode::UNAUTHORIZED || !shows_some {
        return;
    }
    let bearer = bearer.and_then(|value| value.to_str().ok());
    let key = bearer.and_then(|text| app.access.claimed(text));
    let peer = request.extensions().get().map(|Peer(address)| *address);
    let by = Denied::Nobody {
        key: key.as_deref(),
        peer,
    };
    app.accesses.denied(by, (route, why), app.env.clock.now());
}

/// Notes that a role, or what else is known of somebody, does not allow what was asked.
pub(crate) fn forbidden(app: &App, principal: &Principal, uri: &Uri, route: &str) {
    let named = uri.query().and_then(named);
    let tenant = named.as_ref().or_else(|| principal.only_tenant());
    let by = Denied::Principal(principal, tenant);
    let now = app.env.clock.now();
    app.accesses
        .denied(by, (route, ProblemKind::Forbidden), now);
}

/// The tenant that the query of a URL names. One that is written with escapes is not looked for:
/// names need none.
fn named(query: &str) -> Option<TenantId> {
    let mut pairs = query.split('&');
    let name = pairs.find_map(|pair| pair.strip_prefix("tenant="))?;
    TenantId::parse(name).ok()
}

/// The answer to who asks for a tenant that is not there, or not for him; noted alike.
pub(crate) fn hidden(
    app: &App,
    principal: &Principal,
    route: &'static str,
    tenant: &TenantId,
) -> Refusal {
    let by = Denied::Principal(principal, Some(tenant));
    let now = app.env.clock.now();
    app.accesses.denied(by, (route, ProblemKind::NotFound), now);
    no_tenant(tenant).into()
}

/// The answer to who asks for a record that is not there. Where one may be there that is not for
/// him, it is noted, alike whether one is.
pub(crate) fn missing(
    app: &App,
    principal: &Principal,
    route: &'static str,
    tenants: &[TenantId],
) -> Refusal {
    if is_bound(principal, tenants) {
        let only = match tenants {
            [only] => Some(only),
            _ => None,
        };
        let (why, now) = (ProblemKind::NotFound, app.env.clock.now());
        let by = Denied::Principal(principal, only);
        app.accesses.denied(by, (route, why), now);
    }
    refuse(ProblemKind::NotFound, "there is no record with this id")
}

/// The network that an address is in, as far as one subscriber has it.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}
