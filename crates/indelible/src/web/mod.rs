//! Requests as events: a layer for tower services, of axum and tonic as well.
//!
//! Each request is one event, `api.<method>.<route template>`, emitted when the answer's head is
//! there, or when the request ends without one. A call of gRPC is emitted when its status is there,
//! which of a stream is the end. Within the request a [context](crate::Context) holds its id, so
//! that what handlers and streams emit belongs to it.
//!
//! **Invariants**: a raw path never stands in an event, since it may name people: what has no
//! template is `/{unmatched}`. A session cookie is hashed. Nothing that a client sends can have
//! its event refused: what is too long is left out, and the event says so.
//!
//! Not here: who acts and may what, which guards tell a [`RequestAudit`]. The bytes of bodies are
//! not looked at: an answer of HTTP that breaks off after its head counts as what its head said.

mod asked;
mod body;
mod request;
mod sampling;
mod service;

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use http::request::Parts;
use indelible_emit::Actor;

use crate::audit::Audit;

pub use body::ResponseBody;
pub use request::RequestAudit;
use sampling::Sampling;
pub use service::{AuditService, ResponseFuture};

/// Has every request of a service emitted as an event.
///
/// In axum it is given to `Router::layer`, after the routes: outside of the router no route is
/// known yet.
#[derive(Clone)]
pub struct AuditLayer {
    rules: Arc<Rules>,
}

/// A question about the head of a request.
type Ask<T> = Arc<dyn Fn(&Parts) -> Option<T> + Send + Sync>;

/// What is to be told of requests.
#[derive(Clone)]
struct Rules {
    audit: Arc<Audit>,
    tenant: String,
    skipped_paths: Vec<String>,
    skipped_methods: Vec<Method>,
    session_cookie: Option<String>,
    trusted_proxies: usize,
    actor: Option<Ask<Actor>>,
    route: Option<Ask<String>>,
    peer: Option<Ask<IpAddr>>,
    sampling: Option<Arc<Sampling>>,
}

impl AuditLayer {
    /// A layer that emits into an audit trail, for a tenant where a request's
    /// [`RequestAudit::tenant`] does not name another.
    pub fn new(audit: impl Into<Arc<Audit>>, tenant: impl Into<String>) -> Self {
        let rules = Rules {
            audit: audit.into(),
            tenant: tenant.into(),
            skipped_paths: Vec::new(),
            skipped_methods: Vec::new(),
            session_cookie: None,
            trusted_proxies: 0,
            actor: None,
            route: None,
            peer: None,
            sampling: None,
        };
        Self {
            rules: Arc::new(rules),
        }
    }

    /// Leaves out requests to this path and what is below it: `/health` and `/health/live`, not
    /// `/healthy` nor `/health/../admin`.
    #[must_use]
    pub fn skip_path(self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        self.with(|rules| rules.skipped_paths.push(prefix))
    }

    /// Leaves out requests of a method.
    #[must_use]
    pub fn skip_method(self, method: Method) -> Self {
        self.with(|rules| rules.skipped_methods.push(method))
    }

    /// Tells the session by the hash of the cookie of this name.
    #[must_use]
    pub fn session_cookie(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|rules| rules.session_cookie = Some(name))
    }

    /// Believes `X-Forwarded-For` as far as so many proxies of ours stand before this service; none
    /// if nothing is said, and then the client is whoever connected.
    #[must_use]
    pub fn trusted_proxies(self, number: usize) -> Self {
        self.with(|rules| rules.trusted_proxies = number)
    }

    /// Who acts, where the head of the request tells; see [`RequestAudit::identify`] for what is
    /// known only within.
    #[must_use]
    pub fn actor(self, actor: impl Fn(&Parts) -> Option<Actor> + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.actor = Some(Arc::new(actor)))
    }

    /// The template of a request's route, where it is not axum that routes. It must not be made of
    /// the path as it came.
    #[must_use]
    pub fn route(self, route: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.route = Some(Arc::new(route)))
    }

    /// The address that is connected, where it is not axum's `ConnectInfo` that tells.
    #[must_use]
    pub fn peer(self, peer: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.peer = Some(Arc::new(peer)))
    }

    /// Of reads that succeed, emits one in so many of each tenant; everything else is always
    /// emitted. Each of them says so in its metadata, and what is left out is declared in the log,
    /// with the rule and the count.
    #[must_use]
    pub fn sample_reads(self, one_in: u32) -> Self {
        self.with(|rules| rules.sampling = Some(Arc::new(Sampling::new(one_in))))
    }

    fn with(mut self, set: impl FnOnce(&mut Rules)) -> Self {
        set(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<S> tower_layer::Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService::new(inner, Arc::clone(&self.rules))
    }
}

impl Rules {
    fn skips(&self, parts: &Parts) -> bool {
        let path = parts.uri.path();
        let below = |prefix: &String| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let skipped = || !climbs(path) && self.skipped_paths.iter().any(below);
        self.skipped_methods.contains(&parts.method) || skipped()
    }
}

/// Whether a path may lead out of what it begins with, for whoever resolves `..` in it.
fn climbs(path: &str) -> bool {
    let encoded = |part: &[u8]| part.eq_ignore_ascii_case(b"%2e");
    path.contains("..") || path.as_bytes().windows(3).any(encoded)
}

impl std::fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLayer")
            .field("tenant", &self.rules.tenant)
            .finish_non_exhaustive()
    }
}
