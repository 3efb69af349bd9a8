//! The service around a service, and the event of each of its requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use indelible_emit::{Actor, Context, EventBuilder, InContext, NeedsOutcome, json};
use indelible_event::canonical::Number;
use indelible_event::event::Http;
use tower_service::Service;

use super::Rules;
use super::asked::{Asked, REQUEST_ID, has_trailers, is_grpc};
use super::body::{ResponseBody, grpc_status};
use super::request::RequestAudit;

/// A service whose requests are emitted; see [`AuditLayer`](super::AuditLayer).
#[derive(Clone)]
pub struct AuditService<S> {
    inner: S,
    rules: Arc<Rules>,
}

pin_project_lite::pin_project! {
    /// The answer to come; when it is there, or will not come, the request is emitted. A call of
    /// gRPC is when its status is there.
    pub struct ResponseFuture<F> {
        #[pin]
        future: InContext<F>,
        context: Context,
        request: Option<Underway>,
    }
}

/// A request that is being answered. Dropped without an answer, it is a failure.
pub(super) struct Underway {
    rules: Arc<Rules>,
    context: Context,
    asked: Asked,
    audit: RequestAudit,
    began: Instant,
    /// The status of an answer that goes on.
    head: Option<StatusCode>,
    ended: bool,
}

/// How a request ended.
pub(super) enum Ended {
    /// With an answer of HTTP.
    Answered(StatusCode),
    /// With a status of gRPC.
    Called(u32),
    /// Without one.
    Not(&'static str, &'static str),
}

/// The statuses of gRPC, by number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const UNAUTHENTICATED: u32 = 16;

/// What an answer means.
enum Meaning {
    Done,
    Denied,
    Failed(String),
}

impl<S> AuditService<S> {
    pub(super) fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }
}

impl<S, B, R> Service<Request<B>> for AuditService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        if self.rules.skips(&parts) {
            // Guards within ask for it, whatever is told of the request.
            parts.extensions.insert(RequestAudit::default());
            let future = self.inner.call(Request::from_parts(parts, body));
            let context = Context::current();
            return ResponseFuture {
                future: context.scope(future),
                context,
                request: None,
            };
        }
        let asked = Asked::of(&parts, &self.rules);
        let underway = Underway::begin(Arc::clone(&self.rules), asked);
        underway.mark(&mut parts.headers, &mut parts.extensions);
        let entered = underway.context.enter();
        let future = self.inner.call(Request::from_parts(parts, body));
        let context = Context::current();
        let future = context.scope(future);
        drop(entered);
        ResponseFuture {
            future,
            context,
            request: Some(underway),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, waking: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.future.poll(waking));
        let request = this.request.take();
        let goes_on = request.and_then(|request| {
            if let Ok(response) = &mut answer {
                return request.answer(response);
            }
            request.end(&Ended::Not("service_failed", "the service failed"));
            None
        });
        let context = this.context.clone();
        let whole = |body| ResponseBody::new(body, context, goes_on);
        Poll::Ready(answer.map(|response| response.map(whole)))
    }
}

impl Underway {
    fn begin(rules: Arc<Rules>, asked: Asked) -> Self {
        let context = Context::new()
            .request(&asked.request_id)
            .tenant(&rules.tenant);
        let context = match &asked.traceparent {
            Some(header) => context.traceparent(header),
            None => context,
        };
        let context = match &asked.actor {
            Some(actor) => context.actor(asked.placed(actor.clone())),
            None => context,
        };
        // What surrounds the request now is its own; what surrounds its end may be another's.
        let entered = context.enter();
        let context = Context::current();
        drop(entered);
        Self {
            rules,
            context,
            asked,
            audit: RequestAudit::default(),
            began: Instant::now(),
            head: None,
            ended: false,
        }
    }

    /// Tells what is within that it is audited, and as which request.
    fn mark(&self, headers: &mut HeaderMap, extensions: &mut Extensions) {
        if let Some(id) = self.asked.request_id_header() {
            headers.insert(REQUEST_ID, id);
        }
        extensions.insert(self.audit.clone());
    }

