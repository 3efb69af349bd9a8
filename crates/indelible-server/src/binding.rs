//! What a key with a query of its own may see: whatever it asks is narrowed by that query.
//!
//! Every route that reads goes through here, or asks for [`crate::guard::Needs::Whole`], which no
//! such key has: what counts or hashes a whole log cannot be narrowed. Relative times in the query
//! count from each request.

use std::net::IpAddr;
use std::ops::Range;

use indelible_api::ProblemKind;
use indelible_event::Field;
use indelible_event::ids::{Micros, TenantId};
use indelible_log::mask::Sight;
use indelible_log::registry::log_row;
use indelible_query::{Ask, Parsed, Resolved, page, resolve, search_names};
use indelible_store::terms::normalise;
use indelible_store::{Expr, FindHash, Finder, Key, Path, Test};

use crate::access::Principal;
use crate::answer::{Refusal, refuse};
use crate::app::App;
use crate::list::parsed;

/// What is asked, and of that only what the principal may see, over these tenants.
///
/// Whoever sees personal values masked does not find sealed addresses: there are so few that asking
/// for them one by one, or by networks, tells which it is. What binds him does find them.
pub(crate) fn sought(
    app: &App,
    principal: &Principal,
    asked: &Parsed,
    tenants: &[TenantId],
) -> Result<Resolved, Refusal> {
    let keyring = app.keyring.as_ref();
    let own = binding(app, principal, tenants)?;
    let narrowed = own.iter().cloned().fold(asked.clone(), both);
    let of_caller = Parsed {
        ask: asked.ask.clone(),
        ..narrowed.clone()
    };
    let mut sought = match principal.sight() {
        Sight::Clear => resolve(&of_caller, tenants, Some(keyring)),
        Sight::Masked => resolve(&of_caller, tenants, Some(&NoAddresses(keyring))),
    };
    if own.is_empty() {
        return Ok(sought);
    }
    let binding = Parsed {
        ask: Ask::And(own.into_iter().map(|own| own.ask).collect()),
        ..narrowed
    };
    let binding = resolve(&binding, tenants, Some(keyring));
    sought.query.expr = Expr::And(vec![sought.query.expr, binding.query.expr]);
    sought.unsearched.extend(binding.unsearched);
    sought.unsearched.sort_unstable();
    sought.unsearched.dedup();
    Ok(sought)
}

/// What everything is narrowed by that the principal asks of these tenants.
fn binding(app: &App, principal: &Principal, tenants: &[TenantId]) -> Result<Vec<Parsed>, Refusal> {
    let mut binding = Vec::new();
    if tenants.iter().any(|tenant| principal.sees_part_of(tenant)) {
        binding.push(own_part(app, principal)?);
    }
    for own in principal.queries() {
        // Its text is not for whoever is narrowed by it, who may never have seen it.
        let own = parsed(own, app.env.clock.now()).map_err(|_| {
            let text = "the query that narrows your access cannot be read any more: whoever gave \
                        it to you has to give you another";
            refuse(ProblemKind::Forbidden, text)
        })?;
        // Where sealed values cannot be found, a negation would let pass what it is to keep back.
        let resolved = resolve(&own, tenants, Some(app.keyring.as_ref()));
        if !resolved.unsearched.is_empty() {
            let text = "the query that narrows your access cannot be answered, since keys of the \
                        ledger are missing";
            return Err(refuse(ProblemKind::Unavailable, text));
        }
        binding.push(own);
    }
    Ok(binding)
}

/// Whether a query asks for sealed addresses, which only who sees personal values finds.
pub(crate) fn asks_for_addresses(text: &str, tenant: &TenantId, now: Micros) -> bool {
    let Ok(asked) = parsed(text, now) else {
        return false;
    };
    let tenants = [tenant.clone()];
    let unsearched = |finder: &dyn Finder| resolve(&asked, &tenants, Some(finder)).unsearched;
    // Of parts of values nothing sealed is found, whoever asks.
    unsearched(&Anything).is_empty() && !unsearched(&NoAddresses(&Anything)).is_empty()
}

/// Finds no sealed address.
struct NoAddresses<'a>(&'a dyn Finder);

impl Finder for NoAddresses<'_> {
    fn find(&self, tenant: &TenantId, name: &str, normalised: &str) -> Option<FindHash> {
        let is_filed_so = search_names(Key::Ip).contains(&name);
        if is_filed_so || normalised.trim().parse::<IpAddr>().is_ok() {
            return None;
        }
        self.0.find(tenant, name, normalised)
    }
}

