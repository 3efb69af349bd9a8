//! Calls of gRPC as events: told when their status is there, wherever that stands, and by a path
//! only when it is one of theirs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waking, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use indelible::testing::Recorder;
use indelible::web::{AuditLayer, RequestAudit, ResponseBody};
use indelible::{Actor, Audit, Denial};
use tower::{Layer, Service, ServiceExt, service_fn};

const GRPC: &str = "application/grpc+proto";

/// What a service streams: messages, then trailers, or an error.
type Part = Result<Frame<Bytes>, &'static str>;

/// A body of parts, which notes the context that it is made in.
#[derive(Default)]
struct Parts(VecDeque<Part>);

impl Body for Parts {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Waking<'_>) -> Poll<Option<Part>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn message() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"post"))
}

fn trailers(status: &str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    Frame::trailers(trailers)
}

fn answer(kind: &str, parts: Vec<Part>) -> Response<Parts> {
    let answer = Response::builder().header("content-type", kind);
    answer.body(Parts(parts.into())).unwrap()
}

fn request(path: &str) -> Request<()> {
    let request = Request::builder().method("POST").uri(path);
    let request = request.header("content-type", GRPC);
    request.body(()).unwrap()
}

/// The answer of a service that answers so to everything.
async fn ask(
    recorder: &Recorder,
    path: &str,
    answer: Response<Parts>,
) -> Response<ResponseBody<Parts>> {
    let layer = AuditLayer::new(Arc::clone(recorder.audit()), "acme");
    let answer = std::sync::Mutex::new(Some(answer));
    let service = service_fn(move |_: Request<()>| {
        let answer = answer.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let answer = layer.layer(service).oneshot(request(path)).await;
    answer.unwrap()
}

/// Outcome, code and message of the one event of a type.
fn ended(recorder: &Recorder, event_type: &str) -> (String, String, String) {
    let event = recorder.expect(event_type).once().event;
    let error = event.error.unwrap_or_default();
    (
        event.outcome.unwrap(),
        error.code.unwrap_or_default(),
        error.message.unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_call_ends_with_the_status_in_its_trailers() {
    for (status, outcome, code, message_told) in [
        ("0", "success", "", ""),
        ("5", "failure", "grpc_5", "NOT_FOUND"),
        ("7", "denied", "", ""),
        ("16", "denied", "", ""),
        ("99", "failure", "grpc_99", "no status of gRPC"),
    ] {
        let recorder = Recorder::start();
        let parts = vec![Ok(message()), Ok(message()), Ok(trailers(status))];
        let answer = ask(&recorder, "/blog.Posts/List", answer(GRPC, parts)).await;
        // The head said nothing yet, and that it was sent is no success.
        recorder.expect("api.post./blog.Posts/List").never();
        let collected = answer.into_body().collect().await.unwrap();
        let told = collected.trailers().unwrap()["grpc-status"]
            .to_str()
            .unwrap();
        assert_eq!(told, status, "the client gets what it would have got");
        assert_eq!(collected.to_bytes(), "postpost");
        let expected = (outcome, code, message_told);
        let (outcome, code, message_told) = ended(&recorder, "api.post./blog.Posts/List");
        assert_eq!((&*outcome, &*code, &*message_told), expected, "{status}");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_with_the_status_in_its_head() {
    let recorder = Recorder::start();
    let mut refused = answer(GRPC, Vec::new());
    refused
        .headers_mut()
        .insert("grpc-status", "7".parse().unwrap());
    let answer = ask(&recorder, "/blog.Posts/Delete", refused).await;
    assert!(answer.body().is_end_stream());
    let (outcome, ..) = ended(&recorder, "api.post./blog.Posts/Delete");
    assert_eq!(outcome, "denied");
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_is_left_is_a_failure() {
    let told = "api.post./blog.Posts/List";
    for (parts, taken, code) in [
        (vec![Ok(message()), Err("broken")], 2, "service_failed"),
        (vec![Ok(message()), Ok(message())], 3, "no_status"),
        (vec![], 1, "no_status"),
        (vec![Ok(message()), Ok(trailers("0"))], 1, "cancelled"),
    ] {
        let recorder = Recorder::start();
        let mut body = ask(&recorder, "/blog.Posts/List", answer(GRPC, parts))
            .await
            .into_body();
        for _ in 0..taken {
            assert!(!body.is_end_stream(), "whoever reads goes on to the status");
            let _ = body.frame().await;
        }
        drop(body);
        let (outcome, told, _) = ended(&recorder, told);
        assert_eq!((&*outcome, &*told), ("failure", code));
    }
}

#[tokio::test]
async fn a_path_is_told_only_where_there_is_such_a_method() {
    // Whoever answers is no service of gRPC, whatever the request says it is.
    let recorder = Recorder::start();
    drop(ask(&recorder, "/users/ada", answer("text/plain", Vec::new())).await);
    // There is a service, and no such method.
    let mut unknown = answer(GRPC, Vec::new());
    unknown
        .headers_mut()
        .insert("grpc-status", "12".parse().unwrap());
    drop(ask(&recorder, "/blog.Posts/ada", unknown).await);
    let told = recorder.expect("api.post./{unmatched}").times(2);
    for emitted in told {
        let text = String::from_utf8(emitted.event.to_canonical()).unwrap();
        assert!(!text.contains("ada"), "{text}");
    }
    // For browsers the status stands in the body, which is not looked at.
    let kind = "application/grpc-web+proto";
    drop(
        ask(
            &recorder,
            "/blog.Posts/Read",
            answer(kind, vec![Ok(message())]),
        )
        .await,
    );
    let (outcome, ..) = ended(&recorder, "api.post./blog.Posts/Read");
    assert_eq!(outcome, "success");
}

#[tokio::test]
async fn a_stream_belongs_to_its_request_and_says_why_it_was_denied() {
    /// A body that emits while it is made, and denies in the end.
    struct Emitting(Arc<Audit>, Option<RequestAudit>);

    impl Body for Emitting {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Waking<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(audit) = self.1.take() else {
                return Poll::Ready(None);
            };
            let event = self.0.for_tenant("acme").action("content.view");
            let _ = event
                .actor(Actor::agent("streamer"))
                .target("post", "1")
                .succeeded()
                .emit();
            audit.deny(Denial::by("quota").reason("too_many"));
            Poll::Ready(Some(Ok(trailers("7"))))
        }
    }

    let recorder = Recorder::start();
    let layer = AuditLayer::new(Arc::clone(recorder.audit()), "acme");
    let shared = Arc::clone(recorder.audit());
    let mut service = layer.layer(service_fn(move |request: Request<()>| {
        let audit = request.extensions().get::<RequestAudit>().cloned();
        let body = Emitting(Arc::clone(&shared), audit);
        let answer = Response::builder().header("content-type", GRPC).body(body);
        async { Ok::<_, Infallible>(answer.unwrap()) }
    }));
    let mut asked = request("/blog.Posts/Watch");
    asked
        .headers_mut()
        .insert("x-request-id", "r-9".parse().unwrap());
    let answer = service.ready().await.unwrap().call(asked).await.unwrap();
    let _ = answer.into_body().collect().await.unwrap();
    for event_type in ["content.view", "api.post./blog.Posts/Watch"] {
        let event = recorder.expect(event_type).once().event;
        assert_eq!(event.context.unwrap().request_id.as_deref(), Some("r-9"));
    }
    let denied = recorder.expect("api.post./blog.Posts/Watch");
    denied.with("/data/guard", "quota").once();
}
