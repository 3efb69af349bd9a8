//! Requests as events: what is told, what never is, and that every request is told once.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use indelible::testing::{Emitted, Recorder};
use indelible::web::{AuditLayer, RequestAudit};
use indelible::{Actor, Context, Denial, Outcome, json};
use tower::{Layer, Service, ServiceExt, service_fn};

fn layer(recorder: &Recorder) -> AuditLayer {
    AuditLayer::new(Arc::clone(recorder.audit()), "acme")
}

fn app(layer: AuditLayer) -> Router {
    let ok = || async { "ok" };
    let status = |status: StatusCode| move || async move { status };
    Router::new()
        .route("/users/{id}", get(ok).delete(ok))
        .route("/health/live", get(ok))
        .route("/healthy", get(ok))
        .route("/missing", get(status(StatusCode::NOT_FOUND)))
        .route("/broken", post(status(StatusCode::INTERNAL_SERVER_ERROR)))
        .route("/login", post(status(StatusCode::UNAUTHORIZED)))
        .layer(layer)
}

fn request(method: &str, uri: &str) -> Request {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .unwrap();
    let peer: SocketAddr = "192.0.2.7:4321".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

async fn send(app: &Router, request: Request) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_request_is_one_event_with_the_template_of_its_route() {
    let recorder = Recorder::start();
    let app = app(layer(&recorder).session_cookie("sid"));
    let asked = request("GET", "/users/ada@example.org?token=secret");
    let asked = with(asked, "user-agent", "curl/8");
    let asked = with(asked, "cookie", "theme=dark; sid=very-secret");
    let answered = send(&app, with(asked, "x-request-id", "r-1")).await;
    assert_eq!(answered.headers()["x-request-id"], "r-1");
    let Emitted { tenant, event } = recorder.expect("api.get./users/{id}").once();
    assert_eq!(tenant, "acme");
    assert_eq!(event.outcome.as_deref(), Some("success"));
    let http = event.http.clone().unwrap();
    assert_eq!(http.method.as_deref(), Some("GET"));
    assert_eq!(http.path.as_deref(), Some("/users/{id}"));
    assert_eq!(http.status.unwrap().as_u64(), Some(200));
    assert_eq!(
        event.context.clone().unwrap().request_id.as_deref(),
        Some("r-1")
    );
    let actor = event.actor.clone().unwrap();
    assert_eq!(actor.kind.as_deref(), Some("anonymous"));
    assert_eq!(actor.ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(actor.user_agent.as_deref(), Some("curl/8"));
    let session = actor.session_id.unwrap();
    assert!(
        session.starts_with("sha256:") && session.len() == 7 + 64,
        "{session}"
    );
    assert!(event.performance.clone().unwrap().duration_ms.is_some());
    let text = String::from_utf8(event.to_canonical()).unwrap();
    for raw in ["ada@", "secret", "token"] {
        assert!(!text.contains(raw), "{raw} in {text}");
    }
    // The same session has the same hash, another has another.
    for cookie in ["sid=very-secret", "sid=other"] {
        send(&app, with(request("DELETE", "/users/1"), "cookie", cookie)).await;
    }
    let told = recorder.expect("api.delete./users/{id}").times(2);
    let sessions = told.map_sessions();
    assert_eq!(sessions[0], session);
    assert_ne!(sessions[1], session);
}

trait Sessions {
    fn map_sessions(self) -> Vec<String>;
}

impl Sessions for Vec<Emitted> {
    fn map_sessions(self) -> Vec<String> {
        let actors = self.into_iter().map(|emitted| emitted.event.actor.unwrap());
        actors.map(|actor| actor.session_id.unwrap()).collect()
    }
}

#[tokio::test]
async fn outcomes_follow_the_status() {
    let recorder = Recorder::start();
    let app = app(layer(&recorder));
    for (method, uri) in [("GET", "/missing"), ("POST", "/broken"), ("POST", "/login")] {
        send(&app, request(method, uri)).await;
    }
    send(&app, request("GET", "/no/such/route/of/ada@example.org")).await;
    let failed = |event_type| recorder.expect(event_type).outcome(Outcome::Failure);
    failed("api.get./missing")
        .with("/error/code", "http_404")
        .once();
    failed("api.post./broken")
        .with("/error/code", "http_500")
        .once();
    recorder
        .expect("api.post./login")
        .outcome(Outcome::Denied)
        .once();
    failed("api.get./{unmatched}")
        .with("/target/id", "/{unmatched}")
        .once();
    assert_eq!(recorder.events().len(), 4);
}

/// Knows who asks, and lets only owners delete.
async fn guard(request: Request, next: Next) -> Response {
    let ada = Actor::user("ada").email("ada@example.org").role("admin");
    let audit = request.extensions().get::<RequestAudit>().unwrap().clone();
    audit.identify(ada.clone());
    audit.tenant("tenant-2");
    audit.metadata(json!({"plan": "free"}));
    if request.method() == Method::DELETE {
        let denial = Denial::by("requireOwner").reason("insufficient_permission");
        audit.deny(
            denial
                .required_role("owner")
                .actual_role("admin")
                .resource("user"),
        );
        return StatusCode::FORBIDDEN.into_response();
    }
    Context::new().actor(ada).scope(next.run(request)).await
}

#[tokio::test]
async fn a_guard_tells_who_asks_and_why_it_refuses() {
    let recorder = Recorder::start();
    let within = Arc::clone(recorder.audit());
    let handler = move || async move {
        let event = within
            .for_tenant("tenant-2")
            .action("content.publish")
            .current_actor();
        let _ = event.target("post", "1").succeeded().emit();
    };
    let routes = Router::new().route("/posts/{id}", post(handler.clone()).delete(handler));
    let app = routes.layer(from_fn(guard)).layer(layer(&recorder));
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    send(
        &app,
        with(request("POST", "/posts/1"), "traceparent", header),
    )
    .await;
    send(&app, request("DELETE", "/posts/1")).await;
    let asked = recorder
        .expect("api.post./posts/{id}")
        .tenant("tenant-2")
        .by("ada");
    let asked = asked
        .with("/actor/role", "admin")
        .with("/metadata/plan", "free");
    let asked = asked
        .with("/context/trace_id", "0af7651916cd43dd8448eb211c80319c")
        .once();
    let context = asked.event.context.unwrap();
    // What was emitted within belongs to the request.
    let within = recorder
        .expect("content.publish")
        .by("ada")
        .with("/actor/role", "admin");
    let within = within.once().event.context.unwrap();
    assert_eq!(within.request_id, context.request_id);
    assert_eq!(within.trace_id, context.trace_id);
    let refused = recorder
        .expect("api.delete./posts/{id}")
        .outcome(Outcome::Denied)
        .by("ada");
    let refused = refused.with("/decision/required_role", "owner");
    let refused = refused
        .with("/decision/actual_role", "admin")
        .with("/http/status", "403");
    let refused = refused.with("/error/message", "insufficient_permission");
    refused
        .with("/data/guard", "requireOwner")
        .with("/data/resource", "user")
        .once();
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_it_is_sound_and_made_when_it_is_not() {
    let recorder = Recorder::start();
    let app = app(layer(&recorder));
    let long = "x".repeat(129);
    for bad in ["", "a b", "<script>", "ada@example.org", &long] {
        let asked = with(request("GET", "/healthy"), "x-request-id", bad);
        let answered = send(&app, asked).await;
        let id = answered.headers()["x-request-id"].to_str().unwrap();
        assert!(id != bad && indelible::AuditId::parse(id).is_ok(), "{id}");
        let told = recorder
            .expect("api.get./healthy")
            .with("/context/request_id", id);
        told.once();
    }
}

#[tokio::test]
async fn paths_and_methods_can_be_left_out() {
    let recorder = Recorder::start();
    let app = app(layer(&recorder)
        .skip_path("/health")
        .skip_method(Method::OPTIONS));
    send(&app, request("GET", "/health/live")).await;
    send(&app, request("OPTIONS", "/healthy")).await;
    send(&app, request("GET", "/healthy")).await;
    recorder.expect("api.get./healthy").once();
    assert_eq!(recorder.events().len(), 1);
    // Whoever resolves it is not at `/health`.
    for path in ["/health/../x", "/health/%2E%2e/x", "/health/.%2e%2fx"] {
        send(&app, request("GET", path)).await;
    }
    assert_eq!(recorder.events().len(), 4);
}

#[tokio::test]
async fn a_guard_finds_what_it_asks_for_in_requests_that_are_left_out_too() {
    let recorder = Recorder::start();
    let routes = Router::new().route("/health", get(|| async { "well" }));
    let app = routes.layer(from_fn(guard));
    let app = app.layer(layer(&recorder).skip_path("/"));
    let answered = send(&app, request("GET", "/health")).await;
    assert_eq!(answered.status(), StatusCode::OK);
    assert_eq!(recorder.events(), []);
}

#[tokio::test]
async fn a_request_that_ends_elsewhere_takes_nothing_of_what_is_there() {
    let recorder = Recorder::start();
    let hanging =
        service_fn(|_: http::Request<()>| pending::<Result<http::Response<()>, Infallible>>());
    let answer = layer(&recorder).layer(hanging).call(plain());
    let another = Context::new().correlation("another").service("another");
    let entered = another.actor(Actor::user("ada")).enter();
    drop(answer);
    drop(entered);
    let told = recorder
        .expect("api.get./{unmatched}")
        .by("anonymous")
        .once()
        .event;
    assert_eq!(told.context.unwrap().correlation_id, None);
    assert_eq!(told.source, None);
}

#[tokio::test]
async fn the_client_is_who_the_outermost_trusted_proxy_saw() {
    let forwarded = "203.0.113.9, 198.51.100.2";
    for (proxies, expected) in [
        (0, Some("192.0.2.7")),
        (1, Some("198.51.100.2")),
        (2, Some("203.0.113.9")),
        (3, None),
    ] {
        let recorder = Recorder::start();
        let app = app(layer(&recorder).trusted_proxies(proxies));
        let asked = with(request("GET", "/healthy"), "x-forwarded-for", forwarded);
        send(&app, asked).await;
        let actor = recorder
            .expect("api.get./healthy")
            .once()
            .event
            .actor
            .unwrap();
        assert_eq!(actor.ip.as_deref(), expected);
    }
    let recorder = Recorder::start();
    let app = app(layer(&recorder).trusted_proxies(1));
    send(
        &app,
        with(request("GET", "/healthy"), "x-forwarded-for", "testclient"),
    )
    .await;
    let actor = recorder
        .expect("api.get./healthy")
        .once()
        .event
        .actor
        .unwrap();
    assert_eq!(actor.ip, None);
}

#[tokio::test]
async fn nothing_that_a_client_sends_has_its_event_refused() {
    let recorder = Recorder::start();
    let app = app(layer(&recorder));
    send(
        &app,
        with(request("GET", "/healthy"), "user-agent", &"x".repeat(5_000)),
    )
    .await;
    send(&app, request(&"M".repeat(300), "/healthy")).await;
    let told = recorder.expect("api.get./healthy");
    let told = told
        .with("/metadata/user_agent_bytes_left_out", "5000")
        .once();
    assert_eq!(told.event.actor.unwrap().user_agent, None);
    recorder.expect("api.other./healthy").once();
    assert_eq!(recorder.refused(), [""; 0]);
}

#[tokio::test]
async fn of_reads_that_succeed_one_in_so_many_is_told_and_the_rest_is_declared() {
    let recorder = Recorder::start();
    let layer = layer(&recorder).sample_reads(4);
    let app = app(layer);
    for _ in 0..10 {
        send(&app, request("GET", "/healthy")).await;
        send(&app, request("GET", "/missing")).await;
        send(&app, request("DELETE", "/users/1")).await;
    }
    let told = recorder
        .expect("api.get./healthy")
        .with("/metadata/sampled_one_in", "4");
    told.times(3);
    recorder.expect("api.get./missing").times(10);
    recorder.expect("api.delete./users/{id}").times(10);
    let mut left_out = 0;
    let lost = |said: &Emitted| said.event.event_type.as_deref() == Some("stream.lost");
    for said in recorder.statements().into_iter().filter(lost) {
        let data = said.event.data.unwrap();
        let number = |key| {
            data.as_object()
                .unwrap()
                .get(key)
                .unwrap()
                .as_u64()
                .unwrap()
        };
        let reason = data.as_object().unwrap().get("reason").unwrap().as_text();
        assert_eq!(reason, Some("sampled: one in 4 of reads that succeed"));
        assert_eq!(said.tenant, "acme");
        left_out += number("last") - number("first") + 1;
    }
    assert_eq!(left_out, 7);
}

fn plain() -> http::Request<()> {
    http::Request::builder().uri("/x").body(()).unwrap()
}

#[tokio::test]
async fn a_request_without_an_answer_is_a_failure() {
    let recorder = Recorder::start();
    let broken = service_fn(async |_: http::Request<()>| Err::<http::Response<()>, _>("broken"));
    let answered = layer(&recorder).layer(broken).oneshot(plain()).await;
    assert_eq!(answered.unwrap_err(), "broken");
    let hanging =
        service_fn(|_: http::Request<()>| pending::<Result<http::Response<()>, Infallible>>());
    drop(layer(&recorder).layer(hanging).call(plain()));
    let panicking = service_fn(async |_: http::Request<()>| {
        let answer: Result<http::Response<()>, Infallible> = panic_quietly();
        answer
    });
    let panicking = layer(&recorder).layer(panicking).oneshot(plain());
    let panicked = tokio::spawn(panicking).await;
    assert!(panicked.unwrap_err().is_panic());
    for code in ["service_failed", "cancelled", "panicked"] {
        let told = recorder
            .expect("api.get./{unmatched}")
            .outcome(Outcome::Failure);
        told.with("/error/code", code).once();
    }
    assert_eq!(recorder.events().len(), 3);
}

fn panic_quietly() -> Result<http::Response<()>, Infallible> {
    std::panic::resume_unwind(Box::new("not told"))
}

#[tokio::test]
async fn calls_of_grpc_have_their_own_names_and_outcomes() {
    let recorder = Recorder::start();
    for (path, status) in [
        ("/shop.Orders/Place", "0"),
        ("/shop.Orders/Place", "7"),
        ("/shop.Orders/Place", "5"),
        ("/ada@example.org/x", "12"),
    ] {
        let service = service_fn(async |_: http::Request<()>| {
            let answer = http::Response::builder().header("content-type", "application/grpc");
            let answer = answer.header("grpc-status", status);
            Ok::<_, Infallible>(answer.body(()).unwrap())
        });
        let asked = http::Request::builder().method("POST").uri(path);
        let asked = asked
            .header("content-type", "application/grpc+proto")
            .body(())
            .unwrap();
        layer(&recorder)
            .layer(service)
            .oneshot(asked)
            .await
            .unwrap();
    }
    let told = |outcome| {
        recorder
            .expect("api.post./shop.Orders/Place")
            .outcome(outcome)
    };
    told(Outcome::Success).once();
    told(Outcome::Denied).once();
    told(Outcome::Failure).with("/error/code", "grpc_5").once();
    recorder
        .expect("api.post./{unmatched}")
        .with("/error/code", "grpc_12")
        .once();
}

#[tokio::test]
async fn routes_actors_and_peers_can_be_told_by_the_program() {
    let recorder = Recorder::start();
    let layer = layer(&recorder)
        .route(|parts| Some(parts.extensions.get::<&str>()?.to_string()))
        .actor(|parts| {
            Some(Actor::service(
                parts.headers.get("x-service")?.to_str().ok()?,
            ))
        })
        .peer(|_| Some([192, 0, 2, 1].into()));
    let service = layer.layer(service_fn(async |_: http::Request<()>| {
        assert_eq!(
            Context::current().current_actor(),
            Some(&Actor::service("billing").ip("192.0.2.1"))
        );
        Ok::<_, Infallible>(http::Response::new(()))
    }));
    let long = "/long".repeat(80);
    let routes: [&'static str; 3] = ["/orders/:id", "no slash", Box::leak(long.into_boxed_str())];
    for route in routes {
        let mut asked = plain();
        asked.extensions_mut().insert(route);
        asked
            .headers_mut()
            .insert("x-service", "billing".parse().unwrap());
        service.clone().oneshot(asked).await.unwrap();
    }
    let told = recorder
        .expect("api.get./orders/:id")
        .by("billing")
        .with("/actor/type", "service");
    told.with("/actor/ip", "192.0.2.1").once();
    let types: Vec<_> = recorder
        .events()
        .into_iter()
        .map(|it| it.event.event_type)
        .collect();
    assert_eq!(types.len(), 3);
    assert!(
        types[1..]
            .iter()
            .flatten()
            .all(|it| it.starts_with("api.get./{route-")),
        "{types:?}"
    );
    assert_ne!(types[1], types[2]);
}

/// What an axum application is served with must be able to go between threads.
#[test]
fn the_future_of_an_answer_is_send() {
    fn send<T: Send + Future>(_: T) {}
    let recorder = Recorder::start();
    send(app(layer(&recorder)).oneshot(request("GET", "/healthy")));
}
