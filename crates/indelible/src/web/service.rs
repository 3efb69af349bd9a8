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
use super::asked::{Asked, REQUEST_ID, is_grpc};
use super::request::RequestAudit;

/// A service whose requests are emitted; see [`AuditLayer`](super::AuditLayer).
#[derive(Clone)]
pub struct AuditService<S> {
    inner: S,
    rules: Arc<Rules>,
}

pin_project_lite::pin_project! {
    /// The answer to come; when it is there, or will not come, the request is emitted.
    pub struct ResponseFuture<F> {
        #[pin]
        future: InContext<F>,
        request: Option<Underway>,
    }
}

/// A request that is being answered. Dropped without an answer, it is a failure.
struct Underway {
    rules: Arc<Rules>,
    context: Context,
    asked: Asked,
    audit: RequestAudit,
    began: Instant,
    ended: bool,
}

/// How a request ended.
enum Ended {
    Answered {
        status: StatusCode,
        grpc: Option<u32>,
    },
    Not(&'static str, &'static str),
}

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
    type Response = Response<R>;
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
            return ResponseFuture {
                future: Context::current().scope(future),
                request: None,
            };
        }
        let asked = Asked::of(&parts, &self.rules);
        let underway = Underway::begin(Arc::clone(&self.rules), asked);
        underway.mark(&mut parts.headers, &mut parts.extensions);
        let entered = underway.context.enter();
        let future = self.inner.call(Request::from_parts(parts, body));
        let future = Context::current().scope(future);
        drop(entered);
        ResponseFuture {
            future,
            request: Some(underway),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.future.poll(context));
        if let Some(request) = this.request.take() {
            match &mut answer {
                Ok(response) => request.answer(response),
                Err(_) => request.end(&Ended::Not("service_failed", "the service failed")),
            }
        }
        Poll::Ready(answer)
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

    fn answer<R>(self, response: &mut Response<R>) {
        if let Some(id) = self.asked.request_id_header() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let headers = response.headers();
        let grpc = is_grpc(headers)
            .then(|| headers.get("grpc-status"))
            .flatten();
        let grpc = grpc.and_then(|status| status.to_str().ok()?.parse().ok());
        let status = response.status();
        self.end(&Ended::Answered { status, grpc });
    }

    fn end(mut self, ended: &Ended) {
        self.emit(ended);
    }

    fn emit(&mut self, ended: &Ended) {
        self.ended = true;
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
            status: ended
                .status()
                .and_then(|status| Number::parse(status.as_str())),
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
        } else {
            Ended::Not("cancelled", "the request ended before it was answered")
        };
        self.emit(&ended);
    }
}

impl Ended {
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            Self::Not(..) => None,
        }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Not(code, _) => Meaning::Failed((*code).to_owned()),
            // PERMISSION_DENIED and UNAUTHENTICATED.
            Self::Answered {
                grpc: Some(7 | 16), ..
            } => Meaning::Denied,
            Self::Answered {
                grpc: Some(code @ 1..),
                ..
            } => Meaning::Failed(format!("grpc_{code}")),
            Self::Answered { status, .. } => match status.as_u16() {
                401 | 403 => Meaning::Denied,
                ..=399 => Meaning::Done,
                code => Meaning::Failed(format!("http_{code}")),
            },
        }
    }

    fn failed<'a>(&self, event: NeedsOutcome<'a>, code: String) -> EventBuilder<'a> {
        let message = match self {
            Self::Not(_, message) => (*message).to_owned(),
            Self::Answered { status, .. } => {
                status.canonical_reason().unwrap_or("no reason").to_owned()
            }
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
