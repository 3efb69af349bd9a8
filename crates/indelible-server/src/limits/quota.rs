//! What tenants have used of their day, kept in the state store so that it outlives a restart and
//! is one sum for all servers of a ledger. A server that is killed forgets its last second.

use std::collections::HashMap;

use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Change, Error, Kind, Result, State};
use serde::{Deserialize, Serialize};

use super::Brought;
use super::account::Late;

const SPACE: &str = "quotas";
const DAY_MICROS: i64 = 86_400_000_000;

/// What was used in a day, as it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// Days since 1970.
    day: i64,
    events: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Used {
    /// By all servers, as far as is known.
    all: Day,
    /// By this one, and not kept yet.
    ours: Brought,
}

/// What all tenants have used.
#[derive(Debug, Default)]
pub(super) struct Quotas(HashMap<TenantId, Used>);

impl Quotas {
    /// Whether the tenant has used up what it has of the day, and when the next begins.
    pub(super) fn used_up(
        &mut self,
        tenant: &TenantId,
        (events, bytes): (Option<u64>, Option<u64>),
        now: Micros,
        state: &dyn State,
    ) -> Result<Option<Late>> {
        let day = now.0.div_euclid(DAY_MICROS);
        if self.0.get(tenant).is_none_or(|used| used.all.day != day) {
            self.keep(state)?;
            let kept = kept(state, tenant)?.map(|(kept, _)| kept);
            let all = kept.filter(|kept| kept.day == day);
            let all = all.unwrap_or(Day {
                day,
                ..Day::default()
            });
            let ours = Brought::default();
            self.0.insert(tenant.clone(), Used { all, ours });
        }
        let Some(Used { all, ours }) = self.0.get(tenant) else {
            return Ok(None);
        };
        let seconds = (day + 1) * DAY_MICROS - now.0;
        let seconds = u64::try_from(seconds)
            .unwrap_or_default()
            .div_ceil(1_000_000);
        let both = [
            (events, all.events + ours.events, "events"),
            (bytes, all.bytes + ours.bytes, "bytes"),
        ];
        let late = both.into_iter().find_map(|(most, used, what)| {
            let most = most.filter(|most| used >= *most)?;
            Some(Late {
                what,
                most,
                seconds,
            })
        });
        Ok(late)
    }

    /// Counts what was brought, to the day that was asked about last.
    pub(super) fn charge(&mut self, tenant: &TenantId, brought: Brought) {
        if let Some(used) = self.0.get_mut(tenant) {
            used.ours.events += brought.events;
            used.ours.bytes += brought.bytes;
        }
    }

    /// Adds what this server used to what is kept, and learns the sum.
    pub(super) fn keep(&mut self, state: &dyn State) -> Result<()> {
        for (tenant, used) in &mut self.0 {
            while used.ours != Brought::default() {
                let before = kept(state, tenant)?;
                let version = before.map_or(0, |(_, version)| version);
                let mut sum = match before {
                    Some((kept, _)) if kept.day == used.all.day => kept,
                    _ => Day {
                        day: used.all.day,
                        ..Day::default()
                    },
                };
                sum.events += used.ours.events;
                sum.bytes += used.ours.bytes;
                match state.apply(&[put(tenant, &sum, version)?]) {
                    Ok(()) => (used.all, used.ours) = (sum, Brought::default()),
                    // Another server was first.
                    Err(error) if error.kind() == Kind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn kept(state: &dyn State, tenant: &TenantId) -> Result<Option<(Day, u64)>> {
    let found = state.get(SPACE, tenant.as_str().as_bytes())?;
    let read = |(bytes, version): (Vec<u8>, u64)| {
        let day = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(Kind::Corrupt, "what a tenant has used").caused_by(e))?;
        Ok((day, version))
    };
    found.map(read).transpose()
}

fn put(tenant: &TenantId, day: &Day, expected: u64) -> Result<Change> {
    let value = serde_json::to_vec(day)
        .map_err(|e| Error::new(Kind::Invalid, "what a tenant has used").caused_by(e))?;
    Ok(Change {
        space: SPACE,
        key: tenant.as_str().as_bytes().to_vec(),
        expected: Some(expected),
        value: Some(value),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_store::memory::MemoryState;

    use super::*;

    const NOON: Micros = Micros(20_000 * DAY_MICROS + DAY_MICROS / 2);

    #[test]
    fn two_servers_and_a_restart_use_one_day() {
        let state = MemoryState::new();
        let acme = TenantId::parse("acme").unwrap();
        let most = (Some(100), None);
        let (mut one, mut other) = (Quotas::default(), Quotas::default());
        let brought = Brought {
            events: 40,
            bytes: 1,
        };
        for quotas in [&mut one, &mut other] {
            assert_eq!(quotas.used_up(&acme, most, NOON, &state).unwrap(), None);
            quotas.charge(&acme, brought);
            quotas.keep(&state).unwrap();
        }
        let mut again = Quotas::default();
        assert_eq!(again.used_up(&acme, most, NOON, &state).unwrap(), None);
        again.charge(&acme, brought);
        let late = again.used_up(&acme, most, NOON, &state).unwrap().unwrap();
        assert_eq!((late.what, late.seconds), ("events", 43_200));
        again.keep(&state).unwrap();
        // The others learn of it with what they bring next.
        one.charge(
            &acme,
            Brought {
                events: 1,
                bytes: 1,
            },
        );
        one.keep(&state).unwrap();
        assert!(one.used_up(&acme, most, NOON, &state).unwrap().is_some());
        let tomorrow = Micros(NOON.0 + DAY_MICROS);
        assert_eq!(one.used_up(&acme, most, tomorrow, &state).unwrap(), None);
    }
}
