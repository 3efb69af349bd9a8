//! Single events from many connections into few submissions.
//!
//! One thread takes whatever is waiting and submits it together, so that a thousand connections
//! cost one hand-over and not a thousand threads; the log then groups commits. The channel is
//! bounded: when it is full the request is answered 503.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use indelible_log::{Outcome, Submission};
use indelible_store::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::feed::Feed;

/// Events that wait for the thread.
const WAITING_MAX: usize = 16_384;
/// Events of one submission.
const TOGETHER_MAX: usize = 256;

struct One {
    submission: Submission,
    reply: oneshot::Sender<Outcome>,
}

/// The way in for single events.
pub(crate) struct Intake {
    sender: SyncSender<One>,
}

impl Intake {
    pub(crate) fn start(feed: Feed) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("indelible-intake".to_owned())
            .spawn(move || run(&feed, &receiver))
            .map_err(|e| {
                Error::new(Kind::Unavailable, "a thread could not be started").caused_by(e)
            })?;
        Ok(Self { sender })
    }

    /// Hands an event over; `None` when too many are waiting.
    pub(crate) fn submit(&self, submission: Submission) -> Option<oneshot::Receiver<Outcome>> {
        let (reply, outcome) = oneshot::channel();
        match self.sender.try_send(One { submission, reply }) {
            Ok(()) => Some(outcome),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

fn run(feed: &Feed, receiver: &Receiver<One>) {
    while let Ok(first) = receiver.recv() {
        let waiting = std::iter::once(first).chain(receiver.try_iter().take(TOGETHER_MAX - 1));
        let (batch, replies): (Vec<_>, Vec<_>) =
            waiting.map(|one| (one.submission, one.reply)).unzip();
        feed.submit_then(batch, move |outcomes| {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // Whoever asked may have gone; the event is committed all the same.
                let _ = reply.send(outcome);
            }
        });
    }
}
