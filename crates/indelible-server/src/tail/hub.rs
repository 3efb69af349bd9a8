//! One reading of the ledger for all tails: every round it looks which logs have grown, searches
//! what came once per distinct query, and hands it to all that asked for that.
//!
//! Invariants: a follower gets each record of its logs that matches once, in the order of numbers,
//! or leaves; nobody is waited for. One whose queue is full leaves alone. A round rests
//! many times as long as it worked, within bounds, so that writers hardly notice.

use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use indelible_event::ids::TenantId;
use indelible_query::for_each;
use indelible_store::Result;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::app::App;
use crate::serve::Stop;
use crate::tail::place::Places;
use crate::tail::wish::Wish;

/// How long a round rests, in what it worked.
const REST_FACTOR: u32 = 60;
const REST_MAX: Duration = Duration::from_secs(1);
/// How often the tenants are looked at, and followers told how far all was read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Records of one log that one round looks at.
const ROUND_RECORDS_MAX: u64 = 100_000;

/// What a follower is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// The record with this number of a log, as it goes out.
    Record(TenantId, u64, Bytes),
    /// Records that cannot be read.
    Unreadable(Bytes),
    /// All before these numbers was read.
    Read(Arc<HashMap<TenantId, u64>>),
}

/// Why a follower is told no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It has more to take than there is room for: it is to read that by itself, and come again.
    Behind,
    /// There are other logs than before: it is to look which it follows, and come again.
    OtherLogs,
    /// The server stops.
    Stopping,
}

/// One that follows.
pub(crate) struct Follower {
    pub(crate) wish: Arc<Wish>,
    /// How many logs there were when it looked which of them it follows; `None` where those that
    /// come later are nothing to it.
    pub(crate) logs: Option<usize>,
    /// What it was told already; a log that is not there begins where the others are.
    pub(crate) places: Places,
    pub(crate) told: Sender<Told>,
    /// Said before `told` is closed.
    pub(crate) left: Arc<OnceLock<Left>>,
}

impl Follower {
    /// It is told no more, once it is no follower any longer.
    fn leave(&mut self, why: Left) {
        let _ = self.left.set(why);
    }

    /// Tells it, or says why that cannot be.
    fn tell(&mut self, told: &Told) -> std::result::Result<(), Left> {
        if let Told::Record(tenant, number, _) = told {
            if self.places.next(tenant).is_some_and(|next| *number < next) {
                return Ok(());
            }
            self.places.reach(tenant, number + 1);
        }
        match self.told.try_send(told.clone()) {
            Err(TrySendError::Full(_)) => Err(Left::Behind),
            // One that is gone is taken away with the next round.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }
}

/// Whether it follows now.
pub(crate) enum Joined {
    /// From here on.
    At(Places),
    /// It must read up to where the others are first.
    Behind,
}

struct Joining {
    follower: Follower,
    answer: oneshot::Sender<Joined>,
}

/// Where followers join.
#[derive(Default)]
pub(crate) struct Hub {
    joining: Mutex<Joins>,
}

#[derive(Default)]
struct Joins {
    waiting: Vec<Joining>,
    has_stopped: bool,
}

impl Hub {
    /// Joins; the answer comes with the next round, or never where that fails or the server stops.
    pub(crate) fn join(&self, follower: Follower) -> oneshot::Receiver<Joined> {
        let (answer, receiver) = oneshot::channel();
        let mut joins = self.joins();
        if !joins.has_stopped {
            joins.waiting.push(Joining { follower, answer });
        }
        receiver
    }

    /// Whether nobody joins any more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.joins().has_stopped
    }

    fn joins(&self) -> std::sync::MutexGuard<'_, Joins> {
        self.joining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads for all until the server stops.
pub(crate) fn run(app: &Arc<App>, stop: &Stop) {
    let mut reading = Reading::new(app);
    let mut rest = app.settings.tail_interval;
    while !stop.wait(rest) {
        let began = Instant::now();
        if let Err(error) = reading.round() {
            tracing::error!(%error, "what is new cannot be read for the tails");
        }
        let rest_max = REST_MAX.max(app.settings.tail_interval);
        rest = (began.elapsed() * REST_FACTOR).clamp(app.settings.tail_interval, rest_max);
    }
    let mut joins = app.tails.hub.joins();
    joins.has_stopped = true;
    joins.waiting.clear();
    drop(joins);
    for follower in &mut reading.followers {
        follower.leave(Left::Stopping);
    }
}

struct Reading<'a> {
    app: &'a Arc<App>,
    followers: Vec<Follower>,
    /// The next number of each log that somebody follows.
    next: HashMap<TenantId, u64>,
    looked: Instant,
}

impl<'a> Reading<'a> {
    fn new(app: &'a Arc<App>) -> Self {
        Self {
            app,
            followers: Vec::new(),
            next: HashMap::new(),
            looked: Instant::now(),
        }
    }

