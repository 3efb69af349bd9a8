//! What producers say of their streams when it arrives: the claim beside an event, and statements
//! held against what the ledger has.
//!
//! Invariant: a claim never becomes content. What is refused here is refused per event, with its
//! place. Source: `spec/stream.md` §1, §3.

use indelible_event::catalogue::{Listing, NATIVE};
use indelible_event::{Admitted, EventView, Field, Problem, ProblemCode, StreamClaim, TenantId};
use indelible_proof::finding::Span;
use indelible_proof::stream::Statement;

use crate::log::Shared;
use crate::seal::detect::is_email;

/// Where a statement names its stream.
const STREAM_NAME: &str = "/data/stream";
/// Ranges of numbers that a problem names.
const NAMED_MAX: usize = 8;

/// Takes the claim out of an event that begins with it; gives by how many bytes that made it
/// shorter.
///
/// # Errors
/// When there was a claim already.
pub(crate) fn take_leading(
    event: &mut Vec<u8>,
    claim: &mut Option<StreamClaim>,
) -> Result<usize, Vec<Problem>> {
    let Some((found, rest)) = StreamClaim::leading(event) else {
        return Ok(0);
    };
    event.drain(1..rest);
    only(claim, found)?;
    Ok(rest - 1)
}

/// Takes the claim out of an event that has it somewhere, and gives the event without it.
///
/// # Errors
/// What is wrong with the claim or the event, or that there was a claim already.
pub(crate) fn take_out(
    event: &[u8],
    claim: &mut Option<StreamClaim>,
) -> Result<Vec<u8>, Vec<Problem>> {
    let (found, event) = StreamClaim::take_out(event)?;
    only(claim, found)?;
    Ok(event)
}

fn only(claim: &mut Option<StreamClaim>, found: StreamClaim) -> Result<(), Vec<Problem>> {
    if claim.replace(found).is_none() {
        return Ok(());
    }
    let message = "the event claims two places in a stream; keep one";
    Err(claim_problem(ProblemCode::DuplicateKey, message))
}

/// Whether admission refused an event because its claim is still in it.
pub(crate) fn has_claim(problems: &[Problem]) -> bool {
    let is_claim = |problem: &Problem| {
        problem.code == ProblemCode::ReservedKey && problem.pointer == Field::Stream.pointer()
    };
    problems.iter().any(is_claim)
}

/// The places of problems in the event as it was received, which was longer by so many bytes.
pub(crate) fn shifted(mut problems: Vec<Problem>, by: usize) -> Vec<Problem> {
    for problem in &mut problems {
        problem.offset = problem.offset.map(|at| if at == 0 { 0 } else { at + by });
    }
    problems
}

/// Problems of bytes that are not those that were received.
pub(crate) fn unplaced(mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.offset = None;
    }
    problems
}

fn claim_problem(code: ProblemCode, message: &str) -> Vec<Problem> {
    vec![Problem::at(Field::Stream.pointer(), code, message)]
}

/// What is wrong with a statement whose stream would be called otherwise once it is committed, so
/// that it would speak of another: its name holds what is redacted or sealed.
pub(crate) fn unnameable(event: &EventView<'_>, redactions: &[String]) -> Option<Problem> {
    let data = event.raw(Field::Data).unwrap_or_default();
    let data = serde_json::from_str::<serde_json::Value>(data).ok()?;
    let stream = data.get("stream")?.as_str()?;
    let redacted = redactions.iter().any(|pointer| pointer == STREAM_NAME);
    (redacted || is_email(stream)).then(|| {
        let message = "a stream's name stands in every record: it must hold no address of mail and \
                       nothing secret";
        Problem::at(STREAM_NAME, ProblemCode::Contradiction, message)
    })
}

/// An event with a claim was given an id here.
pub(crate) fn needs_id() -> Vec<Problem> {
    let message = "an event that claims a place in a stream needs an id of its own: sent again \
                   without one it would be another event on the same number";
    let problem = Problem::at("/audit_id", ProblemCode::RequiredMissing, message);
    vec![problem]
}

/// A statement comes with a claim.
pub(crate) fn claims_itself() -> Vec<Problem> {
    let message = "what is said about a stream has no place in one; leave the claim out";
    claim_problem(ProblemCode::Contradiction, message)
}

/// Whether the event may be a statement about a stream; cheap, as it is asked of every event.
pub(crate) fn may_be_statement(event_type: Option<&str>) -> bool {
    event_type.is_some_and(|token| token.starts_with("\"stream."))
}

/// Holds a statement against what the ledger has: a loss of numbers that are there is none. What a
/// ledger has not counted yet it does not know; in a verdict what was received is never lost.
///
/// # Errors
/// As the stores'.
pub(crate) fn contradicted(
    shared: &Shared,
    tenant: &TenantId,
    admitted: &Admitted<'_>,
) -> indelible_store::Result<Option<Problem>> {
    let Some(statement) = Statement::parse(&admitted.bytes) else {
        return Ok(None);
    };
    let Some((stream, epoch, numbers)) = statement.lost() else {
        return Ok(None);
    };
    let known = shared.stores.ledger.find(tenant, &[admitted.audit_id])?;
    if known.iter().any(Option::is_some) {
        // It was taken before, or its id was: the sequencer tells.
        return Ok(None);
    }
    let there = shared.books.received(tenant, (stream, epoch), numbers)?;
    Ok((!there.is_empty()).then(|| {
        let message = format!(
            "numbers are declared lost that are in the log: {}; declare only what was certainly \
             not committed",
            named(&there)
        );
        Problem::at("/data/first", ProblemCode::StreamContradicted, message)
    }))
}

fn named(spans: &[Span]) -> String {
    let some: Vec<_> = spans.iter().take(NAMED_MAX).map(Span::to_string).collect();
    match spans.len() - some.len() {
        0 => some.join(", "),
        more => format!("{} and {more} more ranges", some.join(", ")),
    }
}

/// Whether a type is one by which producers speak of their streams.
pub(crate) fn is_statement(event_type: Option<&str>) -> bool {
    let name = event_type.and_then(|token| token.strip_prefix('"')?.strip_suffix('"'));
    name.is_some_and(|name| matches!(NATIVE.listing(name), Listing::Statement(_)))
}
