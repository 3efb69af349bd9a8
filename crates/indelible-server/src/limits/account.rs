//! What is owed, by name: for each rate the moment at which all is paid (the generic cell rate
//! algorithm of ITU-T I.371, by debt). An account on which nothing is owed is as one that is not
//! there, so those are what goes when there are many.

use std::collections::HashMap;

use indelible_api::Rates;

use super::{Brought, Reached, Whose};

/// Names that have accounts of their own; those beyond share one.
const NAMES_MAX: usize = 16_384;
const SECOND_MICROS: u64 = 1_000_000;
const WHAT: [&str; 3] = ["requests", "events", "bytes"];

/// When each rate's debt is paid, microseconds.
type Account = [i64; WHAT.len()];

/// Who has to wait, for what, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) what: &'static str,
    pub(super) most: u64,
    pub(super) seconds: u64,
}

impl Late {
    pub(super) fn reached(self, whose: Whose) -> Reached {
        Reached {
            whose,
            what: self.what,
            most: self.most,
            seconds: self.seconds,
        }
    }
}

/// Accounts by name.
#[derive(Debug, Default)]
pub(super) struct Accounts(HashMap<Box<str>, Account>);

impl Accounts {
    fn of(&mut self, name: &str, now: i64) -> &mut Account {
        let is_new = !self.0.contains_key(name);
        if is_new && self.0.len() >= NAMES_MAX {
            let owes = |account: &Account| account.iter().any(|paid| *paid > now);
            self.0.retain(|_, account| owes(account));
        }
        let name = if is_new && self.0.len() >= NAMES_MAX {
            ""
        } else {
            name
        };
        self.0.entry(name.into()).or_insert([now; WHAT.len()])
    }

    /// Lets a request in whose debts are within the burst, and counts it.
    pub(super) fn admit(
        &mut self,
        name: &str,
        rates: &Rates,
        (now, burst): (i64, i64),
    ) -> Result<(), Late> {
        let account = self.of(name, now);
        let late = account.iter().zip(rates.all()).zip(WHAT);
        let late = late.filter_map(|((paid, most), what)| {
            let wait = u64::try_from(paid - now - burst).unwrap_or_default();
            let seconds = wait.div_ceil(SECOND_MICROS);
            let most = most.filter(|_| wait > 0)?;
            Some(Late {
                what,
                most,
                seconds,
            })
        });
        if let Some(late) = late.max_by_key(|late| late.seconds) {
            return Err(late);
        }
        owe(account, rates, [1, 0, 0], now);
        Ok(())
    }

    /// Charges what a request brought.
    pub(super) fn charge(&mut self, name: &str, rates: &Rates, brought: Brought, now: i64) {
        let account = self.of(name, now);
        owe(account, rates, [0, brought.events, brought.bytes], now);
    }
}

fn owe(account: &mut Account, rates: &Rates, counts: [u64; WHAT.len()], now: i64) {
    for ((paid, most), count) in account.iter_mut().zip(rates.all()).zip(counts) {
        let Some(most) = most.filter(|most| *most > 0) else {
            continue;
        };
        let micros = u128::from(count) * u128::from(SECOND_MICROS) / u128::from(most);
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        *paid = (*paid).max(now).saturating_add(micros);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn rates(requests: u64, events: u64, bytes: u64) -> Rates {
        let some = |most| (most > 0).then_some(most);
        Rates {
            requests_per_s: some(requests),
            events_per_s: some(events),
            bytes_per_s: some(bytes),
        }
    }

    #[test]
    fn a_rate_is_kept_behind_its_burst() {
        let (mut accounts, rates) = (Accounts::default(), rates(10, 0, 0));
        let mut admitted = 0;
        // A second at ten times the rate, with a burst of a second.
        for n in 0..100 {
            let at = n * SECOND / 100;
            admitted += u32::from(accounts.admit("a", &rates, (at, SECOND)).is_ok());
        }
        assert!((20..=21).contains(&admitted), "{admitted}");
        let mut again = (0..3).map(|_| accounts.admit("a", &rates, (SECOND, SECOND)));
        let late = again.find_map(Result::err).unwrap();
        assert_eq!((late.what, late.most, late.seconds), ("requests", 10, 1));
        assert!(accounts.admit("b", &rates, (SECOND, SECOND)).is_ok());
        assert!(accounts.admit("a", &rates, (2 * SECOND, SECOND)).is_ok());
    }

    #[test]
    fn what_was_brought_is_paid_before_more_is_let_in() {
        let (mut accounts, rates) = (Accounts::default(), rates(0, 100, 1_000));
        let brought = Brought {
            events: 1_000,
            bytes: 60_000,
        };
        accounts.admit("a", &rates, (0, SECOND)).unwrap();
        accounts.charge("a", &rates, brought, 0);
        let late = accounts.admit("a", &rates, (0, SECOND)).unwrap_err();
        assert_eq!((late.what, late.seconds), ("bytes", 59));
        assert!(accounts.admit("a", &rates, (58 * SECOND, SECOND)).is_err());
        assert!(accounts.admit("a", &rates, (59 * SECOND, SECOND)).is_ok());
    }

    #[test]
    fn names_are_bounded_and_who_owes_is_not_forgotten() {
        let (mut accounts, rates) = (Accounts::default(), rates(1, 0, 0));
        for n in 0..2 * NAMES_MAX {
            let _ = accounts.admit(&n.to_string(), &rates, (0, 0));
        }
        assert!(accounts.0.len() <= NAMES_MAX + 1);
        assert!(accounts.admit("0", &rates, (0, 0)).is_err());
        let later = i64::try_from(2 * NAMES_MAX).unwrap() * SECOND;
        assert!(accounts.admit("another", &rates, (later, 0)).is_ok());
        assert!(accounts.0.len() <= 2, "those that owe nothing are gone");
    }
}
