//! The query language: texts are read or refused with a place, and written as they are read.
//! Not here: what a query finds.

use indelible_event::ids::{Micros, TenantId};
use indelible_query::{ParseContext, parse, resolve};
use jiff::tz::TimeZone;

use crate::vectors::text;

/// Whether it is a query; panics where an error points outside of the text, or where a query is not
/// read again as it was written, at another time and in another zone.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else {
        return false;
    };
    let context = ParseContext::utc(Micros(1_795_170_600_000_000));
    let parsed = match parse(text, &context) {
        Ok(parsed) => parsed,
        Err(errors) => {
            let end = text.chars().count() + 1;
            for error in &errors {
                assert!(error.column() >= 1 && error.column() + error.length() <= end);
                assert!(error.to_string().contains('^'));
            }
            assert!(!errors.is_empty());
            return false;
        }
    };
    let elsewhere = ParseContext {
        now: Micros(0),
        zone: TimeZone::fixed(jiff::tz::offset(-5)),
    };
    let written = parsed.to_string();
    match parse(&written, &elsewhere) {
        Ok(again) => {
            assert_eq!(again, parsed, "{text:?} was written {written:?}");
            assert_eq!(again.to_string(), written);
        }
        Err(errors) => panic!("{text:?} was written {written:?}: {}", errors[0]),
    }
    let tenants = ["acme", "a", "b"].map(|name| TenantId::parse(name).expect("a tenant's name"));
    let resolved = resolve(&parsed, &tenants, None);
    let within = resolved.query.tenants.unwrap_or_default();
    assert!(within.iter().all(|tenant| tenants.contains(tenant)));
    true
}

/// Everything that `docs/query.md` shows as code, queries and mistakes among it.
pub fn seeds() -> Vec<Vec<u8>> {
    let document = text("docs/query.md");
    let quoted = document
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let mut seeds: Vec<_> = quoted
        .filter(|code| !code.is_empty())
        .map(|code| code.as_bytes().to_vec())
        .collect();
    seeds.sort();
    seeds.dedup();
    seeds
}
