//! An axum application whose requests are in its audit trail: who asked for what, how it ended,
//! and why a guard refused; and which tells Prometheus how its audit trail does.
//!
//! `cargo run -p indelible --features axum --example axum_server -- DIR [ADDRESS]`; it ends when
//! its standard input does.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use indelible::web::{AuditLayer, RequestAudit};
use indelible::{Actor, Audit, Context, Denial};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "audit".into());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".into());
    let audit = Arc::new(Audit::embedded(&directory).service("blog").build()?);

    let requests = AuditLayer::new(Arc::clone(&audit), "acme")
        .session_cookie("sid")
        .skip_path("/health")
        .skip_path("/metrics");
    let app = Router::new()
        .route("/posts/{id}", get(read).delete(delete))
        .layer(from_fn(who))
        .route("/health", get(|| async { "well" }))
        .route("/metrics", get(metrics))
        // Outermost, so that it tells what the guard refused; inside of the router, so that it
        // knows the route.
        .layer(requests)
        .with_state(Arc::clone(&audit));

    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(end_of_input())
        .await?;
    let report = tokio::task::spawn_blocking(move || audit.close(Duration::from_secs(10))).await?;
    println!("{report}");
    Ok(())
}

/// Who asks: here by a header that anybody could send, in an application by its sessions.
async fn who(Extension(audit): Extension<RequestAudit>, request: Request, next: Next) -> Response {
    let name = request.headers().get("x-user");
    let Some(name) = name.and_then(|name| name.to_str().ok()) else {
        audit.deny("nobody is logged in");
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let role = if name == "ada" { "owner" } else { "reader" };
    let actor = Actor::user(name).role(role);
    audit.identify(actor.clone());
    if request.method() == Method::DELETE && role != "owner" {
        let denial = Denial::by("who").reason("insufficient_permission");
        audit.deny(denial.required_role("owner").actual_role(role));
        return StatusCode::FORBIDDEN.into_response();
    }
    // What is emitted within is the actor's, too.
    Context::new().actor(actor).scope(next.run(request)).await
}

async fn read(Path(id): Path<String>) -> String {
    format!("post {id}\n")
}

async fn delete(State(audit): State<Arc<Audit>>, Path(id): Path<String>) -> StatusCode {
    let event = audit.for_tenant("acme").action("content.delete");
    event.current_actor().target("post", id).succeeded().emit();
    StatusCode::NO_CONTENT
}

/// What Prometheus scrapes: the metrics of the emitter, behind whatever the program has itself.
async fn metrics() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, indelible::prometheus())
}

async fn end_of_input() {
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    // However it ends, it has ended.
    let _ = tokio::task::spawn_blocking(read).await;
}
