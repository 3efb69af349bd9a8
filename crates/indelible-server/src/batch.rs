//! `POST /v1/events:batch`: split, submitted in slices while it is read, one result per event.
//!
//! Nothing is submitted before the whole body was seen to be within its limits and to be
//! splittable, and before there is room for the answer, so that a 4xx of the batch means that none
//! of it is in the log. A body that is large when decompressed is therefore decompressed twice
//! rather than kept.

use std::io::BufRead as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_api::limits::{BATCH_EVENTS_MAX, BODY_BYTES_MAX, DECODED_BYTES_MAX};
use indelible_api::{JSON, NDJSON, Problem, ProblemKind};
use indelible_event::ids::TenantId;
use indelible_log::{Admission, Submission};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::access::Principal;
use crate::answer::{Answer, Refusal, refuse, say_when, typed};
use crate::app::App;
use crate::body::{content_type, read};
use crate::decode::{self, Encoding, is_over_limit};
use crate::guard::{Needs, allow};
use crate::results::{Results, Room, Told, results};
use crate::split::{Form, Piece, SplitError, split};
use crate::submit::{Addressing, Target, let_in, whose};

/// May stand at the beginning of a body (RFC 8259 §8.1).
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Decompressed bytes that are kept rather than decompressed again.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// Events of one submission.
const SLICE_EVENTS: usize = 1_024;
/// Event bytes of one submission.
const SLICE_BYTES: usize = 1 << 20;

/// Commits a batch.
pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    query: Result<Query<Target>, QueryRejection>,
    request: Request,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Emit)?.clone();
    let named = whose(query)?;
    let form = form(request.headers())?;
    let let_in = let_in(&app, &principal, named.as_ref())?;
    let (parts, body) = request.into_parts();
    let mut read = read(body, &parts, BODY_BYTES_MAX, &app).await?;
    if read.encoding != Encoding::Identity {
        read.granted.grow(KEPT_BYTES_MAX)?;
    }
    let stopping = || refuse(ProblemKind::Unavailable, "the server is stopping");
    let party = named
        .as_ref()
        .map_or_else(|| principal.party(), ToString::to_string);
    let turn = app.batches.take(&party).await.map_err(|_| stopping())?;
    let counting = tokio::task::spawn_blocking(move || {
        let body = Body::decoded(read.bytes, read.encoding, form)?;
        Ok::<_, Refusal>((body.count()?, body))
    });
    let (count, body) = counting.await.map_err(|_| stopping())??;
    let room = Room::new(&app.memory.requests, count)?;
    let (sender, receiver) = unbounded_channel();
    let (granted, kept) = (read.granted, Arc::clone(&room));
    let submitting = tokio::task::spawn_blocking(move || {
        let sent = submit((&app, &principal), (named, let_in), &body, (kept, sender));
        drop((body, granted, turn));
        sent
    });
    let (answer, is_unavailable) = results(receiver, count).await?;
    submitting.await.map_err(|_| stopping())??;
    let mut response = typed(StatusCode::OK, JSON, room.keep(answer));
    if is_unavailable {
        say_when(response.headers_mut(), None);
    }
    Ok(response)
}

fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    match content_type(headers)?.as_str() {
        JSON => Ok(Form::Array),
        NDJSON | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        _ => {
            let text = format!("the Content-Type must be {JSON} (an array) or {NDJSON} (lines)");
            Err(refuse(ProblemKind::UnsupportedType, text))
        }
    }
}

/// A body that was read, decompressed when that is not much.
struct Body {
    bytes: Vec<u8>,
    encoding: Encoding,
    form: Form,
}

impl Body {
    fn decoded(bytes: Vec<u8>, encoding: Encoding, form: Form) -> Result<Self, Refusal> {
        let kept = match encoding {
            Encoding::Identity => None,
            _ => decode::whole(&bytes, encoding, KEPT_BYTES_MAX)
                .map_err(|error| unsplit(&SplitError::Read(error)))?,
        };
        let (bytes, encoding) = match kept {
            Some(kept) => (kept, Encoding::Identity),
            None => (bytes, encoding),
        };
        Ok(Self {
            bytes,
            encoding,
            form,
        })
    }

