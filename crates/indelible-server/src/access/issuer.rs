//! The keys of a trusted issuer as they were fetched last, and when they are fetched again.
//!
//! One thread fetches; requests never do. A token that names a key which is not there asks for
//! another fetch, at most one per [`FETCH_APART`], and its own request waits for that and for
//! nothing else. What was fetched stays until something newer is read, however long the issuer is
//! away.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use indelible_event::ids::Micros;
use tokio::sync::watch;

use super::NotInForce;
use super::jws::{KeySet, Unsigned};
use super::jwt::TrustedIssuer;
use super::principal::Principal;
use crate::cursor_key::CursorKey;
use crate::serve::Stop;

/// The least time between two fetches.
const FETCH_APART: Duration = Duration::from_secs(5);
/// How often it is looked whether a fetch is wanted.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a request waits for a fetch.
const WAIT: Duration = Duration::from_secs(10);

/// A trusted issuer with its keys.
pub(super) struct Issuer {
    trusted: TrustedIssuer,
    names_key: CursorKey,
    /// `None` before they were fetched for the first time.
    keys: RwLock<Option<Arc<KeySet>>>,
    turn: Mutex<Turn>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Turn {
    wanted: bool,
    running: bool,
    ended_at: Option<Instant>,
    failed: bool,
}

impl Issuer {
    pub(super) fn new(trusted: TrustedIssuer, names_key: CursorKey) -> Self {
        Self {
            trusted,
            names_key,
            keys: RwLock::default(),
            turn: Mutex::default(),
            ended: watch::Sender::default(),
        }
    }

    /// Who the bearer of this token is, by keys that may still have to be fetched.
    pub(super) async fn bearer(&self, token: &str, now: Micros) -> Result<Principal, NotInForce> {
        let mut ended = self.ended.subscribe();
        let found = self.principal(token, now);
        let is_missing = matches!(found, Err(NotInForce::KeyNotThere | NotInForce::NoKeysYet));
        // A fetch may have ended since the keys were looked at.
        if is_missing && (self.wants() || ended.has_changed().unwrap_or_default()) {
            let _ = tokio::time::timeout(WAIT, ended.changed()).await;
            return self.principal(token, now);
        }
        found
    }

    fn principal(&self, token: &str, now: Micros) -> Result<Principal, NotInForce> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.clone();
        let empty = Arc::default();
        let known = keys.as_ref().unwrap_or(&empty);
        let claims = known.claims(token, &self.trusted.algorithms);
        let claims = claims.map_err(|why| match (why, &keys) {
            (Unsigned::Never, _) => NotInForce::Unknown,
            (Unsigned::KeyNotThere, Some(_)) => NotInForce::KeyNotThere,
            (Unsigned::KeyNotThere, None) => NotInForce::NoKeysYet,
        })?;
        let name = |subject: &str| {
            let Self {
                trusted, names_key, ..
            } = self;
            trusted.names.of(names_key, &trusted.issuer, subject)
        };
        self.trusted.principal(&claims, now, name)
    }

    /// Whether a fetch runs or is to come at once.
    fn wants(&self) -> bool {
        let mut turn = self.turn();
        let is_soon = turn.ended_at.is_some_and(|at| at.elapsed() < FETCH_APART);
        turn.wanted |= !turn.running && !is_soon;
        turn.running || turn.wanted
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches whenever it is time to, until the server stops.
    pub(super) fn follow(&self, stop: &Stop) {
        loop {
            if self.takes_turn() {
                self.fetch();
            }
            if stop.wait(LOOK_EVERY) {
                return;
            }
        }
    }

    fn takes_turn(&self) -> bool {
        let mut turn = self.turn();
        let since = turn.ended_at.map(|at| at.elapsed());
        let apart = if turn.failed {
            FETCH_APART
        } else {
            self.trusted.refresh
        };
        let is_time = turn.wanted || since.is_none_or(|since| since >= apart.max(FETCH_APART));
        turn.running = is_time;
        turn.wanted = false;
        is_time
    }

    fn fetch(&self) {
        let read = (self.trusted.fetch)().and_then(|bytes| KeySet::read(&bytes));
        let failed = read.is_err();
        match read {
            Ok(keys) => {
                let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                *known = Some(Arc::new(keys));
            }
            Err(why) => {
                tracing::error!(
                    why,
                    "the issuer's keys could not be fetched: those known stay"
                );
            }
        }
        let mut turn = self.turn();
        *turn = Turn {
            wanted: false,
            running: false,
            ended_at: Some(Instant::now()),
            failed,
        };
        drop(turn);
        self.ended.send_modify(|count| *count += 1);
    }
}
