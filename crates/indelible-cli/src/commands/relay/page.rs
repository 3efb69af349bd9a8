//! What a relay answers over HTTP: its figures, and whether it is well.
//!
//! Two pages without a tenant's name or a secret on them; nothing can be changed through it.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use indelible_api::metrics;
use indelible_outbox::{Metrics, Relay, Standing};

use crate::exit::{OrCould, Result};

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at a time; who comes beyond them waits.
const CONNECTIONS_MAX: usize = 32;

/// Answers on a thread of its own for as long as the process lives.
pub fn serve(listener: TcpListener, relay: Arc<Relay>) -> Result {
    let doing = "answer for the relay";
    listener.set_nonblocking(true).or_could(doing)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_could(doing)?;
    let work = move || {
        // It ends with the process.
        let _ = runtime.block_on(accept(listener, relay));
    };
    let thread = std::thread::Builder::new().name("relay-page".to_owned());
    thread.spawn(work).map(drop).or_could(doing)
}

async fn accept(listener: TcpListener, relay: Arc<Relay>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return Ok(());
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, perhaps.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let relay = Arc::clone(&relay);
        tokio::spawn(async move {
            let answers = service_fn(move |request: Request<Incoming>| {
                let answer = answer(&request, &relay.metrics());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answers);
            // Whoever is gone or wrote nonsense is not told.
            let _ = tokio::time::timeout(2 * PATIENCE, connection).await;
            drop(place);
        });
    }
}

fn answer<T>(request: &Request<T>, metrics: &Metrics) -> Response<String> {
    let read = [Method::GET, Method::HEAD].contains(request.method());
    let (status, kind, text) = match request.uri().path() {
        "/metrics" if read => (StatusCode::OK, metrics::CONTENT_TYPE, metrics.prometheus()),
        "/health" if read => {
            let (status, text) = health(metrics);
            (status, "application/json", text)
        }
        "/metrics" | "/health" => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "/metrics, /health\n".to_owned(),
        ),
    };
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Well is who works, or stands by, and has no trouble.
fn health(metrics: &Metrics) -> (StatusCode, String) {
    let standing = match metrics.standing {
        Standing::Away => "away",
        Standing::StandingBy => "standing by",
        Standing::Working => "working",
        Standing::Ended => "ended",
    };
    let there = matches!(metrics.standing, Standing::StandingBy | Standing::Working);
    let well = there && metrics.trouble.is_none();
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let json = serde_json::json!({
        "standing": standing,
        "trouble": metrics.trouble.as_deref(),
        "waiting": metrics.waiting,
    });
    (status, format!("{json}\n"))
}
