//! The way into the log: submits, counts what comes of it, and says that there is news to publish.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indelible_log::publish::Published;
use indelible_log::{AccessEvent, Env, Log, Outcome, Submission};
use indelible_store::{Error, Kind, Result};

use crate::clock::Behind;
use crate::metrics::Metrics;

/// How long closing waits for others to let go of the log.
const CLOSE_TRIES: u32 = 100;
const CLOSE_PAUSE: Duration = Duration::from_millis(50);

/// Where events go; shared by all that bring some.
#[derive(Clone)]
pub struct Feed {
    log: Arc<Mutex<Option<Arc<Log>>>>,
    metrics: Arc<Metrics>,
    behind: Arc<Behind>,
    env: Env,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed")
    }
}

impl Feed {
    pub(crate) fn new(log: Log, metrics: Arc<Metrics>, env: Env) -> Self {
        Self {
            log: Arc::new(Mutex::new(Some(Arc::new(log)))),
            metrics,
            behind: Arc::default(),
            env,
        }
    }

    fn log(&self) -> Result<Arc<Log>> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
            .ok_or_else(|| Error::new(Kind::Unavailable, "the server is stopping"))
    }

    /// Submits events and calls `then` with one outcome for each, in order. Waits while the log's
    /// queue is full; `then` is called on another thread and must not wait.
    pub(crate) fn submit_then(
        &self,
        batch: Vec<Submission>,
        then: impl FnOnce(Vec<Outcome>) + Send + 'static,
    ) {
        let count = batch.len();
        let log = match self.log() {
            Ok(log) => log,
            Err(error) => {
                let error = Arc::new(error);
                then(vec![Outcome::Failed(error); count]);
                return;
            }
        };
        self.metrics.submitted(count);
        let (metrics, behind) = (Arc::clone(&self.metrics), Arc::clone(&self.behind));
        let env = self.env.clone();
        log.submit(batch).then(move |outcomes| {
            let now = env.clock.now();
            metrics.settled(&outcomes, now);
            behind.look(&outcomes, now);
            then(outcomes);
        });
    }

    /// Submits events and waits for their outcomes.
    pub fn submit(&self, batch: Vec<Submission>) -> Vec<Outcome> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.submit_then(batch, move |outcomes| drop(sender.send(outcomes)));
        receiver.recv().unwrap_or_default()
    }

    /// Gives the tenant a log if it has none, for somebody of this kind and id.
    pub(crate) fn ensure_tenant(
        &self,
        tenant: &indelible_event::TenantId,
        by: (&'static str, &str),
    ) -> Result<()> {
        self.log()?.ensure_tenant(tenant, by)?;
        self.metrics.news(self.env.clock.now());
        Ok(())
    }

    /// States which numbers of the tenant's streams are committed, if that is due; gives how many
    /// records that took.
    pub(crate) fn state_coverage(&self, tenant: &indelible_event::TenantId) -> Result<usize> {
        let stated = self.log()?.state_coverage(tenant)?;
        if stated > 0 {
            self.metrics.news(self.env.clock.now());
        }
        Ok(stated)
    }

    /// Writes the records of what was done to the ledger itself and has none yet.
    pub(crate) fn write_operations(&self) -> Result<()> {
        if self.log()?.write_operations()? > 0 {
            self.metrics.news(self.env.clock.now());
        }
        Ok(())
    }

    /// Writes the records of accesses and takes those that are written out of `events`.
    pub(crate) fn write_accesses(&self, events: &mut Vec<AccessEvent>) -> Result<()> {
        if self.log()?.write_accesses(events)? > 0 {
            self.metrics.news(self.env.clock.now());
        }
        Ok(())
    }

    /// Whether what is committed is published from here.
    pub(crate) fn signs(&self) -> bool {
        self.log().is_ok_and(|log| log.signs())
    }

    /// Publishes if there is news; of what others commit, only the ledger knows.
    pub(crate) fn publish(&self, others_commit: bool) -> Result<Option<Published>> {
        let news = self.metrics.take_news();
        if news.is_none() && !others_commit {
            return Ok(None);
        }
        let published = self.log().and_then(|log| log.publish());
        match (&published, news) {
            (Ok(published), _) if news.is_some() || published.moved > 0 => {
                self.metrics.published(self.env.clock.now());
            }
            (Err(_), Some(news)) => self.metrics.news(news),
            _ => {}
        }
        published.map(Some)
    }

    /// Shows the servers that do not sign that this one does.
    pub(crate) fn show_publisher(&self) -> Result<()> {
        self.log()?.show_publisher()
    }

    /// A number that is another one whenever the server that signs has shown itself.
    pub(crate) fn publisher_shown(&self) -> Result<u64> {
        self.log()?.publisher_shown()
    }

    /// Takes the news that another server has published.
    pub(crate) fn look_for_publication(&self) -> Result<()> {
        let Some(news) = self.metrics.news_since() else {
            return Ok(());
        };
        if let Some(at) = self.log()?.published_at()?
            && at >= news
        {
            self.metrics.take_news();
            self.metrics.published(at);
            // What came after that snapshot is in a later one.
            if let Some(commit) = self.metrics.last_commit().filter(|commit| *commit > at) {
                self.metrics.news(commit);
            }
        }
        Ok(())
    }

    /// Publishes what is durable and closes the log; what is under way is committed first.
    pub(crate) fn close(&self) -> Result<()> {
        let taken = self
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut log) = taken else {
            return Ok(());
        };
        for _ in 0..CLOSE_TRIES {
            match Arc::try_unwrap(log) {
                Ok(log) => {
                    // Closing commits what is queued; publishing needs it open. So: publish, close,
                    // and what came between is published by the next start.
                    let published = if log.signs() {
                        log.publish().map(drop)
                    } else {
                        Ok(())
                    };
                    log.close();
                    return published;
                }
                Err(shared) => log = shared,
            }
            std::thread::sleep(CLOSE_PAUSE);
        }
        Err(Error::new(Kind::Unavailable, "the log is still in use"))
    }
}