    /// Ends it with the head of its answer; gives it back when its status is still to come.
    fn answer<R>(mut self, response: &mut Response<R>) -> Option<Self> {
        if let Some(id) = self.asked.request_id_header() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let (headers, status) = (response.headers(), response.status());
        self.head = Some(status);
        if !is_grpc(headers) {
            self.asked.was_no_call();
        }
        let ended = match grpc_status(headers) {
            Some(code) if is_grpc(headers) => Ended::Called(code),
            None if has_trailers(headers) && status.is_success() => return Some(self),
            _ => Ended::Answered(status),
        };
        self.end(&ended);
        None
    }

    pub(super) fn end(mut self, ended: &Ended) {
        self.emit(ended);
    }

    fn emit(&mut self, ended: &Ended) {
        self.ended = true;
        if matches!(ended, Ended::Called(UNIMPLEMENTED)) {
            self.asked.was_no_call();
        }
        let Self { rules, asked, .. } = &*self;
        let learnt = self.audit.take();
        let tenant = learnt.tenant.as_ref().unwrap_or(&rules.tenant);
        let meaning = ended.meaning();
        let sampling = rules.sampling.as_ref();
        let sampling = sampling.filter(|_| asked.reads && matches!(meaning, Meaning::Done));
        if let Some(sampling) = sampling.filter(|sampling| !sampling.emits(tenant)) {
            rules.audit.left_out(tenant, sampling.rule());
            return;
        }
        let actor = learnt.actor.or_else(|| asked.actor.clone());
        let actor = actor.or_else(|| self.context.current_actor().cloned());
        let actor = asked.placed(actor.unwrap_or_else(Actor::anonymous));
        let event = rules.audit.for_tenant(tenant).action(&asked.event_type);
        let event = event.actor(actor).target("api_endpoint", &asked.route);
        let mut event = match meaning {
            Meaning::Done => event.succeeded(),
            Meaning::Denied => event.denied(learnt.denial.unwrap_or_default()),
            Meaning::Failed(code) => ended.failed(event, code),
        };
        if let Some(sampling) = sampling {
            event = event.metadata(json!({"sampled_one_in": sampling.one_in()}));
        }
        if let Some(bytes) = asked.user_agent_bytes {
            event = event.metadata(json!({"user_agent_bytes_left_out": bytes}));
        }
        for metadata in learnt.metadata {
            event = event.metadata(metadata);
        }
        let http = Http {
            method: Some(asked.method.clone()),
            path: Some(asked.route.clone()),
            status: self.head.and_then(|status| Number::parse(status.as_str())),
            ..Http::default()
        };
        let event = event.with(|event| event.http = Some(http));
        let _ = event
            .context(&self.context)
            .duration(self.began.elapsed())
            .emit();
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let ended = if std::thread::panicking() {
            Ended::Not("panicked", "a panic ended the request")
        } else if self.head.is_some() {
            Ended::Not("cancelled", "the call ended before its status was there")
        } else {
            Ended::Not("cancelled", "the request ended before it was answered")
        };
        self.emit(&ended);
    }
}

impl Ended {
    /// The end of a call with the status in its trailers, or without trailers.
    pub(super) fn called(status: Option<u32>) -> Self {
        let none = Self::Not("no_status", "the call ended without a status");
        status.map_or(none, Self::Called)
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Not(code, _) => Meaning::Failed((*code).to_owned()),
            Self::Called(0) => Meaning::Done,
            Self::Called(PERMISSION_DENIED | UNAUTHENTICATED) => Meaning::Denied,
            Self::Called(code) => Meaning::Failed(format!("grpc_{code}")),
            Self::Answered(status) => match status.as_u16() {
                401 | 403 => Meaning::Denied,
                ..=399 => Meaning::Done,
                code => Meaning::Failed(format!("http_{code}")),
            },
        }
    }

    fn failed<'a>(&self, event: NeedsOutcome<'a>, code: String) -> EventBuilder<'a> {
        let message = match self {
            Self::Not(_, message) => message,
            Self::Called(code) => {
                let place = usize::try_from(*code).unwrap_or(usize::MAX);
                STATUSES.get(place).copied().unwrap_or("no status of gRPC")
            }
            Self::Answered(status) => status.canonical_reason().unwrap_or("no reason"),
        };
        event.failed(code, message)
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for AuditService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
