//! The relay: a thread that moves the rows of an outbox to the ledger, and who holds it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use indelible_emit::{Surroundings, Transport};
use indelible_store::{Error, Kind, Result};

use crate::metrics::{Metrics, Standing};
use crate::options::Options;
use crate::session::Address;
use crate::shared::Shared;
use crate::turn::Worker;

/// How long dropping a relay may take.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// A relay at work on a thread of its own. Of several on one outbox one works, and the others take
/// over when it is gone. Dropping it stops it, for at most two seconds.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
}

/// Tells the end, however it comes.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.note(|metrics| metrics.standing = Standing::Ended);
        self.0.ended();
    }
}

impl Relay {
    /// Starts it. Nothing is connected yet: a database or a ledger that is down is waited for.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the options cannot be kept, [`Kind::Unavailable`] when there is no
    /// thread.
    pub fn start(
        options: Options,
        transport: impl Transport + 'static,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        let address = Address::parse(&options.url)?;
        let invalid = |said: &str| Err(Error::new(Kind::Invalid, said));
        let retry = options.retry;
        if options.rows_max == 0 || options.bytes_max == 0 {
            return invalid("a batch of the relay must hold something");
        }
        if [options.interval, options.stall_timeout, retry.delay_first].contains(&Duration::ZERO) {
            return invalid("no interval, delay or timeout of the relay may be 0");
        }
        let shared = Arc::new(Shared::default());
        let end = End(Arc::clone(&shared));
        let worker = Worker::new(
            options,
            address,
            transport,
            surroundings,
            Arc::clone(&shared),
        );
        std::thread::Builder::new()
            .name("indelible-relay".to_owned())
            .spawn(move || {
                // A panic that its guards let through must not keep the end from being told.
                let _ = catch_unwind(AssertUnwindSafe(|| worker.run()));
                drop(end);
            })
            .map_err(|error| Error::new(Kind::Unavailable, "starting a thread").caused_by(error))?;
        Ok(Self { shared })
    }

    /// What it has done, and what waits.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }

    /// Asks it to end: it finishes the batch that is under way, says that its epoch has ended, and
    /// gives the outbox free. Whether it has ended within `deadline`.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.shared.stop();
        self.shared.await_end(deadline)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop(DROP_DEADLINE);
    }
}
