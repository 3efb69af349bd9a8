//! A relay's work, turn by turn: take rows, number them durably, send them, settle them.
//!
//! If we die before the numbers are durable, nothing was sent. If we die after, the next relay
//! finds the numbers and sends the same bytes under them. If we die when the ledger has the rows
//! and they are not deleted yet, it answers the next with the receipts it gave. Invariant: what is
//! numbered is settled before newer rows of its tenant are sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use indelible_emit::{Delays, Surroundings, Transport};
use indelible_event::{AuditId, Problem, StreamClaim, TenantId};
use indelible_store::{Error, Result};

use crate::claims::{Claims, Said, Speaker, ready};
use crate::metrics::Standing;
use crate::options::Options;
use crate::session::{Address, Session};
use crate::shared::Shared;
use crate::table::{self, Bounds, Stored};

mod settle;

/// How often the figures of the tables are read.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the lock is tried that another has.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);
/// After so many failures in a row one that works once gives up.
const ONCE_FAILURES_MAX: u32 = 5;

/// What runs on the relay's thread.
pub(crate) struct Worker<T> {
    options: Options,
    address: Address,
    transport: T,
    shared: Arc<Shared>,
    surroundings: Arc<dyn Surroundings>,
    speaker: Speaker,
    session: Option<Session>,
    /// The epoch that is worked in, while the session has the lock.
    claims: Option<Claims>,
    /// Rows that were numbered in this session, and that certainly reached nobody.
    unsent: HashSet<i64>,
    held: HashMap<String, Held>,
    delays: Delays,
    failures: u32,
    /// Nothing is sent before this.
    not_before: Duration,
    measured: Option<Duration>,
}

/// A tenant of which nothing is sent for a while.
struct Held {
    until: Duration,
    delays: Delays,
}

/// A row under way.
struct Row {
    place: i64,
    tenant: TenantId,
    audit_id: AuditId,
    /// None of a statement.
    claim: Option<StreamClaim>,
    event: std::result::Result<Vec<u8>, Vec<Problem>>,
}

/// What follows a turn.
enum Next {
    AtOnce,
    After(Duration),
    End,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(
        options: Options,
        address: Address,
        transport: T,
        surroundings: Arc<dyn Surroundings>,
        shared: Arc<Shared>,
    ) -> Self {
        let mut worker = Self {
            speaker: Speaker(Arc::clone(&surroundings)),
            delays: options.retry.delays(0),
            options,
            address,
            transport,
            shared,
            surroundings,
            session: None,
            claims: None,
            unsent: HashSet::new(),
            held: HashMap::new(),
            failures: 0,
            not_before: Duration::ZERO,
            measured: None,
        };
        worker.delays = worker.fresh_delays();
        worker
    }

    /// Works until it is to stop.
    pub(crate) fn run(mut self) {
        while !self.shared.is_stopping() {
            match self.turn() {
                Ok(Next::AtOnce) => {}
                Ok(Next::After(delay)) => self.shared.pause(delay),
                Ok(Next::End) => break,
                Err(error) => {
                    if self.lose_session(&error) {
                        break;
                    }
                }
            }
        }
        if self.claims.is_some()
            && let Err(error) = self.conclude()
        {
            // What was not said is said by the next relay, of this epoch.
            self.trouble(Some(error.to_string()));
        }
        self.transport.finish();
    }

    fn turn(&mut self) -> Result<Next> {
        if self.session.is_none() {
            self.session = Some(self.address.connect(self.options.stall_timeout)?);
            self.measured = None;
        }
        if self.claims.is_none() && !self.take_over()? {
            self.measure()?;
            self.shared
                .note(|metrics| metrics.standing = Standing::StandingBy);
            return Ok(self.stand_by());
        }
        self.measure()?;
        let now = self.surroundings.elapsed();
        if now < self.not_before {
            let left = self.not_before.saturating_sub(now);
            return Ok(Next::After(left.min(MEASURE_INTERVAL)));
        }
        let rows = self.collect(now, true)?;
        if rows.is_empty() {
            self.transport.rest();
            self.forget_trouble(now);
            return Ok(self.idle(now));
        }
        self.send(&rows)?;
        self.transport.rest();
        let gives_up = self.options.once && self.failures >= ONCE_FAILURES_MAX;
        Ok(if gives_up { Next::End } else { Next::AtOnce })
    }

