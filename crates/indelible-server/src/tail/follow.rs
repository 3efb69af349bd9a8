//! One tail, from its first event to its end: reads up to where the others are, page by page and
//! as fast as its reader takes it, and follows with them from there.
//!
//! Who it is by is asked again every second, and what it follows whenever there are other logs.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indelible_api::limits::PAGE_LOOKED_AT_MAX;
use indelible_api::tail::{END, HEARTBEAT, OPEN, RECORD, UNREADABLE};
use indelible_api::{ProblemKind, TailEnd, TailOpen, TailReason};
use indelible_event::ids::TenantId;
use indelible_query::{PageLimit, Seen, page};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::access::Principal;
use crate::accesses::{Done, Shown, What};
use crate::answer::{Refusal, written};
use crate::app::App;
use crate::guard::{Asker, Needs, allow, still};
use crate::read::blocking;
use crate::stream::GoesOn;
use crate::tail::Seat;
use crate::tail::hub::{Follower, Joined, Left, Told};
use crate::tail::place::{Name, Places};
use crate::tail::wire::{Kept, Unsaid, Wire};
use crate::tail::wish::{Wanted, Wish};

/// How often it is asked who it is by.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long one that reads what came before waits where there is no room.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(500);
/// What is read at a time of what came before: records, and bytes.
const PAGE_RECORDS: usize = 256;
const PAGE_BYTES: usize = 128 << 10;

/// One that follows.
pub(crate) struct Following {
    pub(crate) app: Arc<App>,
    pub(crate) asker: Asker,
    pub(crate) principal: Principal,
    pub(crate) wanted: Wanted,
    pub(crate) name: Name,
    /// What was told; `None` before it is known where it begins.
    pub(crate) places: Option<Places>,
    pub(crate) wish: Option<Arc<Wish>>,
    /// What was told and is not noted yet.
    pub(crate) seen: Shown,
    /// How many logs there were when it looked, where it follows those that come later.
    pub(crate) logs: Option<usize>,
    pub(crate) goes_on: GoesOn,
    pub(crate) _seat: Seat,
}

/// Why it is over.
enum Over {
    Gone,
    Ends(TailReason, String),
}

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Self {
        Self::Ends(TailReason::Failed, refusal.0.detail)
    }
}

impl Following {
    /// Looks what there is to follow.
    pub(crate) async fn look(&mut self) -> Result<(), Refusal> {
        let (principal, wanted) = (self.principal.clone(), self.wanted.clone());
        let now = self.app.env.clock.now();
        let (logs, wish) = blocking(&self.app, move |app| {
            // Counted first: one that comes meanwhile is looked at again.
            let logs = app.stores.ledger.tenants()?.len();
            Ok((logs, Wish::of(app, &principal, &wanted, now)?))
        })
        .await?;
        self.logs = self.wanted.tenant.is_none().then_some(logs);
        if let Some(places) = &mut self.places {
            let followed: Vec<TenantId> = wish.tenants().cloned().collect();
            places.follow(&followed);
        }
        self.wish = Some(self.app.tails.shared(wish));
        Ok(())
    }

    /// Notes that somebody follows.
    pub(crate) fn note_opened(&self) {
        let tenants: Vec<TenantId> = match &self.wish {
            Some(wish) => wish.tenants().cloned().collect(),
            None => Vec::new(),
        };
        let (seen, now) = (Shown::of(&tenants), self.app.env.clock.now());
        let accesses = &self.app.accesses;
        accesses.note(&self.principal, self.done(), &seen, now);
    }

    /// Notes what was told since.
    fn note_told(&mut self) {
        let mut seen = std::mem::take(&mut self.seen);
        let now = self.app.env.clock.now();
        let accesses = &self.app.accesses;
        accesses.more(&self.principal, self.done(), &mut seen, now);
    }