/// Finds whatever is sealed, to tell what is asked for.
struct Anything;

impl Finder for Anything {
    fn find(&self, _: &TenantId, _: &str, _: &str) -> Option<FindHash> {
        Some(FindHash([0; 16]))
    }
}

/// Whether of these logs the principal sees a part only.
pub(crate) fn is_bound(principal: &Principal, tenants: &[TenantId]) -> bool {
    principal.is_narrowed() || tenants.iter().any(|tenant| principal.sees_part_of(tenant))
}

/// What of the ledger's own log is about the tenants that the principal is bound to. Names are
/// found whatever their case is, so the id of the tenant's log decides.
fn own_part(app: &App, principal: &Principal) -> Result<Parsed, Refusal> {
    let Some(bound_to) = principal.bound_to() else {
        let ask = Ask::Is(Key::TargetType, "tenant".to_owned());
        return Ok(Parsed {
            ask,
            ..Parsed::default()
        });
    };
    let mut any = Vec::with_capacity(bound_to.len());
    for tenant in bound_to {
        let Some(row) = log_row(app.stores.state.as_ref(), tenant)? else {
            continue;
        };
        let path = Path {
            field: Field::Data,
            steps: vec!["log_id".to_owned()],
        };
        let name = normalise(tenant.as_str()).into_owned();
        any.push(Ask::And(vec![
            Ask::Is(Key::Target, name),
            Ask::At(path, Test::Text(row.log_id)),
        ]));
    }
    let ask = if any.is_empty() {
        Ask::Not(Box::new(Ask::All))
    } else {
        Ask::Or(any)
    };
    Ok(Parsed {
        ask,
        ..Parsed::default()
    })
}

/// Whether the principal may see this record.
pub(crate) fn sees(
    app: &App,
    principal: &Principal,
    tenant: &TenantId,
    number: u64,
) -> Result<bool, Refusal> {
    let tenants = [tenant.clone()];
    if !is_bound(principal, &tenants) {
        return Ok(true);
    }
    let asked = Parsed {
        ask: Ask::Sequence(number..number.saturating_add(1)),
        ..Parsed::default()
    };
    let query = sought(app, principal, &asked, &tenants)?.query;
    let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
    Ok(!page(index, ledger, &query, None, 1)?.rows.is_empty())
}

/// What both ask for.
fn both(one: Parsed, other: Parsed) -> Parsed {
    let Parsed {
        ask,
        tenants,
        occurred,
        ingested,
    } = other;
    Parsed {
        ask: Ask::And(vec![one.ask, ask]),
        tenants: match (one.tenants, tenants) {
            (Some(one), Some(other)) => Some(
                one.into_iter()
                    .filter(|tenant| other.contains(tenant))
                    .collect(),
            ),
            (one, other) => one.or(other),
        },
        occurred: overlap(&one.occurred, &occurred),
        ingested: overlap(&one.ingested, &ingested),
    }
}

fn overlap(one: &Range<Micros>, other: &Range<Micros>) -> Range<Micros> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: Micros = Micros(1_770_000_000_000_000);

    #[test]
    fn two_queries_give_what_both_ask_for() {
        let of = |text| parsed(text, NOW).unwrap();
        let found = both(
            of("tenant:a,b since:2026-01-01 until:2026-01-31 (ada OR bob)"),
            of("tenant:b,c since:2026-01-10"),
        );
        let names: Vec<_> = found.tenants.as_ref().unwrap().iter().collect();
        assert_eq!(names, [&TenantId::parse("b").unwrap()]);
        assert_eq!(
            found.occurred,
            of("since:2026-01-10 until:2026-01-31").occurred
        );
        let Ask::And(parts) = found.ask else {
            panic!("not both");
        };
        assert_eq!(parts, [of("ada OR bob").ask, Ask::All]);
        let apart = both(
            of("tenant:a until:2026-01-01"),
            of("tenant:b since:2026-02-01"),
        );
        assert_eq!(apart.tenants, Some(Vec::new()));
        assert!(apart.occurred.is_empty());
        let bound = both(of(""), of("tenant:b"));
        assert_eq!(
            bound.tenants.unwrap().len(),
            1,
            "no name asks for every tenant"
        );
    }
}
