//! Two threads: one numbers and builds, one commits; groups are acknowledged in order.
//!
//! The sequencer builds the next group while the committer waits for the disk. When a commit fails,
//! everything built on it is taken apart and built again from what is durable; an unknown outcome
//! is tried again with the same ids, and the ids answer (invariant 4). Where another writer of the
//! same ledger was faster, with a head or with the key of a person, the group that is built then
//! has its keys written first and takes its turn, so that it is next whatever the others do.
//! Nothing is acknowledged before it is durable.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use indelible_event::ids::TenantId;
use indelible_store::{Error, Kind};

use crate::group::{Asker, Group, Handed, Work};
use crate::inbox::Inbox;
use crate::log::Shared;
use crate::outcome::{Outcome, Ticket, settle_all};
use crate::sequence::Sequencer;

/// Groups between the sequencer and the disk.
const PIPELINE_DEPTH: usize = 2;
/// Work that is worth a group of its own while another is being committed. What is less waits for
/// it: it could not be durable earlier, and what arrives meanwhile shares its sync.
const GROUP_WORTH: usize = 128;
/// A tenant that has no more than one of so many parts of the queue has little in it.
const SHARES: usize = 16;
/// Attempts of an event whose commit conflicts or has an unknown outcome.
const ATTEMPTS_MAX: u32 = 5;

/// What goes to the sequencer's thread.
#[derive(Debug, Default)]
struct Mail {
    inbox: Inbox,
    done: Vec<Done>,
    closed: bool,
}

#[derive(Debug)]
enum Done {
    Committed,
    Failed(Box<Group>, Error),
    /// Built on a head that did not come to be.
    Stale(Box<Group>),
}

#[derive(Debug, Default)]
struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Condvar,
    room: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, done: Done) {
        self.lock().done.push(done);
        self.arrived.notify_one();
    }
}

