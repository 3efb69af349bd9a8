//! What is told of the events of a batch, counted before it is kept.
//!
//! Room for a receipt of each event is granted before anything is submitted. A problem that needs
//! more is granted more, up to a bound for each answer; where there is none it is told in few
//! words, so that no result is ever left out.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use indelible_api::{BatchWriter, Came, Problem, ProblemKind};
use indelible_log::Outcome;
use indelible_proof::receipt::Receipt;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::answer::{Refusal, of_outcome, refuse};
use crate::budget::{Budget, Granted};

/// A result at most, when it is a receipt or a problem in few words.
const RESULT_BYTES_MAX: usize = 480;
/// A problem in few words, its place and status left out.
const FEW_BYTES_MAX: usize = 384;
/// What the other problems of one answer may take.
const PROBLEMS_BYTES_MAX: usize = 16 << 20;
/// What is granted for problems at a time.
const STEP_BYTES: usize = 64 << 10;

/// What is told of one event.
pub(crate) enum Told {
    Receipt(Receipt, Came),
    /// A problem document, written.
    Problem(u16, Box<[u8]>),
}

/// What is told of events that follow each other in a batch.
pub(crate) struct Results {
    /// Of each in its order; `None` is the next that is still to come.
    pub(crate) places: Vec<Option<Told>>,
    pub(crate) told: oneshot::Receiver<Vec<Told>>,
}

/// The room that one answer has.
pub(crate) struct Room(Mutex<Left>);

struct Left {
    granted: Granted,
    /// Granted and not taken yet.
    bytes: usize,
    /// Taken by problems.
    problems: usize,
}

impl Room {
    /// Room for so many results.
    pub(crate) fn new(budget: &Budget, results: usize) -> Result<Arc<Self>, Refusal> {
        let mut granted = budget.empty();
        granted.grow(results * RESULT_BYTES_MAX)?;
        Ok(Arc::new(Self(Mutex::new(Left {
            granted,
            bytes: 0,
            problems: 0,
        }))))
    }

    /// What is told of an event that was submitted.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Told {
        match of_outcome(outcome) {
            Ok((receipt, came)) => Told::Receipt(receipt, came),
            Err(problem) => self.problem(&problem),
        }
    }

    /// What is told of an event with a problem.
    pub(crate) fn problem(&self, problem: &Problem) -> Told {
        let whole = written(problem);
        let told = if whole.len() <= FEW_BYTES_MAX || self.take(whole.len()) {
            whole
        } else {
            let kind = problem.kind().unwrap_or(ProblemKind::Internal);
            written(&Problem::new(kind, "there is no room for more").next("send it alone"))
        };
        Told::Problem(problem.status, told.into_boxed_slice())
    }

    fn take(&self, bytes: usize) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.problems + bytes > PROBLEMS_BYTES_MAX {
            return false;
        }
        if left.bytes < bytes {
            let step = bytes.max(STEP_BYTES);
            if !left.granted.try_grow(step) {
                return false;
            }
            left.bytes += step;
        }
        left.bytes -= bytes;
        left.problems += bytes;
        true
    }

    /// The answer, with what was granted for it.
    pub(crate) fn keep(&self, answer: Vec<u8>) -> Bytes {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.granted.take().keep(answer)
    }
}

fn written(problem: &Problem) -> Vec<u8> {
    // A problem is texts and numbers, which always have a form in JSON.
    serde_json::to_vec(problem).unwrap_or_else(|_| b"null".to_vec())
}

/// The answer's body, written result by result as they come, and whether one of them may be sent
/// again after a while.
pub(crate) async fn results(
    mut slices: UnboundedReceiver<Results>,
    count: usize,
) -> Result<(Vec<u8>, bool), Refusal> {
    let mut response = BatchWriter::new(count);
    let mut is_unavailable = false;
    while let Some(slice) = slices.recv().await {
        let stopping = |_| refuse(ProblemKind::Unavailable, "the server is stopping");
        let mut told = slice.told.await.map_err(stopping)?.into_iter();
        for place in slice.places {
            let lost = || {
                let text = "it is not known what became of this event";
                refuse(ProblemKind::Unavailable, text)
            };
            match place.or_else(|| told.next()).ok_or_else(lost)? {
                Told::Receipt(receipt, came) => response.receipt(&receipt, came),
                Told::Problem(status, problem) => {
                    is_unavailable |= matches!(status, 429 | 503);
                    response.problem(status, &problem);
                }
            }
        }
    }
    Ok((response.finish(), is_unavailable))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn room(bytes: usize) -> Arc<Room> {
        let budget = Budget::new(bytes, Arc::default());
        Room::new(&budget, 2).unwrap()
    }

    fn long() -> Problem {
        Problem::new(ProblemKind::InvalidEvent, "x".repeat(4_000))
    }

    fn text(told: Told) -> (u16, String) {
        match told {
            Told::Problem(status, bytes) => (status, String::from_utf8(bytes.into()).unwrap()),
            Told::Receipt(..) => panic!("a receipt"),
        }
    }

    #[test]
    fn a_problem_is_told_in_few_words_when_there_is_no_room() {
        let (_, whole) = text(room(1 << 20).problem(&long()));
        assert!(whole.contains("xxxx"));
        let (status, few) = text(room(4 << 10).problem(&long()));
        assert_eq!(status, 422);
        assert!(
            few.contains("no room") && few.contains("invalid-event"),
            "{few}"
        );
    }

    #[test]
    fn one_answer_does_not_take_all_the_room() {
        let room = room(1 << 30);
        let told = (0..2 * PROBLEMS_BYTES_MAX / 4_000).map(|_| text(room.problem(&long())).1);
        let bytes: usize = told
            .map(|text| text.len().saturating_sub(FEW_BYTES_MAX))
            .sum();
        assert!(
            (PROBLEMS_BYTES_MAX / 2..PROBLEMS_BYTES_MAX).contains(&bytes),
            "{bytes}"
        );
    }

    #[test]
    fn few_words_fit_where_a_receipt_does() {
        for kind in ProblemKind::ALL {
            let room = room(1 << 10);
            let problem = Problem::new(kind, "x".repeat(4_000));
            let (status, few) = text(room.problem(&problem));
            let around = "{\"index\":99999,\"status\":422,\"problem\":},".len();
            assert!(
                few.len() <= FEW_BYTES_MAX && around + few.len() <= RESULT_BYTES_MAX,
                "{few}"
            );
            assert_eq!(status, kind.status());
        }
    }
}
