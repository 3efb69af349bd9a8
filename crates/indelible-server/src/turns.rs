//! Turns at work that only so many do at a time: between parties in rotation, within a party first
//! come, first served. A party is a tenant, or a key that is for all of them.
//!
//! Invariants: one party never holds all places, so that another finds one free or waits for one
//! piece of work to end, never for a queue; who waits no longer takes no turn.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places, and who waits for them.
#[derive(Debug)]
pub(crate) struct Turns {
    places: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    parties: HashMap<String, Party>,
    /// Those of whom some wait, in the order of their turns.
    order: VecDeque<String>,
    taken: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Party {
    holds: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<(Arc<Turns>, String)>);

/// As many of the party wait as may.
#[derive(Debug)]
pub(crate) struct Full;

impl Turns {
    /// So many places, and so many who wait for one; of one party half as many.
    pub(crate) fn new(places: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            waiting_max,
            state: Mutex::default(),
        })
    }

    /// Takes a place, in turn.
    pub(crate) async fn take(self: &Arc<Self>, party: &str) -> Result<Turn, Full> {
        let waits = {
            let mut state = self.state();
            if state.may_take(party, self.each_max(), self.places) {
                state.parties.entry(party.to_owned()).or_default().holds += 1;
                state.taken += 1;
                return Ok(self.turn(party));
            }
            let waits = state.wait(party, self.waiting_max)?;
            drop(state);
            waits
        };
        // The sender is dropped with us alone.
        waits.await.map_err(|_| Full)
    }

    /// How many places one party may have: all but one.
    fn each_max(&self) -> usize {
        self.places.saturating_sub(1).max(1)
    }

    fn turn(self: &Arc<Self>, party: &str) -> Turn {
        Turn(Some((Arc::clone(self), party.to_owned())))
    }

    fn give_back(self: &Arc<Self>, party: &str) {
        let mut state = self.state();
        state.taken -= 1;
        if let Some(of) = state.parties.get_mut(party) {
            of.holds -= 1;
        }
        state.forget_idle(party);
        while let Some((next, waits)) = state.next(self.each_max(), self.places) {
            let Err(mut unsent) = waits.send(self.turn(&next)) else {
                state.taken += 1;
                state.parties.entry(next).or_default().holds += 1;
                continue;
            };
            // Who waited has gone: it never was given a place.
            unsent.0 = None;
            state.forget_idle(&next);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_take(&self, party: &str, each_max: usize, places: usize) -> bool {
        let of = self.parties.get(party);
        self.taken < places && of.is_none_or(|of| of.holds < each_max && of.waiting.is_empty())
    }

    fn wait(&mut self, party: &str, most: usize) -> Result<oneshot::Receiver<Turn>, Full> {
        if self.waiting >= most || self.of(party) >= most.div_ceil(2) {
            self.forget_gone();
        }
        if self.waiting >= most || self.of(party) >= most.div_ceil(2) {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        let of = self.parties.entry(party.to_owned()).or_default();
        if of.waiting.is_empty() {
            self.order.push_back(party.to_owned());
        }
        of.waiting.push_back(sender);
        self.waiting += 1;
        Ok(receiver)
    }

    /// How many of a party wait.
    fn of(&self, party: &str) -> usize {
        self.parties.get(party).map_or(0, |of| of.waiting.len())
    }

    /// Who is next, taken out of the queue.
    fn next(&mut self, each_max: usize, places: usize) -> Option<(String, oneshot::Sender<Turn>)> {
        if self.taken >= places {
            return None;
        }
        for _ in 0..self.order.len() {
            let name = self.order.pop_front()?;
            let of = self.parties.get_mut(&name)?;
            if of.holds >= each_max {
                self.order.push_back(name);
                continue;
            }
            let waits = of.waiting.pop_front();
            if !of.waiting.is_empty() {
                self.order.push_back(name.clone());
            }
            self.waiting -= usize::from(waits.is_some());
            return Some((name, waits?));
        }
        None
    }

    /// Takes those out of the queues who wait no longer.
    fn forget_gone(&mut self) {
        for of in self.parties.values_mut() {
            of.waiting.retain(|waits| !waits.is_closed());
        }
        self.waiting = self.parties.values().map(|of| of.waiting.len()).sum();
        let Self { order, parties, .. } = self;
        order.retain(|name| parties.get(name).is_some_and(|of| !of.waiting.is_empty()));
        parties.retain(|_, of| of.holds > 0 || !of.waiting.is_empty());
    }

    fn forget_idle(&mut self, party: &str) {
        let of = self.parties.get(party);
        if of.is_some_and(|of| of.holds == 0 && of.waiting.is_empty()) {
            self.parties.remove(party);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, party)) = self.0.take() {
            turns.give_back(&party);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Taking = Pin<Box<dyn Future<Output = Result<Turn, Full>>>>;

    fn take(turns: &Arc<Turns>, party: &'static str) -> Taking {
        let turns = Arc::clone(turns);
        let mut taking: Taking = Box::pin(async move { turns.take(party).await });
        // It takes its place in the queue now; what it came to is asked for again.
        let first = taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        match first {
            Poll::Ready(taken) => Box::pin(std::future::ready(taken)),
            Poll::Pending => taking,
        }
    }

    fn taken(taking: &mut Taking) -> Option<Turn> {
        let polled = taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Ready(taken) => Some(taken.unwrap()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_party_never_has_all_places_and_others_come_in_rotation() {
        let turns = Turns::new(3, 100);
        let mut flood: Vec<Taking> = (0..20).map(|_| take(&turns, "flood")).collect();
        let held: Vec<Turn> = flood.iter_mut().filter_map(taken).collect();
        assert_eq!(held.len(), 2, "all places but one");
        let quiet = taken(&mut take(&turns, "quiet")).expect("the place that is kept free");
        let (mut second, mut third) = (take(&turns, "quiet"), take(&turns, "third"));
        assert!(taken(&mut second).is_none() && taken(&mut third).is_none());
        // One of the flood ends: all others are in the way of none of the two.
        let mut held = held.into_iter();
        drop(held.next());
        let next = flood.iter_mut().skip(2).find_map(taken).unwrap();
        drop(held.next());
        let second = taken(&mut second).expect("its turn is behind one of the flood's");
        drop(next);
        assert!(taken(&mut third).is_some());
        drop((quiet, second));
    }

    #[test]
    fn who_has_gone_takes_no_turn_and_no_place_in_the_queue() {
        let turns = Turns::new(1, 4);
        let holds = taken(&mut take(&turns, "a")).unwrap();
        let gone: Vec<Taking> = (0..2).map(|_| take(&turns, "a")).collect();
        let refused = take(&turns, "a")
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(
            matches!(refused, Poll::Ready(Err(Full))),
            "half of the queue"
        );
        drop(gone);
        let mut waits = take(&turns, "a");
        let gone = take(&turns, "b");
        drop(gone);
        assert!(taken(&mut waits).is_none());
        drop(holds);
        drop(taken(&mut waits).expect("it is its turn"));
        let state = turns.state();
        assert_eq!((state.taken, state.waiting, state.order.len()), (0, 0, 0));
        assert!(state.parties.is_empty());
    }
}