/// The running pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    mailbox: Arc<Mailbox>,
    bytes_max: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts both threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (groups, committer) = sync_channel::<Group>(PIPELINE_DEPTH);
        let for_committer = (Arc::clone(shared), Arc::clone(&mailbox));
        let commit = std::thread::Builder::new()
            .name("indelible-commit".into())
            .spawn(move || commit_groups(&for_committer.0, &for_committer.1, &committer))?;
        let sequencer = Sequencer::new(Arc::clone(shared));
        let limits = shared.options.limits;
        let at_once = (limits.group_records_max, limits.group_bytes_max);
        let inbox = Arc::clone(&mailbox);
        let number = std::thread::Builder::new()
            .name("indelible-sequence".into())
            .spawn(move || {
                Run {
                    sequencer,
                    mailbox: inbox,
                    groups,
                    waiting: VecDeque::new(),
                    at_once,
                    in_flight: 0,
                    outrun: false,
                }
                .run();
            })?;
        let bytes_max = shared.options.limits.queue_bytes_max;
        Ok(Self {
            mailbox,
            bytes_max,
            threads: vec![number, commit],
        })
    }

    /// Hands items over; waits while the queue is full. Of a tenant that has little in it some are
    /// let in all the same, until it is twice as full.
    pub(crate) fn enqueue(&self, items: Vec<Handed>) -> Result<(), Vec<Handed>> {
        let bytes: usize = items.iter().map(|i| i.prepared.leaf.len()).sum();
        let mut mail = self.mailbox.lock();
        let is_full = |inbox: &Inbox| {
            let all = inbox.bytes() + bytes;
            let little = || inbox.has_little_of(&items, self.bytes_max / SHARES);
            inbox.bytes() > 0 && all > self.bytes_max && (all > 2 * self.bytes_max || !little())
        };
        while !mail.closed && is_full(&mail.inbox) {
            let room = &self.mailbox.room;
            mail = room.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        if mail.closed {
            return Err(items);
        }
        mail.inbox.push(items);
        drop(mail);
        self.mailbox.arrived.notify_one();
        Ok(())
    }

    /// Asks for a tenant's log.
    pub(crate) fn create(&self, tenant: TenantId, by: Asker, ticket: Ticket) -> Result<(), ()> {
        let mut mail = self.mailbox.lock();
        if mail.closed {
            return Err(());
        }
        mail.inbox.create(Work::Create(tenant, by, ticket));
        drop(mail);
        self.mailbox.arrived.notify_one();
        Ok(())
    }

    /// Commits everything handed over, then stops both threads.
    pub(crate) fn close(&mut self) {
        self.mailbox.lock().closed = true;
        self.mailbox.arrived.notify_one();
        self.mailbox.room.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the thread has been reported by its hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn commit_groups(shared: &Shared, mailbox: &Mailbox, groups: &Receiver<Group>) {
    let mut failed_epoch = 0;
    while let Ok(mut group) = groups.recv() {
        if group.epoch <= failed_epoch {
            mailbox.done(Done::Stale(Box::new(group)));
            continue;
        }
        // Keys first: if we die here, keys exist that nothing uses.
        let committed = shared
            .keyring
            .flush_pending()
            .and_then(|_| keys_stand(&group))
            .and_then(|()| match group.turn.take() {
                Some(turn) => turn.append(&group.commit),
                None => shared.stores.ledger.append(&group.commit),
            });
        match committed {
            Ok(()) => {
                group.acknowledge();
                mailbox.done(Done::Committed);
            }
            Err(e) => {
                failed_epoch = group.epoch;
                mailbox.done(Done::Failed(Box::new(group), e));
            }
        }
    }
}

/// Another writer may have been first with a subject's key: what was sealed under ours is sealed
/// again, whichever group it is in and however often that was built.
fn keys_stand(group: &Group) -> Result<(), Error> {
    let mut items = group.items.iter().flatten();
    if items.all(|item| item.prepared.stands()) {
        return Ok(());
    }
    let context = "another writer made the key of a data subject first";
    Err(Error::new(Kind::Conflict, context))
}

struct Run {
    sequencer: Sequencer,
    mailbox: Arc<Mailbox>,
    groups: SyncSender<Group>,
    waiting: VecDeque<Work>,
    /// Events and bytes that are taken at a time.
    at_once: (usize, usize),
    in_flight: usize,
    /// Whether another writer was faster: the next group has its keys first, and takes its turn.
    outrun: bool,
}

impl Run {
    fn run(mut self) {
        let mut failed: Vec<Done> = Vec::new();
        let mut blocked = false;
        loop {
            let least = if blocked || !failed.is_empty() {
                usize::MAX
            } else {
                self.least()
            };
            let Some(done) = self.receive(least) else {
                return;
            };
            for done in done {
                self.in_flight -= 1;
                blocked = false;
                match done {
                    Done::Committed => self.sequencer.committed(),
                    other => failed.push(other),
                }
            }
            if !failed.is_empty() {
                if self.in_flight == 0 {
                    self.rebuild(std::mem::take(&mut failed));
                }
                continue;
            }
            if self.waiting.len() < self.least() {
                continue;
            }
            let before = self.waiting.len();
            let in_turn = std::mem::take(&mut self.outrun);
            let group = self.sequencer.build(&mut self.waiting, in_turn);
            if group.commit.appends.is_empty() {
                // Nothing taken: the first waits for what is in flight.
                blocked = self.waiting.len() == before && self.in_flight > 0;
                continue;
            }
            self.in_flight += 1;
            if self.groups.send(group).is_err() {
                return;
            }
        }
    }

    /// How much has to wait for the next group to be built.
    fn least(&self) -> usize {
        match self.in_flight {
            0 => 1,
            PIPELINE_DEPTH.. => usize::MAX,
            _ => GROUP_WORTH,
        }
    }

    /// Waits for a finished group, or until `least` is waiting. `None`: all is done.
    fn receive(&mut self, least: usize) -> Option<Vec<Done>> {
        let mut mail = self.mailbox.lock();
        loop {
            let waiting = self.waiting.len() + mail.inbox.len();
            if !mail.done.is_empty() || waiting >= least {
                break;
            }
            if mail.closed && self.in_flight == 0 && waiting == 0 {
                return None;
            }
            let arrived = &self.mailbox.arrived;
            mail = arrived.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        // No more than a group's worth at a time: what comes for another tenant meanwhile does not
        // stand behind all that came for one.
        if self.waiting.len() < GROUP_WORTH && mail.inbox.take(&mut self.waiting, self.at_once) {
            self.mailbox.room.notify_all();
        }
        Some(std::mem::take(&mut mail.done))
    }

    /// Takes failed groups apart: what may go on is sequenced again, before what came later.
    fn rebuild(&mut self, failed: Vec<Done>) {
        let mut again = VecDeque::new();
        let mut settled = Vec::new();
        for done in failed {
            match done {
                Done::Committed => {}
                Done::Stale(group) => {
                    let stale = Arc::new(Error::new(Kind::Unavailable, "the commit before failed"));
                    for item in group.unwind() {
                        sort_out(item, true, &stale, &mut again, &mut settled);
                    }
                }
                Done::Failed(group, error) => {
                    self.outrun |= error.kind() == Kind::Conflict;
                    let worth = matches!(error.kind(), Kind::Conflict | Kind::UnknownOutcome);
                    let error = Arc::new(error);
                    for mut item in group.unwind() {
                        item.attempts += 1;
                        let once_more = worth && item.attempts < ATTEMPTS_MAX;
                        sort_out(item, once_more, &error, &mut again, &mut settled);
                    }
                }
            }
        }
        settle_all(settled);
        again.append(&mut self.waiting);
        self.waiting = again;
        self.sequencer.reset();
    }
}

/// An event goes back to be sequenced again, or is told that it failed; what the ledger wrote
/// itself is made anew when it is needed.
fn sort_out(
    item: Handed,
    once_more: bool,
    error: &Arc<Error>,
    again: &mut VecDeque<Work>,
    settled: &mut Vec<(Ticket, Outcome)>,
) {
    if once_more && !item.own {
        again.push_back(Work::Event(item));
    } else if let Some(ticket) = item.ticket {
        settled.push((ticket, Outcome::Failed(Arc::clone(error))));
    }
}