    /// What to do while another works.
    fn stand_by(&mut self) -> Next {
        if !self.options.once {
            return Next::After(LOCK_INTERVAL);
        }
        self.failures += 1;
        if self.failures < ONCE_FAILURES_MAX {
            return Next::After(LOCK_INTERVAL);
        }
        self.trouble(Some("another relay works on the outbox".to_owned()));
        Next::End
    }

    /// Nothing waits of those that were held back, nor of anybody: somebody removed it, perhaps.
    fn forget_trouble(&mut self, now: Duration) {
        self.held.retain(|_, held| held.until > now);
        if self.held.is_empty() {
            self.failures = 0;
            self.trouble(None);
        }
    }

    /// What to do when nothing is due.
    fn idle(&self, now: Duration) -> Next {
        if self.options.once {
            return Next::End;
        }
        let until = self
            .held
            .values()
            .map(|held| held.until.saturating_sub(now));
        Next::After(until.fold(self.options.interval, Duration::min))
    }

    /// Takes the lock and begins an epoch, after saying how far the one before it went; whether
    /// the lock was to be had.
    fn take_over(&mut self) -> Result<bool> {
        let session = session(self.session.as_ref())?;
        if !session.run(table::try_lock)? {
            return Ok(false);
        }
        let now_ms = u64::try_from(self.surroundings.now().0 / 1_000).unwrap_or(0);
        let mut random = [0; 4];
        self.surroundings.fill(&mut random);
        let speaker = &self.speaker;
        let claims = session.transaction(async |client| {
            let (id, epoch) = if let Some((id, before)) = table::stream(client).await? {
                let numbers = table::numbers(client).await?;
                let ended: Vec<_> = numbers
                    .iter()
                    .map(|(tenant, next)| speaker.ended(tenant, (&id, before), *next))
                    .collect();
                table::say(client, &ended).await?;
                (id, now_ms.max(before + 1))
            } else {
                let database = table::database(client).await?;
                let random = u32::from_le_bytes(random);
                (format!("outbox-{database}-{random:08x}"), now_ms)
            };
            table::begin(client, &id, epoch).await?;
            Ok(Claims::new(id, epoch))
        })?;
        self.claims = Some(claims);
        self.unsent.clear();
        self.failures = 0;
        self.trouble(None);
        self.shared
            .note(|metrics| metrics.standing = Standing::Working);
        Ok(true)
    }

    /// The next rows to be sent: those that have their numbers, and, if they are all that have, as
    /// many new ones as there is room for.
    fn collect(&mut self, now: Duration, new: bool) -> Result<Vec<Row>> {
        let held = self.held.iter().filter(|(_, held)| held.until > now);
        let held: Vec<_> = held.map(|(tenant, _)| tenant.clone()).collect();
        let bounds = Bounds {
            held: &held,
            rows_max: i64::from(self.options.rows_max),
            bytes_max: i64::from(self.options.bytes_max),
        };
        let session = session(self.session.as_ref())?;
        let mut stored = session.run(async |client| table::numbered(client, bounds).await)?;
        let bytes: usize = stored.iter().map(|row| row.event.len()).sum();
        let left = Bounds {
            rows_max: bounds.rows_max - i64::try_from(stored.len()).unwrap_or(bounds.rows_max),
            bytes_max: bounds.bytes_max - i64::try_from(bytes).unwrap_or(bounds.bytes_max),
            ..bounds
        };
        if new && left.rows_max > 0 && left.bytes_max > 0 {
            let waiting = session.run(async |client| table::waiting(client, left).await)?;
            stored.extend(self.number(waiting)?);
        }
        let id = self.claims.as_ref().map_or("", |claims| &claims.id);
        Ok(stored.into_iter().map(|row| under_way(row, id)).collect())
    }

