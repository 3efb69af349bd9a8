//! What an emitter hands over, into a log of this process: once for programs with a ledger of their
//! own and for the command that sends their dead letters again.
//!
//! Not here: publishing, which each does at a time of its own.

use std::sync::Arc;

use indelible_emit::{Attached, Outgoing, Verdict, at_once};
use indelible_event::TenantId;
use indelible_log::attachments::{Digest, UploadError};
use indelible_log::log::Log;
use indelible_log::outcome::{Outcome, Submission};
use indelible_log::prepare::Admission;
use indelible_store::{Error, Retry};

/// Commits a batch and waits for it; a verdict for each event, in their order.
///
/// # Durability
/// What is [`Verdict::Committed`] or [`Verdict::Repeated`] is durable.
pub fn deliver(log: &Log, admission: &Arc<Admission>, batch: &[Outgoing]) -> Vec<Verdict> {
    let submission = |outgoing: &Outgoing| Submission {
        tenant: outgoing.tenant.clone(),
        event: outgoing.event.clone(),
        admission: Arc::clone(admission),
        stream: outgoing.stream.clone(),
    };
    let submissions = batch.iter().map(submission).collect();
    let outcomes = log.submit(submissions).wait();
    outcomes.into_iter().map(verdict).collect()
}

/// Stores what stands beside an event.
///
/// # Errors
/// What becomes of the event in the place of its delivery.
///
/// # Durability
/// What is stored is durable before this returns.
pub fn attach(log: &Log, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
    at_once(attached, |attached| store(log, tenant, attached))
}

fn store(log: &Log, tenant: &TenantId, attached: &Attached) -> Result<(), Verdict> {
    let Some(store) = log.attachments() else {
        let text = "this ledger keeps no attachments";
        return Err(Verdict::Failed(text.into()));
    };
    let failed = |error: UploadError| match error {
        UploadError::Store(error) => failure(&error, false),
        error => Verdict::Failed(error.to_string().into()),
    };
    let digest = Digest::parse(&attached.digest);
    let digest = digest.ok_or_else(|| Verdict::Failed("its digest is none".into()))?;
    let upload = store.put(tenant, digest, &attached.media_type);
    let mut upload = upload.map_err(failed)?;
    upload.write(&attached.bytes).map_err(failed)?;
    upload.finish().map_err(failed)?;
    Ok(())
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::New(receipt) => Verdict::Committed(receipt),
        Outcome::Repeat {
            receipt,
            other_claim,
        } => Verdict::Repeated {
            receipt,
            other_claim,
        },
        Outcome::Conflict(receipt) => Verdict::Conflict(Some(Box::new(receipt))),
        Outcome::Refused(problems) => Verdict::Refused(problems),
        Outcome::Failed(error) => failure(&error, true),
    }
}

fn failure(error: &Error, reached: bool) -> Verdict {
    let reason: Arc<str> = error.to_string().into();
    match error.retry() {
        Retry::No => Verdict::Failed(reason),
        Retry::Later | Retry::AfterReading => Verdict::Again {
            after: None,
            reached,
            reason,
        },
    }
}
