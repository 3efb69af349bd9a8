//! Memory of conflicting ids: each is recorded at most once a minute, with the count since.

use foldhash::HashMap;
use indelible_event::ids::{AuditId, Micros, TenantId};

const RECORD_INTERVAL_US: i64 = 60_000_000;
/// Ids remembered; beyond it the ones longest silent are forgotten, and recorded again if they
/// return.
const IDS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    seen: HashMap<(TenantId, AuditId), Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    recorded_at: Micros,
    since: u64,
}

impl Conflicts {
    /// Counts a conflict; gives the number to record when one is due.
    pub(crate) fn note(&mut self, tenant: &TenantId, id: AuditId, now: Micros) -> Option<u64> {
        if self.seen.len() >= IDS_MAX {
            self.seen
                .retain(|_, seen| now.0 - seen.recorded_at.0 < RECORD_INTERVAL_US);
            if self.seen.len() >= IDS_MAX {
                return None;
            }
        }
        let mut first = false;
        let seen = self.seen.entry((tenant.clone(), id)).or_insert_with(|| {
            first = true;
            Seen {
                recorded_at: now,
                since: 0,
            }
        });
        seen.since += 1;
        if first || now.0.saturating_sub(seen.recorded_at.0) >= RECORD_INTERVAL_US {
            seen.recorded_at = now;
            return Some(std::mem::take(&mut seen.since));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn records_once_a_minute_with_the_count_since() {
        let tenant = TenantId::parse("acme").unwrap();
        let id = AuditId::mint(1, [7; 10]);
        let mut conflicts = Conflicts::default();
        assert_eq!(conflicts.note(&tenant, id, Micros(0)), Some(1));
        assert_eq!(conflicts.note(&tenant, id, Micros(1)), None);
        assert_eq!(conflicts.note(&tenant, id, Micros(59_999_999)), None);
        assert_eq!(conflicts.note(&tenant, id, Micros(60_000_000)), Some(3));
        let other = AuditId::mint(2, [8; 10]);
        assert_eq!(conflicts.note(&tenant, other, Micros(60_000_001)), Some(1));
    }
}
