//! The writer of a ledger: opens it, takes submissions, publishes.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use indelible_event::ids::{Micros, TenantId};
use indelible_proof::finding::Finding;
use indelible_proof::registry::Snapshot;
use indelible_store::{Error, Kind, Ledger, Result, State};

use crate::attachments::Attachments;
use crate::env::Env;
use crate::group::Item;
use crate::keyring::Keyring;
use crate::outcome::{Job, Outcome, Pending, Submission, Ticket, settle_all};
use crate::own::{OwnEvent, SYSTEM_TENANT};
use crate::pipeline::Pipeline;
use crate::prepare::{Prepared, Preparer};
use crate::publish::{Published, Publisher, Signer};
use crate::recover::{self, Outstanding, OutstandingEvent};
use crate::registry::{
    Identity, identity, publisher_shown, put_identity, put_publisher, registry_head,
};
use crate::streams::{Books, coverage};

/// Events of a batch that are handed on together.
const SLICE_EVENTS: usize = 256;

/// The stores a ledger stands on.
#[derive(Clone)]
pub struct Stores {
    /// The records.
    pub ledger: Arc<dyn Ledger>,
    /// The registry and what else is small.
    pub state: Arc<dyn State>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

/// Bounds of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records of one group commit.
    pub group_records_max: usize,
    /// Event bytes of one group commit.
    pub group_bytes_max: usize,
    /// Event bytes waiting to be numbered; beyond it a submitter waits.
    pub queue_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            group_records_max: 4_096,
            group_bytes_max: 4 << 20,
            queue_bytes_max: 32 << 20,
        }
    }
}

/// What a writer is told when it opens.
#[derive(Clone, Debug)]
pub struct Options {
    /// C2SP origin of a ledger that has none yet; fixed from then on, never a host name.
    pub origin: String,
    /// C2SP verifier key that `log.created` names.
    pub verifier_key: String,
    /// Whether an unknown tenant gets its log with its first event.
    pub create_tenants: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Why a ledger could not be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The stored logs do not extend what was signed; only reading goes on, and `recover`.
    #[error("the ledger does not extend what was signed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NotExtending(Vec<Finding>),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What the parts of a writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) stores: Stores,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) options: Options,
    pub(crate) env: Env,
    pub(crate) system: TenantId,
    pub(crate) incarnation: u64,
    pub(crate) books: Arc<Books>,
    pub(crate) attachments: OnceLock<Arc<Attachments>>,
    /// Why nothing more is taken: what is stored does not extend what was signed.
    refused: OnceLock<Arc<Error>>,
}

/// The writer of a ledger. There is one for an embedded ledger; on a shared database there may be
/// many, and none can fork a log.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    pipeline: Pipeline,
    publisher: Mutex<Publisher>,
}

impl Log {
    /// Opens the ledger for writing, finishing a publication that was cut short.
    ///
    /// # Errors
    /// [`OpenError::NotExtending`] when stored logs or the registry do not extend what the signer
    /// last signed, or the key store is older than what was published; [`OpenError::Store`] when a
    /// store fails.
    pub fn open(
        stores: Stores,
        keyring: Arc<Keyring>,
        signer: Option<Arc<dyn Signer>>,
        options: Options,
        env: Env,
    ) -> std::result::Result<Self, OpenError> {
        let system = system_tenant()?;
        let state = stores.state.as_ref();
        let incarnation = named(state, &options.origin)?.incarnation;
        let mut publisher = Publisher::open(&stores, signer)?;
        let findings = publisher.check(&stores, &keyring)?;
        if !findings.is_empty() {
            return Err(OpenError::NotExtending(findings));
        }
        let shared = Arc::new(Shared {
            books: Arc::new(Books::new(stores.clone())),
            stores,
            keyring,
            options,
            env,
            system,
            incarnation,
            attachments: OnceLock::new(),
            refused: OnceLock::new(),
        });
        let pipeline = Pipeline::start(&shared).map_err(|e| {
            Error::new(Kind::Unavailable, "a thread could not be started").caused_by(e)
        })?;
        let log = Self {
            shared,
            pipeline,
            publisher: Mutex::new(publisher),
        };
        log.finish_publication()?;
        log.write_outstanding()?;
        log.write_operations()?;
        Ok(log)
    }

