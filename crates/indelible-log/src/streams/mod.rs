//! What the ledger knows of its producers' streams: a book per log, brought up to date by reading
//! the log from where the book ends.
//!
//! Nothing of this is on the path of a commit: a book follows. It is asked when a producer declares
//! numbers lost, when somebody wants to see the streams, and for the coverage that the ledger
//! states itself. A book that is damaged, missing or of another log is made anew.
//! Source: `spec/stream.md`.

mod book;
mod coverage;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_event::TenantId;
use indelible_proof::finding::Span;
use indelible_proof::stream::{Figures, StreamVerdict};
use indelible_store::{Change, Error, Head, Kind, Result};

use crate::log::Stores;
use book::{Book, Turn};

pub(crate) use coverage::coverage;

/// Space of the books in the state store, keyed by tenant.
const SPACE: &str = "streams";
/// What is read of a log at a time, so that others who ask are not kept waiting.
const TURN: Turn = Turn {
    records: 1_024,
    bytes: 1 << 20,
};
/// Turns that a producer's statement waits for at most.
const STATEMENT_TURNS: u32 = 16;
/// Records that a book moves on before it is kept again.
const UNKEPT_RECORDS_MAX: u64 = 65_536;
/// Records that are not worth keeping a book for when it leaves memory: they are counted again.
const UNKEPT_RECORDS_LEFT: u64 = 64;
/// Books in memory; when there are more, the half that was not asked for lately leaves.
const HELD_MAX: usize = 256;
/// Bytes of books in memory, as far as there is more than one.
const HELD_BYTES_MAX: usize = 32 << 20;

/// The books of a ledger's logs.
#[derive(Debug)]
pub struct Books {
    stores: Stores,
    /// Those in memory, the one that was asked for last first.
    held: Mutex<VecDeque<Held>>,
}

/// A book in memory.
#[derive(Debug)]
struct Held {
    tenant: TenantId,
    book: Book,
    /// Its `next` when it was last kept in the state store.
    kept: u64,
}

/// A stream, or the records without a claim, as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The verdict.
    pub verdict: StreamVerdict,
    /// The credentials that spoke for it, the first first, at most eight; empty for nobody's.
    pub credentials: Vec<String>,
}

/// How far a book has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records counted.
    pub counted: u64,
    /// Records that are there and not counted yet.
    pub behind: u64,
    /// Turns of reading that it took.
    pub turns: u32,
}

impl Books {
    /// The books of the ledger on these stores.
    pub(crate) fn new(stores: Stores) -> Self {
        Self {
            stores,
            held: Mutex::default(),
        }
    }

    /// Counts some of the records that came since.
    ///
    /// # Errors
    /// As the stores'.
    pub fn follow(&self, tenant: &TenantId) -> Result<Progress> {
        self.with(tenant, 1, |_, progress| progress)
    }

    /// All that is known of the streams of a log, by name and epoch, the records without a claim
    /// last; and how much of the log it is made of, after so many turns of reading at most.
    ///
    /// # Errors
    /// As the stores'.
    pub fn look(&self, tenant: &TenantId, turns: u32) -> Result<(Vec<Known>, Progress)> {
        self.with(tenant, turns, |book, progress| {
            let known = |verdict: StreamVerdict| {
                let stream = verdict.stream.as_deref().unwrap_or_default();
                let credentials = book.streams.credentials(stream, verdict.epoch).to_vec();
                Known {
                    verdict,
                    credentials,
                }
            };
            let known = book.streams.verdicts().into_iter().map(known);
            (known.collect(), progress)
        })
    }

    /// The sums over the streams of a log, of what is counted, and whether there are numbers that
    /// no coverage states yet.
    ///
    /// # Errors
    /// As the stores'.
    pub fn figures(&self, tenant: &TenantId) -> Result<(Figures, bool)> {
        self.with(tenant, 0, |book, _| {
            let open = !book.streams.uncovered(None).is_empty();
            (book.streams.figures(), open)
        })
    }

    /// Keeps every book in memory that has moved on, so that the next start counts nothing again.
    pub fn keep_all(&self) {
        let mut held = self.lock();
        let mut moved: Vec<_> = held.iter_mut().filter(|one| one.moved() > 0).collect();
        self.keep(&mut moved);
    }

