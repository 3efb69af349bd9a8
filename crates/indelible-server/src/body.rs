//! Bodies: read within a limit of bytes, of time, and of the memory all requests share.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use indelible_api::{JSON, ProblemKind};
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::budget::{Granted, Memory, UNIT_BYTES};
use crate::decode::Encoding;
use crate::waiting::{Arrival, Waiter};

/// What of a refused body is read on and thrown away, and for how long.
const DRAINED_BYTES_MAX: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_millis(300);
/// How often it is asked whether a body may still pause.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a connection that was told to go may take.
const GIVE_WAY: Duration = Duration::from_millis(5);

/// A body that was read, and the memory it is counted as.
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    pub(crate) encoding: Encoding,
    pub(crate) granted: Granted,
}

/// Reads the whole body, at most `max` bytes.
pub(crate) async fn read(
    body: Body,
    parts: &Parts,
    max: usize,
    app: &App,
) -> Result<Read, Refusal> {
    let encoding = encoding(&parts.headers)?;
    let said = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    if said.is_some_and(|said: usize| said > max) {
        return Err(too_large(max));
    }
    let mut body = body;
    let mut granted = app.memory.requests.empty();
    let mut bytes = Vec::new();
    let arrival = arrival(parts);
    let way = (app, arrival.as_ref());
    let collected = collect(&mut body, max, way, (&mut bytes, &mut granted)).await;
    if let Err(refusal) = collected {
        drop((bytes, granted));
        drain(&mut body).await;
        return Err(refusal);
    }
    Ok(Read {
        bytes,
        encoding,
        granted,
    })
}

/// A body that is passed on piece by piece and not kept.
pub(crate) struct Pieces {
    body: Body,
    left: u64,
    max: u64,
    until: Instant,
    pause: Duration,
    memory: Memory,
    arrival: Option<Arrival>,
}

impl Pieces {
    /// Of at most `max` bytes.
    pub(crate) fn new(body: Body, parts: &Parts, app: &App, max: u64) -> Result<Self, Refusal> {
        let said = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if said.is_some_and(|said: u64| said > max) {
            return Err(too_large(max));
        }
        Ok(Self {
            body,
            left: max,
            max,
            until: Instant::now() + app.settings.body_timeout,
            pause: app.settings.pause_timeout,
            memory: app.memory.clone(),
            arrival: arrival(parts),
        })
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let pause = || self.memory.pause(self.pause);
        let Some(piece) = next(&mut self.body, self.until, pause).await? else {
            return Ok(None);
        };
        if let Some(arrival) = &self.arrival {
            arrival.came(piece.len());
        }
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or_else(|| too_large(self.max))?;
        Ok(Some(piece))
    }

    /// Throws the rest away, for a moment.
    pub(crate) async fn drain(&mut self) {
        drain(&mut self.body).await;
    }
}

/// The body as one that arrives on its connection.
fn arrival(parts: &Parts) -> Option<Arrival> {
    let waiter = parts.extensions.get::<Arc<Waiter>>();
    waiter.map(|waiter| waiter.arrives())
}

async fn collect(
    body: &mut Body,
    max: usize,
    (app, arrival): (&App, Option<&Arrival>),
    (bytes, granted): (&mut Vec<u8>, &mut Granted),
) -> Result<(), Refusal> {
    let until = Instant::now() + app.settings.body_timeout;
    loop {
        let pause = || app.memory.pause(app.settings.pause_timeout);
        let Some(frame) = next(body, until, pause).await? else {
            return Ok(());
        };
        if bytes.len() + frame.len() > max {
            return Err(too_large(max));
        }
        let needed = (bytes.len() + frame.len()).saturating_sub(granted.bytes());
        if needed > 0 {
            // Steps of a whole unit, so that a body in small pieces is not counted as a large one.
            grow(app, granted, needed.next_multiple_of(UNIT_BYTES)).await?;
        }
        if let Some(arrival) = arrival {
            arrival.came(frame.len());
        }
        bytes.extend_from_slice(&frame);
    }
}

