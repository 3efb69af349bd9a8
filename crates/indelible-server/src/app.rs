//! What the server stands on, and what its parts share.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use indelible_api::{InForce, Rates};
use indelible_event::Mode;
use indelible_event::catalogue::NATIVE;
use indelible_event::ids::TenantId;
use indelible_log::attachments::Attachments;
use indelible_log::policy::SealingPolicy;
use indelible_log::streams::Books;
use indelible_log::verify::Anchors;
use indelible_log::{Admission, Env, Keyring, Log, Stores};
use indelible_proof::note::VerifierKey;
use indelible_store::{Index, Result};

use crate::access::{Access, Principal, Trusted};
use crate::accesses::Accesses;
use crate::attended::Attended;
use crate::budget::Memory;
use crate::configuration::{self, Configuration};
use crate::cursor_key::CursorKey;
use crate::exports::{ExportPlace, Jobs};
use crate::feed::Feed;
use crate::intake::Intake;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::seldom::Seldom;
use crate::settings::Settings;
use crate::tail::Tails;
use crate::tls::{PemSource, Tls};
use crate::turns::Turns;
use crate::verifier::Verdicts;
use crate::waiting::Waiting;

/// What the command brings: a writer over stores, and what surrounds it.
pub struct Parts {
    /// The writer; the server closes it when it stops.
    pub log: Log,
    /// Its stores.
    pub stores: Stores,
    /// The index over its records.
    pub index: Arc<dyn Index>,
    /// The keys of data subjects.
    pub keyring: Arc<Keyring>,
    /// Time and randomness.
    pub env: Env,
    /// Whether other servers write to the same ledger.
    pub shared: bool,
    /// What the ledger stands on, where that is worth saying.
    pub stands_on: Option<String>,
    /// Who else than keys says who somebody is.
    pub trusted: Trusted,
    /// What somebody has set of the server, without secrets: recorded when it is another than
    /// the last time.
    pub configuration: Configuration,
    /// Every setting, for admins to see.
    pub in_force: InForce,
    /// The certificate to speak TLS with; without, HTTP is plain.
    pub tls: Option<PemSource>,
    /// Where exports are kept.
    pub exports: ExportPlace,
    /// What the verifier trusts; asked before each pass.
    pub anchors: Arc<dyn Fn() -> Anchors + Send + Sync>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

/// What handlers share.
pub(crate) struct App {
    pub(crate) stores: Stores,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) env: Env,
    pub(crate) settings: Settings,
    /// Whether other servers write to the same ledger.
    pub(crate) shared: bool,
    /// What the ledger stands on, where that is worth saying.
    pub(crate) stands_on: Option<String>,
    pub(crate) tls: Option<Tls>,
    /// Every setting, for admins to see.
    pub(crate) in_force: InForce,
    pub(crate) access: Access,
    /// How much each key and tenant has asked for.
    pub(crate) limits: Limits,
    /// Who read what, as far as it is not written yet.
    pub(crate) accesses: Accesses,
    /// Exports that are written to files.
    pub(crate) exports: Jobs,
    pub(crate) feed: Feed,
    pub(crate) books: Arc<Books>,
    /// Where attachments are kept, if the ledger keeps them.
    pub(crate) attachments: Option<Arc<Attachments>>,
    /// Our own key, under which proofs are checked before they are given.
    pub(crate) key: Option<VerifierKey>,
    pub(crate) intake: Intake,
    pub(crate) memory: Memory,
    /// Connections that may have to give way.
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) batches: Arc<Turns>,
    pub(crate) reads: Arc<Turns>,
    pub(crate) tails: Tails,
    pub(crate) cursor_key: CursorKey,
    /// Lines of telemetry about requests by nobody.
    pub(crate) refused_lines: Seldom,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) verdicts: Arc<Verdicts>,
    /// Tenants that are known to have a log.
    known: RwLock<HashSet<TenantId>>,
    open_admission: Arc<Admission>,
}

impl App {
    pub(crate) fn new(
        parts: Parts,
        settings: Settings,
    ) -> Result<(Self, Arc<dyn Fn() -> Anchors + Send + Sync>)> {
        let metrics = Arc::new(Metrics::default());
        let cursor_key = CursorKey::load(parts.stores.state.as_ref(), &parts.env)?;
        let state = parts.stores.state.as_ref();
        configuration::record(state, &parts.env, &parts.configuration)?;
        let access = Access::load(Arc::clone(&parts.stores.state))?;
        let access = access.trusting(parts.trusted, &cursor_key);
        let key = (parts.anchors)().key;
        let books = parts.log.books();
        let attachments = parts.log.attachments();
        let feed = Feed::new(parts.log, Arc::clone(&metrics), parts.env.clone());
        let intake = Intake::start(feed.clone())?;
        let app = Self {
            tls: parts.tls.map(Tls::load).transpose()?,
            in_force: parts.in_force,
            access,
            limits: Limits::new(settings.limits.clone()),
            accesses: Accesses::default(),
            exports: Jobs::load(parts.exports)?,
            cursor_key,
            refused_lines: Seldom::new(),
            intake,
            feed,
            books,
            attachments,
            key,
            memory: Memory::new(&settings, &metrics),
            tails: Tails::new(&settings),
            waiting: Arc::default(),
            // Those who wait are bounded by the memory of their bodies.
            batches: Turns::new(settings.batches_max, usize::MAX),
            reads: Turns::new(settings.reads_max, settings.reads_waiting_max),
            metrics,
            verdicts: Arc::default(),
            known: RwLock::default(),
            open_admission: admission(None, &settings.sealing),
            stores: parts.stores,
            index: Arc::new(Attended(parts.index)),
            keyring: parts.keyring,
            env: parts.env,
            shared: parts.shared,
            stands_on: parts.stands_on,
            settings,
        };
        Ok((app, parts.anchors))
    }

    /// How events of this principal are taken.
    pub(crate) fn admission(&self, principal: &Principal) -> Arc<Admission> {
        match principal.submitter() {
            None => Arc::clone(&self.open_admission),
            submitter => admission(submitter, &self.settings.sealing),
        }
    }

    /// Whether the tenant has a log.
    pub(crate) fn has_tenant(&self, tenant: &TenantId) -> Result<bool> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(tenant) {
            return Ok(true);
        }
        drop(known);
        let there = self.stores.ledger.head(tenant)?.is_some();
        if there {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(tenant.clone());
        }
        Ok(there)
    }

    /// How much the principal may ask for in a second.
    pub(crate) fn rates(&self, principal: &Principal) -> Rates {
        self.limits.rates_of(self.access.rates(principal).as_ref())
    }

    /// Whether the tenant has a log of which the principal sees anything.
    pub(crate) fn is_there(&self, principal: &Principal, tenant: &TenantId) -> Result<bool> {
        let sees_some = principal.may_see(tenant) || principal.sees_part_of(tenant);
        Ok(sees_some && self.has_tenant(tenant)?)
    }

    /// The tenants that have a log and that the principal may see, by name.
    pub(crate) fn visible(&self, principal: &Principal) -> Result<Vec<TenantId>> {
        let mut tenants = self.stores.ledger.tenants()?;
        tenants.retain(|tenant| principal.may_see(tenant));
        Ok(tenants)
    }
}

fn admission(submitted_by: Option<String>, sealing: &Arc<SealingPolicy>) -> Arc<Admission> {
    Arc::new(Admission {
        mode: Mode::Strict,
        catalogue: &NATIVE,
        dialect: None,
        submitted_by,
        via: Some("http".to_owned()),
        sealing: Arc::clone(sealing),
    })
}