    /// Which of these numbers the ledger has, as far as it has counted.
    pub(crate) fn received(
        &self,
        tenant: &TenantId,
        (stream, epoch): (&str, u64),
        numbers: Span,
    ) -> Result<Vec<Span>> {
        self.with(tenant, STATEMENT_TURNS, |book, _| {
            book.streams.received(stream, epoch, numbers)
        })
    }

    /// Brings the tenant's book up to date by so many turns and looks into it.
    fn with<T>(
        &self,
        tenant: &TenantId,
        turns: u32,
        look: impl FnOnce(&Book, Progress) -> T,
    ) -> Result<T> {
        let ledger = self.stores.ledger.as_ref();
        let mut left = turns;
        loop {
            let Some(head) = ledger.head(tenant)? else {
                return Ok(look(&Book::default(), Progress::default()));
            };
            // Others have their turn between ours.
            let mut held = self.lock();
            let one = self.held(&mut held, tenant, &head)?;
            if left > 0 {
                one.book.read(ledger, tenant, &head, TURN)?;
                if one.moved() >= UNKEPT_RECORDS_MAX {
                    self.keep(&mut [one]);
                }
                left -= 1;
            }
            let counted = one.book.next;
            let behind = head.frontier.size().saturating_sub(counted);
            if behind == 0 || left == 0 {
                let turns = turns - left;
                let progress = Progress {
                    counted,
                    behind,
                    turns,
                };
                return Ok(look(&one.book, progress));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant's book: from memory, from the state store, or a new one.
    fn held<'h>(
        &self,
        held: &'h mut VecDeque<Held>,
        tenant: &TenantId,
        head: &Head,
    ) -> Result<&'h mut Held> {
        let place = held.iter().position(|one| one.tenant == *tenant);
        let mut one = match place.and_then(|place| held.remove(place)) {
            Some(one) => one,
            None => self.load(tenant, head)?,
        };
        if one.book.next > head.frontier.size() {
            one = Held::new(tenant, Book::default());
        }
        held.push_front(one);
        self.make_room(held);
        held.front_mut().ok_or_else(|| {
            let context = "the books of streams";
            Error::new(Kind::Unavailable, context)
        })
    }

    fn load(&self, tenant: &TenantId, head: &Head) -> Result<Held> {
        let kept = self.stores.state.get(SPACE, key(tenant))?;
        let book = kept.and_then(|(bytes, _)| Book::from_bytes(&bytes));
        let ledger = self.stores.ledger.as_ref();
        if let Some(book) = book
            && book.belongs(ledger, tenant, head)?
        {
            return Ok(Held::new(tenant, book));
        }
        Ok(Held::new(tenant, Book::default()))
    }

    /// Lets the older half leave memory when there is too much of it.
    fn make_room(&self, held: &mut VecDeque<Held>) {
        let bytes: usize = held.iter().map(|one| one.book.streams.bytes()).sum();
        if held.len() <= 1 || (held.len() <= HELD_MAX && bytes <= HELD_BYTES_MAX) {
            return;
        }
        let mut leaving = held.split_off(held.len().div_ceil(2));
        let mut worth: Vec<_> = leaving
            .iter_mut()
            .filter(|one| one.moved() >= UNKEPT_RECORDS_LEFT)
            .collect();
        self.keep(&mut worth);
    }

    /// Keeps books in the state store, together. What cannot be kept is counted again later: it is
    /// nobody's loss, and whoever asked gets an answer.
    fn keep(&self, books: &mut [&mut Held]) {
        let change = |one: &&mut Held| {
            let value = Some(one.book.to_bytes()?);
            Ok(Change {
                space: SPACE,
                key: key(&one.tenant).to_vec(),
                expected: None,
                value,
            })
        };
        let changes: Result<Vec<Change>> = books.iter().map(change).collect();
        if let Ok(changes) = changes
            && (changes.is_empty() || self.stores.state.apply(&changes).is_ok())
        {
            for one in books {
                one.kept = one.book.next;
            }
        }
    }
}

fn key(tenant: &TenantId) -> &[u8] {
    tenant.as_str().as_bytes()
}

impl Held {
    fn new(tenant: &TenantId, book: Book) -> Self {
        Self {
            tenant: tenant.clone(),
            kept: book.next,
            book,
        }
    }

    /// Records counted since it was kept.
    fn moved(&self) -> u64 {
        self.book.next - self.kept
    }
}