    /// Submits events; returns at once unless the queue is full. One outcome per submission, in
    /// order, from [`Pending::wait`].
    pub fn submit(&self, batch: Vec<Submission>) -> Pending {
        let job = Job::new(batch.len());
        if let Some(refused) = self.shared.refused.get() {
            let failed = |index| (index, Outcome::Failed(Arc::clone(refused)));
            job.settle((0..batch.len()).map(failed));
            return Pending(job);
        }
        let mut preparer = Preparer::new(&self.shared);
        let mut rest = batch.into_iter();
        let mut index = 0;
        while rest.len() > 0 {
            // In slices, so that the first are numbered while the others are prepared.
            let count = rest.len().min(SLICE_EVENTS);
            preparer.begin(rest.as_slice().get(..count).unwrap_or_default());
            let ticket = Ticket::slice(&job);
            let mut ready = Vec::with_capacity(count);
            for submission in rest.by_ref().take(count) {
                let ticket = ticket(index);
                index += 1;
                match preparer.prepare(submission) {
                    Ok(prepared) => ready.push(Item::new(prepared, Some(ticket))),
                    Err(outcome) => settle_all([(ticket, outcome)]),
                }
            }
            preparer.end(&mut ready);
            if let Err(refused) = self.pipeline.enqueue(ready) {
                let closed = Arc::new(Error::new(Kind::Unavailable, "the ledger is closing"));
                let tickets = refused.into_iter().filter_map(|item| item.ticket);
                settle_all(tickets.map(|ticket| (ticket, Outcome::Failed(Arc::clone(&closed)))));
            }
        }
        Pending(job)
    }