    fn round(&mut self) -> Result<()> {
        self.followers
            .retain(|one| one.left.get().is_none() && !one.told.is_closed());
        let joining = std::mem::take(&mut self.app.tails.hub.joins().waiting);
        if self.followers.is_empty() {
            self.next.clear();
            if joining.is_empty() {
                return Ok(());
            }
        }
        self.admit(joining)?;
        self.read()?;
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.look()?;
        }
        Ok(())
    }

    fn admit(&mut self, joining: Vec<Joining>) -> Result<()> {
        for joining in joining {
            let Joining {
                mut follower,
                answer,
            } = joining;
            let unknown = follower.wish.tenants();
            let unknown = unknown.filter(|tenant| !self.next.contains_key(*tenant));
            let unknown: Vec<TenantId> = unknown.cloned().collect();
            let heads = self.app.stores.ledger.heads(&unknown);
            for (tenant, head) in unknown.into_iter().zip(heads) {
                let size = head?.map_or(0, |head| head.frontier.size());
                self.next.insert(tenant, size);
            }
            let mut is_behind = false;
            let wish = Arc::clone(&follower.wish);
            for tenant in wish.tenants() {
                let next = self.next.get(tenant).copied().unwrap_or_default();
                match follower.places.next(tenant) {
                    Some(place) => is_behind |= place < next,
                    None => follower.places.reach(tenant, next),
                }
            }
            if is_behind {
                let _ = answer.send(Joined::Behind);
            } else if answer.send(Joined::At(follower.places.clone())).is_ok() {
                self.followers.push(follower);
            }
        }
        Ok(())
    }

    /// Reads what is new, for all.
    fn read(&mut self) -> Result<()> {
        let wishes = self.followers.iter().flat_map(|one| one.wish.tenants());
        let followed: BTreeSet<TenantId> = wishes.cloned().collect();
        self.next.retain(|tenant, _| followed.contains(tenant));
        let followed: Vec<TenantId> = followed.into_iter().collect();
        let heads = self.app.stores.ledger.heads(&followed);
        let mut news = Vec::new();
        for (tenant, head) in followed.into_iter().zip(heads) {
            let size = head?.map_or(0, |head| head.frontier.size());
            let next = self.next.get(&tenant).copied().unwrap_or_default();
            if next < size {
                news.push((tenant, next..size.min(next + ROUND_RECORDS_MAX)));
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        // Made behind the heads, so that it covers all that is before them.
        let as_of = self.app.index.mark()?;
        for (tenant, range) in news {
            for members in self.groups(&tenant) {
                self.search(&members, (&tenant, range.clone()), as_of)?;
            }
            self.next.insert(tenant, range.end);
        }
        self.followers.retain(|one| one.left.get().is_none());
        Ok(())
    }

    /// Who follows the log, by what is asked of it.
    fn groups(&self, tenant: &TenantId) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut by_wish: HashMap<*const Wish, usize> = HashMap::new();
        for (index, follower) in self.followers.iter().enumerate() {
            if follower.left.get().is_some() || !follower.wish.wants(tenant) {
                continue;
            }
            // Those that ask alike have one wish (`Tails::shared`), so that nothing is compared.
            let group = by_wish.entry(Arc::as_ptr(&follower.wish));
            let group = *group.or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(group) {
                group.push(index);
            }
        }
        groups
    }

    /// Searches once what is new of a log, and tells all members.
    fn search(
        &mut self,
        members: &[usize],
        (tenant, range): (&TenantId, Range<u64>),
        as_of: u64,
    ) -> Result<()> {
        let Some(first) = members.first().and_then(|first| self.followers.get(*first)) else {
            return Ok(());
        };
        let (app, wish) = (self.app, Arc::clone(&first.wish));
        let query = wish.within(tenant, range.clone(), as_of);
        let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
        let mut telling: Vec<usize> = members.to_vec();
        let mut behind: Vec<usize> = Vec::new();
        for_each(index, ledger, &query, None, &mut |seen| {
            match wish.told(app, seen, tenant, &range) {
                Ok(None) => {}
                Ok(Some(told)) => telling.retain(|index| {
                    let follower = self.followers.get_mut(*index);
                    let is_told = follower.is_none_or(|one| one.tell(&told).is_ok());
                    if !is_told {
                        behind.push(*index);
                    }
                    is_told
                }),
                // No memory for it now: nobody may miss it, so each comes for it by itself.
                Err(_) => behind.append(&mut telling),
            }
            if telling.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        for index in behind {
            if let Some(follower) = self.followers.get_mut(index) {
                follower.leave(Left::Behind);
            }
        }
        Ok(())
    }

    /// Looks whether there are other logs, and says how far all was read.
    fn look(&mut self) -> Result<()> {
        let logs = self.app.stores.ledger.tenants()?.len();
        let read = Told::Read(Arc::new(self.next.clone()));
        for follower in &mut self.followers {
            if follower.logs.is_some_and(|known| known != logs) {
                follower.leave(Left::OtherLogs);
            } else {
                // Who has no room for it has more to read first.
                let _ = follower.tell(&read);
            }
        }
        self.followers.retain(|one| one.left.get().is_none());
        Ok(())
    }
}
