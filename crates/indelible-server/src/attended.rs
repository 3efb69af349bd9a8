//! Searching for somebody who may go: an index that looks, where it is asked, whether whoever asked
//! is still there, so that a long search ends at its next page of hits.
//!
//! A client that closes its half to say that it has asked all looks like one that has gone. So what
//! is short is searched to its end for either. For whom a thread searches is said once
//! (`for_reader`); work in the background is for nobody.

use std::cell::RefCell;
use std::sync::Arc;

use indelible_store::{Error, Hits, Index, Kind, Place, Query, Result, Tallied, Tally, Unread};

use crate::caller::Gone;

/// A search that asks the index so often is short.
const SHORT_ASKS: u32 = 8;

thread_local! {
    /// For whom this thread searches, and how often it has asked.
    static READER: RefCell<Option<(Gone, u32)>> = const { RefCell::new(None) };
}

/// Searches for this reader on this thread.
pub(crate) fn for_reader<T>(gone: Gone, search: impl FnOnce() -> T) -> T {
    /// Also where the search panics.
    struct Over;

    impl Drop for Over {
        fn drop(&mut self) {
            READER.set(None);
        }
    }

    READER.set(Some((gone, 0)));
    let _over = Over;
    search()
}

/// Whether this thread searches for somebody who has gone.
pub(crate) fn is_for_nobody() -> bool {
    READER.with_borrow(|reader| reader.as_ref().is_some_and(|(gone, _)| gone.is_told()))
}

/// Counts one more question to the index; whether it is still to be answered.
fn asks() -> bool {
    READER.with_borrow_mut(|reader| match reader {
        Some((gone, asked)) => {
            *asked = asked.saturating_add(1);
            *asked <= SHORT_ASKS || !gone.is_told()
        }
        None => true,
    })
}

/// An index that is asked for somebody.
pub(crate) struct Attended(pub(crate) Arc<dyn Index>);

impl Attended {
    fn index(&self) -> Result<&dyn Index> {
        if asks() {
            return Ok(self.0.as_ref());
        }
        Err(Error::new(Kind::Unavailable, "whoever asked has gone"))
    }
}

impl Index for Attended {
    fn mark(&self) -> Result<u64> {
        self.index()?.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        self.index()?.search(query, after, limit)
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        self.index()?.tally(query, wanted)
    }

    fn unread(&self, query: &Query) -> Result<Vec<Unread>> {
        self.index()?.unread(query)
    }
}
