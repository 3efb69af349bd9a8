//! Answers: JSON, problem documents with their headers, and what store errors become.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use indelible_api::{Came, JSON, PROBLEM_CONTENT_TYPE, Problem, ProblemKind};
use indelible_log::Outcome;
use indelible_proof::receipt::Receipt;
use indelible_store::{Error, Kind};
use serde::Serialize;

use crate::attended::is_for_nobody;
use crate::seldom::Seldom;

/// Seconds after which a refused request may be sent again.
const RETRY_AFTER_S: u64 = 1;

/// What a handler returns.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Box::new(of_store(&error)))
    }
}

impl From<Arc<Error>> for Refusal {
    fn from(error: Arc<Error>) -> Self {
        Self(Box::new(of_store(&error)))
    }
}

/// A refusal of `kind`.
pub(crate) fn refuse(kind: ProblemKind, detail: impl Into<String>) -> Refusal {
    Refusal(Box::new(Problem::new(kind, detail)))
}

/// JSON with this status.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    Ok(typed(status, JSON, written(value)?))
}

/// A value as JSON.
pub(crate) fn written<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value)
        .map_err(|error| refuse(ProblemKind::Internal, format!("the answer: {error}")))
}

/// Bytes with a content type.
pub(crate) fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Says when what the server could not do now may be sent again.
pub(crate) fn say_when(headers: &mut HeaderMap, seconds: Option<u64>) {
    let seconds = HeaderValue::from(seconds.unwrap_or(RETRY_AFTER_S));
    headers.insert(header::RETRY_AFTER, seconds);
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let problem = self.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = typed(status, PROBLEM_CONTENT_TYPE, body);
        let headers = response.headers_mut();
        if [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ]
        .contains(&status)
        {
            say_when(headers, problem.retry_after_s);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The middleware adds the request id to it.
        response.extensions_mut().insert(Refused(problem));
        response
    }
}

/// The problem of a response, for the middleware.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) Box<Problem>);

/// What a caller is told when the store has no room.
pub(crate) const NO_SPACE: &str = "there is no space left";

/// The problem that a store's error is for the caller. What it says of places inside is for the
/// server's own telemetry.
pub(crate) fn of_store(error: &Error) -> Problem {
    let (kind, detail) = match error.kind() {
        Kind::NotFound => (ProblemKind::NotFound, error.context().to_owned()),
        Kind::Invalid => (ProblemKind::BadRequest, error.context().to_owned()),
        Kind::ReadOnly => (ProblemKind::ReadOnly, "the store is read-only".to_owned()),
        Kind::NoSpace => (ProblemKind::Unavailable, NO_SPACE.to_owned()),
        Kind::UnknownOutcome => (
            ProblemKind::Unavailable,
            "it is not known whether the event was committed".to_owned(),
        ),
        Kind::Unavailable | Kind::Locked | Kind::Conflict => (
            ProblemKind::Unavailable,
            "the store could not do it now".to_owned(),
        ),
        Kind::Corrupt | Kind::Format => (
            ProblemKind::Internal,
            "stored bytes cannot be read".to_owned(),
        ),
    };
    // Where whoever asked has gone, it is that, and nothing of the store's.
    if !matches!(error.kind(), Kind::NotFound | Kind::Invalid) && !is_for_nobody() {
        tell_failure(error);
    }
    Problem::new(kind, detail)
}

/// Tells of a failure of the store, once a second: every event of a batch may meet the same one.
fn tell_failure(error: &Error) {
    static LINES: Seldom = Seldom::new();
    if let Some(untold) = LINES.due() {
        tracing::error!(error = %error, untold, "the store failed");
    }
}

/// Receipt or problem of an outcome.
pub(crate) fn of_outcome(outcome: Outcome) -> Result<(Receipt, Came), Box<Problem>> {
    let problem = match outcome {
        Outcome::New(receipt) => return Ok((receipt, Came::New)),
        Outcome::Repeat {
            receipt,
            other_claim,
        } => return Ok((receipt, Came::Again { other_claim })),
        Outcome::Conflict(receipt) => {
            let detail = format!(
                "record {} of {} has this audit_id and other content",
                receipt.sequence_number, receipt.tenant_id
            );
            let mut problem = Problem::new(ProblemKind::Conflict, detail).at("/audit_id");
            problem.receipt = Some(Box::new(receipt));
            problem
        }
        Outcome::Refused(problems) => Problem::refused(&problems),
        Outcome::Failed(error) => of_store(&error),
    };
    Err(Box::new(problem))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn failures_of_the_store_are_told_once_a_second_with_how_many_were_not() {
        let kept = Kept::default();
        let lines = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || lines.clone())
            .finish();
        let began = Instant::now();
        let mut failures = 0_u64;
        tracing::subscriber::with_default(subscriber, || {
            while began.elapsed() < Duration::from_millis(1_100) {
                of_store(&Error::new(Kind::NoSpace, "told to fail"));
                of_store(&Error::new(Kind::NotFound, "no failure"));
                failures += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let kept = kept.0.lock().unwrap();
        let lines: Vec<serde_json::Value> = std::str::from_utf8(&kept)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // The clock's seconds begin somewhere in between.
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        assert!((2..=seconds + 1).contains(&lines.len()), "{lines:?}");
        assert!(failures > 100, "{failures}");
        let told: u64 = lines
            .iter()
            .map(|line| line["untold"].as_u64().unwrap() + 1)
            .sum();
        assert!(told > 1 && told <= failures, "{told} of {failures}");
        for line in &lines {
            assert_eq!(line["message"], "the store failed");
            assert!(
                line["error"].as_str().unwrap().contains("told to fail"),
                "{line}"
            );
        }
    }
}