    /// Gives rows their numbers, which are durable when this returns.
    fn number(&mut self, mut rows: Vec<Stored>) -> Result<Vec<Stored>> {
        let Some(claims) = self.claims.as_mut().filter(|_| !rows.is_empty()) else {
            return Ok(rows);
        };
        let (mut given, mut next, mut opened) = (Vec::new(), HashMap::new(), Vec::new());
        for row in &mut rows {
            let claim = claims.take(&row.tenant);
            if claim.number == 0 {
                let epoch = (claim.id.as_str(), claim.epoch);
                opened.push(self.speaker.opened(row.tenant.as_str(), epoch));
            }
            given.push((row.place, claim.number));
            next.insert(row.tenant.as_str().to_owned(), claims.next(&row.tenant));
            (row.epoch, row.number) = (Some(claim.epoch), Some(claim.number));
        }
        let (epoch, next): (_, Vec<_>) = (claims.epoch, next.into_iter().collect());
        session(self.session.as_ref())?.transaction(async |client| {
            table::number(client, epoch, &given, &next).await?;
            table::say(client, &opened).await
        })?;
        self.unsent.extend(given.iter().map(|(place, _)| *place));
        Ok(rows)
    }

    /// Says that no numbers of the epoch will follow, and sends what is under way and that.
    fn conclude(&mut self) -> Result<()> {
        let Some(claims) = &self.claims else {
            return Ok(());
        };
        let speaker = &self.speaker;
        let epoch = (claims.id.as_str(), claims.epoch);
        session(self.session.as_ref())?.transaction(async |client| {
            let numbers = table::numbers(client).await?;
            let ended: Vec<Said> = numbers
                .iter()
                .map(|(tenant, next)| speaker.ended(tenant, epoch, *next))
                .collect();
            table::say(client, &ended).await?;
            table::forget_numbers(client).await
        })?;
        // Each time something is settled, held back, or fails.
        while self.failures == 0 {
            let rows = self.collect(self.surroundings.elapsed(), false)?;
            if rows.is_empty() {
                break;
            }
            self.send(&rows)?;
        }
        self.measured = None;
        self.measure()
    }

    /// Reads the figures of the tables, if they are old.
    fn measure(&mut self) -> Result<()> {
        let now = self.surroundings.elapsed();
        if self
            .measured
            .is_some_and(|at| now.saturating_sub(at) < MEASURE_INTERVAL)
        {
            return Ok(());
        }
        let figures = session(self.session.as_ref())?.run(table::figures)?;
        self.measured = Some(now);
        self.shared.note(|metrics| {
            metrics.waiting = figures.waiting;
            metrics.oldest = figures.oldest;
            metrics.put_aside = figures.refused;
        });
        Ok(())
    }

    /// Gives up a session after an error, and waits before the next; whether to give up for good.
    fn lose_session(&mut self, error: &Error) -> bool {
        (self.session, self.claims) = (None, None);
        self.shared.note(|metrics| {
            metrics.standing = Standing::Away;
            metrics.database_failures += 1;
        });
        self.trouble(Some(error.to_string()));
        self.failures += 1;
        if self.options.once && self.failures >= ONCE_FAILURES_MAX {
            return true;
        }
        let delay = self.delays.next(None);
        self.shared.pause(delay);
        false
    }

    fn trouble(&self, trouble: Option<String>) {
        let trouble = trouble.map(Into::into);
        self.shared.note(|metrics| metrics.trouble = trouble);
    }

    fn fresh_delays(&self) -> Delays {
        let mut seed = [0; 8];
        self.surroundings.fill(&mut seed);
        self.options.retry.delays(u64::from_le_bytes(seed))
    }
}

/// The session, which is there while a turn lasts.
fn session(session: Option<&Session>) -> Result<&Session> {
    let gone = || Error::new(indelible_store::Kind::Unavailable, "the session is gone");
    session.ok_or_else(gone)
}

fn under_way(row: Stored, id: &str) -> Row {
    let claim = row
        .epoch
        .zip(row.number)
        .map(|(epoch, number)| StreamClaim {
            epoch,
            id: id.to_owned(),
            number,
        });
    Row {
        event: ready(&row.event, row.audit_id, &row.tenant),
        place: row.place,
        tenant: row.tenant,
        audit_id: row.audit_id,
        claim,
    }
}
