//! What a tail asks for: the query, narrowed to what its reader may see, and what its answers look
//! like.

use std::ops::Range;

use indelible_api::limits::TAIL_TENANTS_MAX;
use indelible_api::{ProblemKind, Unreadable};
use indelible_event::ids::{Micros, TenantId};
use indelible_log::mask::Sight;
use indelible_query::Seen;
use indelible_store::{Direction, Expr, Order, Query};
use serde::Deserialize;

use crate::access::Principal;
use crate::answer::{Refusal, refuse, written};
use crate::app::App;
use crate::binding::{is_bound, sought};
use crate::list::{parsed, tenants, unreadable};
use crate::records::record;
use crate::tail::hub::Told;

/// What a tail is asked by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub(crate) q: String,
    pub(crate) tenant: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) from: Option<From>,
}

/// Where a tail without a cursor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum From {
    /// With what comes from now on, which is what it does when nobody says.
    Now,
    /// With the first record that is there.
    Start,
}

/// What is sought, by whoever may see the same of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    query: Query,
    /// Whether its reader has a query of its own.
    is_bound: bool,
    /// How its reader sees personal values.
    sight: Sight,
    /// Tenants whose personal values are not searched.
    pub(crate) unsearched: Vec<String>,
}

impl Wish {
    /// What `wanted` asks for, as its reader may see it. Relative times count from `now`.
    pub(crate) fn of(
        app: &App,
        principal: &Principal,
        wanted: &Wanted,
        now: Micros,
    ) -> Result<Self, Refusal> {
        let parsed = parsed(&wanted.q, now)?;
        let tenants = tenants(app, principal, wanted.tenant.as_deref(), &parsed)?;
        let resolved = sought(app, principal, &parsed, &tenants)?;
        let logs = resolved.query.tenants.as_ref().map_or(0, Vec::len);
        if logs > TAIL_TENANTS_MAX {
            let text = format!(
                "a tail follows {TAIL_TENANTS_MAX} logs at most and this would be {logs}: name \
                 them, as tenant=NAME or tenant: in the query"
            );
            return Err(refuse(ProblemKind::BadRequest, text));
        }
        let unsearched = resolved.unsearched.iter();
        Ok(Self {
            unsearched: unsearched.map(ToString::to_string).collect(),
            query: resolved.query,
            sight: principal.sight(),
            is_bound: is_bound(principal, &tenants),
        })
    }

    /// The logs that are followed.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.query.tenants.iter().flatten()
    }

    /// Whether the log is followed.
    pub(crate) fn wants(&self, tenant: &TenantId) -> bool {
        self.query.wants_tenant(tenant)
    }

    /// What of it stands in these numbers of a log, in their order.
    pub(crate) fn within(&self, tenant: &TenantId, range: Range<u64>, as_of: u64) -> Query {
        Query {
            tenants: Some(vec![tenant.clone()]),
            expr: Expr::And(vec![Expr::Sequence(range), self.query.expr.clone()]),
            occurred: self.query.occurred.clone(),
            ingested: self.query.ingested.clone(),
            order: Order::Sequence,
            direction: Direction::OldestFirst,
            as_of: Some(as_of),
        }
    }

    /// What is told of it; nothing of damage that is not of these numbers.
    pub(crate) fn told(
        &self,
        app: &App,
        seen: Seen,
        tenant: &TenantId,
        range: &Range<u64>,
    ) -> Result<Option<Told>, Refusal> {
        match seen {
            Seen::Row(row) => {
                let with = (app.keyring.as_ref(), self.sight);
                let record = record(with, tenant, &row.leaf, &row.sealed)?;
                let kept = app.memory.tails.keep(written(&record)?)?;
                let number = row.place.sequence_number;
                Ok(Some(Told::Record(tenant.clone(), number, kept)))
            }
            Seen::Damaged(mut damage) => {
                let Some((whose, numbers)) = &mut damage.log else {
                    return Ok(None);
                };
                numbers.start = numbers.start.max(range.start);
                numbers.end = numbers.end.min(range.end);
                if whose != tenant || numbers.is_empty() {
                    return Ok(None);
                }
                let said: Unreadable = unreadable(damage, self.is_bound);
                let kept = app.memory.tails.keep(written(&said)?)?;
                Ok(Some(Told::Unreadable(kept)))
            }
        }
    }
}
