//! `POST /v1/events:batch`: split, submitted in slices while it is read, one result per event.
//!
//! Nothing is submitted before the whole body was seen to be within its limits and to be
//! splittable, so that a 4xx of the batch means that none of it is in the log. A body that is large
//! when decompressed is therefore decompressed twice rather than kept.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use indelible_api::limits::{BATCH_EVENTS_MAX, BODY_BYTES_MAX, DECODED_BYTES_MAX};
use indelible_api::{BatchWriter, ItemResult, JSON, NDJSON, Problem, ProblemKind};
use indelible_event::ids::TenantId;
use indelible_log::{Admission, Outcome, Submission};
use tokio::sync::oneshot;

use crate::access::Principal;
use crate::answer::{Answer, Refusal, of_outcome, refuse, typed};
use crate::app::App;
use crate::body::{Read, content_type, read};
use crate::decode::{self, Encoding, is_over_limit};
use crate::guard::{Needs, allow};
use crate::split::{Form, Piece, SplitError, split};
use crate::submit::{Addressing, Target, whose};

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
    let (parts, body) = request.into_parts();
    let mut read = read(
        body,
        &parts.headers,
        BODY_BYTES_MAX,
        &app.budget,
        &app.settings,
    )
    .await?;
    if read.encoding != Encoding::Identity {
        app.budget.grow(&mut read.granted, KEPT_BYTES_MAX)?;
    }
    let stopping = || refuse(ProblemKind::Unavailable, "the server is stopping");
    let turn = Arc::clone(&app.batches)
        .acquire_owned()
        .await
        .map_err(|_| stopping())?;
    let reading = tokio::task::spawn_blocking(move || {
        let sent = submit(&app, &principal, named, form, &read);
        drop((turn, read.bytes));
        sent.map(|sent| (sent, read.granted))
    });
    let (sent, granted) = reading.await.map_err(|_| stopping())??;
    let body = results(sent).await?;
    drop(granted);
    Ok(typed(StatusCode::OK, JSON, body))
}

fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    match content_type(headers).as_str() {
        JSON => Ok(Form::Array),
        NDJSON | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        _ => {
            let text = format!("the Content-Type must be {JSON} (an array) or {NDJSON} (lines)");
            Err(refuse(ProblemKind::UnsupportedType, text))
        }
    }
}

/// What was sent to the log, in the order of the batch.
#[derive(Default)]
struct Sent {
    /// The problem of an event that was not submitted, or `None` for the next outcome.
    places: Vec<Option<Box<Problem>>>,
    outcomes: Vec<oneshot::Receiver<Vec<Outcome>>>,
}

fn submit(
    app: &App,
    principal: &Principal,
    named: Option<TenantId>,
    form: Form,
    read: &Read,
) -> Result<Sent, Refusal> {
    let (bytes, encoding) = (read.bytes.as_slice(), read.encoding);
    let kept = match encoding {
        Encoding::Identity => None,
        _ => decode::whole(bytes, encoding, KEPT_BYTES_MAX)
            .map_err(|error| unsplit(&SplitError::Read(error)))?,
    };
    let (bytes, encoding) = match &kept {
        Some(kept) => (kept.as_slice(), Encoding::Identity),
        None => (bytes, encoding),
    };
    let pieces = |visit: &mut dyn FnMut(Piece<'_>) -> bool| {
        let mut reader = decode::reader(bytes, encoding)?;
        split(reader.as_mut(), form, visit)
    };
    let mut count = 0_usize;
    let counted = pieces(&mut |_| {
        count += 1;
        count <= BATCH_EVENTS_MAX
    });
    counted.map_err(|error| unsplit(&error))?;
    let mut slices = Slices {
        app,
        addressing: Addressing::new(app, principal, named),
        admission: app.admission(principal),
        slice: Vec::new(),
        slice_bytes: 0,
        sent: Sent::default(),
    };
    let sent = pieces(&mut |piece| {
        slices.take(piece);
        true
    });
    // The same bytes were split once already.
    sent.map_err(|error| unsplit(&error))?;
    slices.flush();
    Ok(slices.sent)
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
            format!("a batch may have {BATCH_EVENTS_MAX} events"),
        ),
    }
}

struct Slices<'a> {
    app: &'a App,
    addressing: Addressing<'a>,
    admission: Arc<Admission>,
    slice: Vec<Submission>,
    slice_bytes: usize,
    sent: Sent,
}

impl Slices<'_> {
    fn take(&mut self, piece: Piece<'_>) {
        let event = match piece {
            Piece::Event(event) => event,
            Piece::TooLong => {
                let max = indelible_event::limits::EVENT_RAW_BYTES_MAX;
                let text = format!("an event may have {max} bytes");
                return self.refuse(Box::new(Problem::new(ProblemKind::TooLarge, text)));
            }
        };
        let tenant = match self.addressing.tenant(event) {
            Ok(tenant) => tenant,
            Err(problem) => return self.refuse(problem),
        };
        self.slice_bytes += event.len();
        self.slice.push(Submission {
            tenant,
            event: event.to_vec(),
            admission: Arc::clone(&self.admission),
            stream: None,
        });
        self.sent.places.push(None);
        if self.slice.len() >= SLICE_EVENTS || self.slice_bytes >= SLICE_BYTES {
            self.flush();
        }
    }

    fn refuse(&mut self, problem: Box<Problem>) {
        self.sent.places.push(Some(problem));
    }

    /// Waits while the log's queue is full: this is where a batch feels the disk.
    fn flush(&mut self) {
        self.slice_bytes = 0;
        let slice = std::mem::take(&mut self.slice);
        if !slice.is_empty() {
            self.sent.outcomes.push(self.app.feed.submit_async(slice));
        }
    }
}

/// The answer's body, written result by result.
async fn results(sent: Sent) -> Result<Vec<u8>, Refusal> {
    let mut outcomes = Vec::with_capacity(sent.places.len());
    for slice in sent.outcomes {
        let lost = |_| refuse(ProblemKind::Unavailable, "the server is stopping");
        outcomes.extend(slice.await.map_err(lost)?);
    }
    let mut outcomes = outcomes.into_iter();
    let mut response = BatchWriter::new(sent.places.len());
    for place in sent.places {
        let (status, result) = if let Some(problem) = place {
            (problem.status, ItemResult::Problem(problem))
        } else {
            let lost = || {
                let text = "it is not known what became of this event";
                refuse(ProblemKind::Unavailable, text)
            };
            of_outcome(outcomes.next().ok_or_else(lost)?)
        };
        response.push(status, &result);
    }
    Ok(response.finish())
}