    fn pieces(&self, visit: &mut dyn FnMut(Piece<'_>) -> bool) -> Result<(), Refusal> {
        let mut split_all = || {
            let mut reader = decode::reader(&self.bytes, self.encoding)?;
            if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
                reader.consume(BYTE_ORDER_MARK.len());
            }
            split(reader.as_mut(), self.form, visit)
        };
        split_all().map_err(|error| unsplit(&error))
    }

    /// How many events there are; refuses what cannot be taken as a whole.
    fn count(&self) -> Result<usize, Refusal> {
        let mut count = 0_usize;
        self.pieces(&mut |_| {
            count += 1;
            count <= BATCH_EVENTS_MAX
        })?;
        Ok(count)
    }
}

fn submit(
    (app, principal): (&App, &Principal),
    (named, let_in): (Option<TenantId>, Option<TenantId>),
    body: &Body,
    (room, results): (Arc<Room>, UnboundedSender<Results>),
) -> Result<(), Refusal> {
    let mut slices = Slices {
        app,
        addressing: Addressing::new((app, "/v1/events:batch"), principal, named).taking(let_in),
        admission: app.admission(principal),
        slice: Vec::new(),
        slice_bytes: 0,
        places: Vec::new(),
        room,
        results,
    };
    // The same bytes were split once already.
    body.pieces(&mut |piece| {
        slices.take(piece);
        true
    })?;
    slices.flush();
    Ok(())
}

/// Why a batch cannot be taken as a whole; nothing of it was submitted.
fn unsplit(error: &SplitError) -> Refusal {
    match error {
        SplitError::Read(error) if is_over_limit(error) => refuse(
            ProblemKind::TooLarge,
            format!("a batch may have {DECODED_BYTES_MAX} bytes when decompressed"),
        ),
        SplitError::Read(_) => refuse(ProblemKind::BadRequest, "the body cannot be decompressed"),
        SplitError::Broken(at, what) => refuse(
            ProblemKind::BadRequest,
            format!("byte {at}: {what}; nothing of the batch was taken"),
        ),
        SplitError::Stopped => refuse(
            ProblemKind::TooLarge,
            format!("a batch may have {BATCH_EVENTS_MAX} events, and as many blank lines"),
        ),
    }
}

struct Slices<'a> {
    app: &'a App,
    addressing: Addressing<'a>,
    admission: Arc<Admission>,
    slice: Vec<Submission>,
    slice_bytes: usize,
    /// What is told of an event that is not in the slice; `None` for the next of those that are.
    places: Vec<Option<Told>>,
    room: Arc<Room>,
    results: UnboundedSender<Results>,
}

impl Slices<'_> {
    fn take(&mut self, piece: Piece<'_>) {
        let place = match piece {
            Piece::Event(event) => self.add(event).err(),
            Piece::TooLong => {
                let max = indelible_event::limits::EVENT_RAW_BYTES_MAX;
                let text = format!("an event may have {max} bytes");
                Some(Box::new(Problem::new(ProblemKind::TooLarge, text)))
            }
        };
        let told = place.map(|problem| self.room.problem(&problem));
        self.places.push(told);
        if self.places.len() >= SLICE_EVENTS || self.slice_bytes >= SLICE_BYTES {
            self.flush();
        }
    }

    fn add(&mut self, event: &[u8]) -> Result<(), Box<Problem>> {
        let tenant = self.addressing.tenant(event)?;
        self.addressing.took(&tenant, 1, event.len());
        self.slice_bytes += event.len();
        self.slice.push(Submission {
            tenant,
            event: event.to_vec(),
            admission: Arc::clone(&self.admission),
            stream: None,
        });
        Ok(())
    }

    /// Waits while the log's queue is full: this is where a batch feels the disk.
    fn flush(&mut self) {
        self.slice_bytes = 0;
        let slice = std::mem::take(&mut self.slice);
        let places = std::mem::take(&mut self.places);
        if places.is_empty() {
            return;
        }
        let (sender, told) = oneshot::channel();
        // Whoever asked may have gone; the events are committed all the same.
        let _ = self.results.send(Results { places, told });
        if slice.is_empty() {
            let _ = sender.send(Vec::new());
            return;
        }
        let room = Arc::clone(&self.room);
        self.app.feed.submit_then(slice, move |outcomes| {
            let told = outcomes.into_iter().map(|outcome| room.outcome(outcome));
            let _ = sender.send(told.collect());
        });
    }
}