    /// Gives the tenant a log if it has none; by whom, kind and id, its `tenant.created` says.
    ///
    /// # Errors
    /// As the store's; the tenant may have a slot already, which the next attempt uses.
    ///
    /// # Durability
    /// The log is there when it returns.
    pub fn ensure_tenant(&self, tenant: &TenantId, by: (&'static str, &str)) -> Result<()> {
        if self.shared.stores.ledger.head(tenant)?.is_some() {
            return Ok(());
        }
        let (ticket, created) = Ticket::alone();
        self.pipeline
            .create(tenant.clone(), (by.0, by.1.to_owned()), ticket)
            .map_err(|()| Error::new(Kind::Unavailable, "the ledger is closing"))?;
        match created.wait().pop() {
            Some(Outcome::Failed(e)) => Err(Error::new(e.kind(), e.context())),
            _ => Ok(()),
        }
    }

    /// Puts every durable head into a snapshot and signs it. Without news it gives the newest one.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`] when there is no signing key, or what is stored does not extend what was
    /// signed: then nothing more is taken either.
    pub fn publish(&self) -> Result<Published> {
        let mut publisher = self
            .publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let shared = &self.shared;
        let published = publisher.publish(&shared.stores, &shared.keyring, &shared.env);
        if let Err(error) = &published
            && error.kind() == Kind::ReadOnly
            && publisher.signs()
        {
            let refused = Error::new(Kind::ReadOnly, error.context());
            let _ = shared.refused.set(Arc::new(refused));
        }
        published
    }

    /// Whether this writer publishes: it has the signing key. Where several write to one ledger,
    /// one of them does.
    pub fn signs(&self) -> bool {
        let publisher = self.publisher.lock();
        publisher.unwrap_or_else(PoisonError::into_inner).signs()
    }

    /// Shows to the other writers of the ledger that what they commit is published from here.
    ///
    /// # Errors
    /// As the state store's.
    pub fn show_publisher(&self) -> Result<()> {
        let shown = put_publisher(self.shared.env.clock.now())?;
        self.shared.stores.state.apply(&[shown])
    }

    /// A number that is another one whenever a publisher has shown itself.
    ///
    /// # Errors
    /// As the state store's.
    pub fn publisher_shown(&self) -> Result<u64> {
        publisher_shown(self.shared.stores.state.as_ref())
    }

    /// When the newest snapshot was taken, whoever published it.
    ///
    /// # Errors
    /// As the state store's; [`Kind::Corrupt`] when what was published is no snapshot.
    pub fn published_at(&self) -> Result<Option<Micros>> {
        let head = registry_head(self.shared.stores.state.as_ref())?;
        if head.size == 0 {
            return Ok(None);
        }
        let snapshot: Snapshot = serde_json::from_str(&head.line)
            .map_err(|e| Error::new(Kind::Corrupt, "the newest snapshot").caused_by(e))?;
        let time = Micros::parse(&snapshot.time);
        time.map(Some)
            .map_err(|e| Error::new(Kind::Corrupt, "the newest snapshot's time").caused_by(e))
    }

    /// Takes events that name attachments from now on, if those are in this store; without one,
    /// such events are refused. The first store stays.
    pub fn take_attachments(&self, store: Arc<Attachments>) {
        let _ = self.shared.attachments.set(store);
    }

    /// Where its attachments are.
    pub fn attachments(&self) -> Option<Arc<Attachments>> {
        self.shared.attachments.get().map(Arc::clone)
    }

    /// The books of the producers' streams.
    pub fn books(&self) -> Arc<Books> {
        Arc::clone(&self.shared.books)
    }

    /// States in the tenant's log which numbers of its streams are committed, as far as that is due
    /// today; gives how many records that took. What is left, or fails, is due again next time.
    ///
    /// # Errors
    /// As the stores'.
    pub fn state_coverage(&self, tenant: &TenantId) -> Result<usize> {
        let shared = &self.shared;
        let now = shared.env.clock.now();
        let due = coverage(&shared.books, (&shared.env, now), tenant)?;
        let mut items = Vec::with_capacity(due.len());
        let job = Job::new(due.len());
        let ticket = Ticket::slice(&job);
        for (index, own) in due.iter().enumerate() {
            let prepared = Prepared::own(tenant, own, shared.incarnation);
            items.push(Item::own(prepared, Some(ticket(index))));
        }
        drop(ticket);
        if items.is_empty() {
            return Ok(0);
        }
        self.pipeline
            .enqueue(items)
            .map_err(|_| Error::new(Kind::Unavailable, "the ledger is closing"))?;
        let outcomes = Pending(job).wait();
        Ok(outcomes.iter().filter(|o| o.receipt().is_some()).count())
    }

    /// Writes what a recovery left to be written: the first records of the new incarnation.
    fn write_outstanding(&self) -> Result<()> {
        let state = self.shared.stores.state.as_ref();
        let Some(outstanding) = recover::pending(state)? else {
            return Ok(());
        };
        let mut asked = Vec::new();
        for written in outstanding.events {
            let OutstandingEvent { tenant, event } = &written;
            let own = OwnEvent::from_bytes(event.clone().into_bytes())?;
            let prepared = Prepared::own(tenant, &own, self.shared.incarnation);
            let (ticket, pending) = Ticket::alone();
            // Its id is fixed: if we die before the row is removed, it is a repeat next time.
            let item = Item::own(prepared, Some(ticket));
            if self.pipeline.enqueue(vec![item]).is_err() {
                return Err(Error::new(Kind::Unavailable, "the ledger is closing"));
            }
            asked.push((written, pending));
        }
        let mut left = Outstanding::default();
        for (event, pending) in asked {
            match pending.wait().pop() {
                // A damaged log does not keep the others from going on; it is asked again.
                Some(Outcome::Failed(e)) if matches!(e.kind(), Kind::Corrupt | Kind::NotFound) => {
                    left.events.push(event);
                }
                Some(Outcome::Failed(e)) => return Err(Error::new(e.kind(), e.context())),
                Some(Outcome::Refused(_) | Outcome::Conflict(_)) => left.events.push(event),
                _ => {}
            }
        }
        recover::written(state, &left)
    }

    pub(crate) fn parts(&self) -> (&Shared, &Pipeline) {
        (&self.shared, &self.pipeline)
    }

    fn finish_publication(&self) -> Result<()> {
        let mut publisher = self
            .publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        publisher.finish(&self.shared.stores)
    }

    /// Commits what was submitted and stops. Dropping does the same.
    pub fn close(mut self) {
        self.pipeline.close();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.pipeline.close();
        self.shared.books.keep_all();
    }
}

/// Who the ledger is; whoever opens it first says so.
fn named(state: &dyn State, origin: &str) -> Result<Identity> {
    loop {
        if let Some((who, _)) = identity(state)? {
            return Ok(who);
        }
        let who = Identity {
            origin: origin.to_owned(),
            incarnation: 1,
            slots: 0,
        };
        match state.apply(&[put_identity(&who, Some(0))?]) {
            // Another writer opened it at the same moment.
            Err(error) if error.kind() == Kind::Conflict => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(who),
        }
    }
}

/// The log of the ledger itself: who made tenants, whoever reads and administers.
///
/// # Errors
/// None.
pub fn system_tenant() -> Result<TenantId> {
    TenantId::parse(SYSTEM_TENANT)
        .map_err(|e| Error::new(Kind::Invalid, "the system tenant's name").caused_by(e))
}