/// Where there is no memory, whoever sends too slowly gives theirs.
async fn grow(app: &App, granted: &mut Granted, bytes: usize) -> Result<(), Refusal> {
    while !granted.try_grow(bytes) {
        if !app.waiting.slowest_gives_way() {
            return granted.grow(bytes);
        }
        app.metrics.connection_gave_way();
        tokio::time::sleep(GIVE_WAY).await;
    }
    Ok(())
}

fn too_large(max: impl std::fmt::Display) -> Refusal {
    refuse(
        ProblemKind::TooLarge,
        format!("the body may have {max} bytes"),
    )
}

/// Reads on and keeps nothing, for a moment: a client that is still sending when the connection is
/// closed never sees the answer.
async fn drain(body: &mut Body) {
    let reading = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(DRAIN_TIME, reading).await;
}

/// The next bytes: before `until`, and before a pause that is too long, which is asked for again
/// and again.
async fn next(
    body: &mut Body,
    until: Instant,
    pause: impl Fn() -> Duration,
) -> Result<Option<Bytes>, Refusal> {
    let began = Instant::now();
    loop {
        let end = until.min(began + pause());
        let frame = match timeout_at(end.min(Instant::now() + LOOK_EVERY), body.frame()).await {
            Err(_) if Instant::now() < end => continue,
            Err(_) => {
                let text = "the body paused too long, or took too long as a whole";
                return Err(refuse(ProblemKind::Timeout, text));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                let text = if is_broken(&error) {
                    "the chunks of the body are not as RFC 9112 §7.1 has them"
                } else {
                    "the body was cut off"
                };
                return Err(refuse(ProblemKind::BadRequest, text));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// Whether what came is wrong, and not what did not come. hyper names the one by these kinds, and
/// the other by an unexpected end.
fn is_broken(error: &(dyn Error + 'static)) -> bool {
    let of_input = std::iter::successors(Some(error), |error| (*error).source())
        .find_map(|error| error.downcast_ref::<io::Error>());
    let wrong = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    of_input.is_some_and(|error| wrong.contains(&error.kind()))
}

/// Refuses a body that is compressed.
pub(crate) fn must_be_identity(headers: &HeaderMap) -> Result<(), Refusal> {
    if encoding(headers)? == Encoding::Identity {
        return Ok(());
    }
    let text = "an attachment is sent as it is, without a Content-Encoding";
    Err(refuse(ProblemKind::UnsupportedType, text))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let named = headers.get(header::CONTENT_ENCODING);
    let text = named.map(|value| value.to_str().unwrap_or("?"));
    Encoding::of(text).ok_or_else(|| {
        let text = "the Content-Encoding is not one of gzip, zstd and identity";
        refuse(ProblemKind::UnsupportedType, text)
    })
}

/// The content type without its parameters, in lower case. JSON is UTF-8 (RFC 8259 §8.1), so
/// another charset is refused.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<String, Refusal> {
    let named = headers.get(header::CONTENT_TYPE);
    let text = named.and_then(|value| value.to_str().ok());
    let mut parts = text.unwrap_or_default().split(';');
    let kind = parts.next().unwrap_or_default().trim();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    let utf_8 = |charset: &str| ["utf-8", "utf8", "us-ascii"].contains(&charset);
    if charset.is_some_and(|charset| !utf_8(&charset.to_ascii_lowercase())) {
        let text = "the charset of the Content-Type must be UTF-8, as the body must";
        return Err(refuse(ProblemKind::UnsupportedType, text));
    }
    Ok(kind.to_ascii_lowercase())
}

/// Refuses every other content type than JSON.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    if content_type(headers)? == JSON {
        return Ok(());
    }
    let mut refusal = refuse(
        ProblemKind::UnsupportedType,
        format!("the Content-Type must be {JSON}"),
    );
    *refusal.0 = refusal.0.next(format!("send it with Content-Type: {JSON}"));
    Err(refusal)
}