    fn done(&self) -> Done<'_> {
        (What::Read, "/v1/tail", self.wanted.q.as_str())
    }

    /// Tells it all, until it is over.
    pub(crate) async fn run(mut self, mut wire: Wire) {
        let Err(over) = self.tell(&mut wire).await;
        self.note_told();
        self.goes_on.ends();
        let Over::Ends(reason, detail) = over else {
            return;
        };
        let cursor = self.cursor().unwrap_or_default();
        let next_cursor = reason.may_go_on().then(|| cursor.clone());
        let end = TailEnd {
            reason,
            detail,
            next_cursor: next_cursor.filter(|cursor| !cursor.is_empty()),
        };
        let data = serde_json::to_vec(&end).unwrap_or_default();
        let said = wire.say(END, &cursor, &data).await;
        if said.is_ok() {
            wire.end(reason).await;
        }
    }

    async fn tell(&mut self, wire: &mut Wire) -> Result<Infallible, Over> {
        let mut has_begun = self.places.is_some();
        if has_begun {
            self.begin(wire).await?;
        }
        loop {
            let (told, left) = self.join(wire).await?;
            if !has_begun {
                has_begun = true;
                self.begin(wire).await?;
            }
            self.follow(told, wire).await?;
            match left.get() {
                Some(Left::OtherLogs) => self.look_again().await?,
                Some(Left::Behind) => {}
                Some(Left::Stopping) | None => return Err(stopping()),
            }
        }
    }

    async fn begin(&mut self, wire: &mut Wire) -> Result<(), Over> {
        let unsearched = self.wish.as_ref().map(|wish| wish.unsearched.clone());
        let unsearched = unsearched.unwrap_or_default();
        let open = written(&TailOpen { unsearched })?;
        self.say_at(self.places.clone(), (OPEN, &open), wire).await
    }

    /// Says an event that leads to these places, and stands there once it is taken.
    async fn say_at(
        &mut self,
        places: Option<Places>,
        (event, data): (&str, &[u8]),
        wire: &mut Wire,
    ) -> Result<(), Over> {
        let before = std::mem::replace(&mut self.places, places);
        let cursor = self.cursor()?;
        let patience = self.app.memory.pause(self.app.settings.tail_patience);
        match wire.say_within(patience, (event, &cursor), data).await {
            Ok(()) => Ok(()),
            Err(Unsaid::Gone) => Err(Over::Gone),
            Err(Unsaid::Stalled(kept)) => {
                if kept == Kept::Dropped {
                    self.places = before;
                }
                self.app.metrics.tail_too_slow();
                let text = "what was said is not taken: go on from next_cursor";
                Err(Over::Ends(TailReason::TooSlow, text.to_owned()))
            }
        }
    }

    fn cursor(&self) -> Result<String, Refusal> {
        let places = self.places.as_ref();
        places.map_or_else(
            || Ok(String::new()),
            |places| places.cursor(&self.app.cursor_key, &self.name),
        )
    }

    /// Reads what the others had before, until it stands where they do.
    async fn join(
        &mut self,
        wire: &mut Wire,
    ) -> Result<(Receiver<Told>, Arc<OnceLock<Left>>), Over> {
        loop {
            self.ask_again().await?;
            let wish = self.wish.clone().ok_or_else(stopping)?;
            let (sender, told) = channel(self.app.settings.tail_queue_records);
            let left = Arc::new(OnceLock::new());
            let joined = self.app.tails.hub.join(Follower {
                wish: Arc::clone(&wish),
                logs: self.logs,
                places: self.places.clone().unwrap_or_default(),
                told: sender,
                left: Arc::clone(&left),
            });
            let joined = tokio::select! {
                joined = joined => joined.map_err(|_| self.left_out())?,
                () = wire.gone() => return Err(Over::Gone),
            };
            match joined {
                Joined::At(places) => {
                    self.places = Some(places);
                    return Ok((told, left));
                }
                Joined::Behind => {
                    let tenants: Vec<TenantId> = wish.tenants().cloned().collect();
                    for tenant in tenants {
                        self.read(&wish, &tenant, wire).await?;
                    }
                }
            }
        }
    }

    /// Reads a log to its end.
    async fn read(
        &mut self,
        wish: &Arc<Wish>,
        tenant: &TenantId,
        wire: &mut Wire,
    ) -> Result<(), Over> {
        let mut asked = Instant::now();
        loop {
            if asked.elapsed() >= ASKED_EVERY {
                asked = Instant::now();
                self.ask_again().await?;
            }
            let from = self.places.as_ref().and_then(|places| places.next(tenant));
            let from = from.unwrap_or_default();
            let (log, sought) = (tenant.clone(), Arc::clone(wish));
            let read = blocking(&self.app, move |app| before(app, &sought, &log, from)).await;
            let (all, next) = match read {
                Ok(read) => read,
                Err(Refusal(problem)) if problem.kind() == Some(ProblemKind::Overloaded) => {
                    tokio::time::sleep(NO_ROOM_PAUSE).await;
                    continue;
                }
                Err(refusal) => return Err(refusal.into()),
            };
            for told in all {
                self.say(told, wire).await?;
            }
            if let Some(places) = &mut self.places {
                places.reach(tenant, next.at);
            }
            if next.is_end {
                return Ok(());
            }
        }
    }

    /// Follows with the others until they tell it no more.
    async fn follow(&mut self, mut told: Receiver<Told>, wire: &mut Wire) -> Result<(), Over> {
        let mut asking = interval(ASKED_EVERY);
        asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = Instant::now();
        loop {
            let next = tokio::select! {
                biased;
                _ = asking.tick() => {
                    if self.ask_again().await? {
                        return Ok(());
                    }
                    if said.elapsed() >= self.app.settings.tail_heartbeat {
                        said = Instant::now();
                        let places = self.places.clone();
                        self.say_at(places, (HEARTBEAT, b"{}"), wire).await?;
                    }
                    continue;
                }
                next = told.recv() => next,
                () = wire.gone() => return Err(Over::Gone),
            };
            let Some(next) = next else {
                return Ok(());
            };
            if self.say(next, wire).await? {
                said = Instant::now();
            }
        }
    }

    /// Says what was told; whether there was something to say.
    async fn say(&mut self, told: Told, wire: &mut Wire) -> Result<bool, Over> {
        let mut places = self.places.clone().unwrap_or_default();
        match told {
            Told::Record(tenant, number, record) => {
                places.reach(&tenant, number + 1);
                self.say_at(Some(places), (RECORD, &record), wire).await?;
                self.seen.add(&tenant, 1);
            }
            Told::Unreadable(said) => {
                self.say_at(Some(places), (UNREADABLE, &said), wire).await?;
            }
            Told::Read(all) => {
                let own = self.wish.iter().flat_map(|wish| wish.tenants());
                for tenant in own {
                    if let Some(next) = all.get(tenant) {
                        places.reach(tenant, *next);
                    }
                }
                self.places = Some(places);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks who it is by now; whether that is somebody who sees something else.
    async fn ask_again(&mut self) -> Result<bool, Over> {
        self.note_told();
        let now = still(&self.asker, &self.app).await;
        let now = now.and_then(|now| allow(Some(&now), Needs::Read).cloned());
        let now = now.map_err(|Refusal(problem)| {
            let reason = if problem.status == 503 {
                TailReason::Failed
            } else {
                TailReason::NotInForce
            };
            Over::Ends(reason, problem.detail)
        })?;
        if now == self.principal {
            return Ok(false);
        }
        self.principal = now;
        self.look_again().await?;
        Ok(true)
    }

    /// Why nobody has answered.
    fn left_out(&self) -> Over {
        if self.app.tails.hub.has_stopped() {
            return stopping();
        }
        let text = "the ledger cannot be read now: go on from next_cursor";
        Over::Ends(TailReason::Failed, text.to_owned())
    }

    async fn look_again(&mut self) -> Result<(), Over> {
        loop {
            match self.look().await {
                Err(Refusal(problem)) if problem.kind() == Some(ProblemKind::Overloaded) => {
                    tokio::time::sleep(NO_ROOM_PAUSE).await;
                }
                looked => return Ok(looked?),
            }
        }
    }
}

/// Also where it ends otherwise than in [`Following::run`].
impl Drop for Following {
    fn drop(&mut self) {
        self.goes_on.ends();
    }
}

fn stopping() -> Over {
    let text = "the server is stopping: go on from next_cursor";
    Over::Ends(TailReason::Stopping, text.to_owned())
}

/// Where reading goes on.
struct Next {
    at: u64,
    is_end: bool,
}

/// What stands in a log from a number on, a page of it.
fn before(
    app: &App,
    wish: &Wish,
    tenant: &TenantId,
    from: u64,
) -> Result<(Vec<Told>, Next), Refusal> {
    let head = app.stores.ledger.head(tenant)?;
    let size = head.map_or(0, |head| head.frontier.size());
    let (at, is_end) = (from.max(size), true);
    if from >= size {
        return Ok((Vec::new(), Next { at, is_end }));
    }
    let query = wish.within(tenant, from..size, app.index.mark()?);
    let limit = PageLimit {
        records: PAGE_RECORDS,
        bytes: PAGE_BYTES,
        looked_at: PAGE_LOOKED_AT_MAX,
    };
    let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
    let page = page(index, ledger, &query, None, limit)?;
    let next = match page.next {
        Some(place) => Next {
            at: place.sequence_number + 1,
            is_end: false,
        },
        None => Next { at, is_end },
    };
    let read = from..next.at;
    let damaged = page.damaged.into_iter().map(Seen::Damaged);
    let seen = damaged.chain(page.rows.into_iter().map(Seen::Row));
    let told = seen.filter_map(|seen| wish.told(app, seen, tenant, &read).transpose());
    Ok((told.collect::<Result<_, _>>()?, next))
}
