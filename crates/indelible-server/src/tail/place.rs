//! Where a tail stands: the next number of each log that it follows, and that as a cursor.
//!
//! Numbers never go back. A cursor is of one query and grants nothing: whose logs are followed is
//! asked anew, and a log that it does not name is one that came later, followed from its start.

use std::collections::BTreeMap;

use indelible_api::ProblemKind;
use indelible_event::ids::TenantId;
use indelible_merkle::sha256;

use crate::answer::{Refusal, refuse};
use crate::cursor_key::CursorKey;

/// What its cursors are of.
const TAIL: &str = "tail";
/// Digits of the hash that names a query.
const NAME_CHARS: usize = 32;

/// Names what a cursor is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// That of a query text and the tenant beside it, for whoever has this scope.
    pub(crate) fn of(text: &str, tenant: Option<&str>, scope: &str) -> Self {
        let tenant = tenant.unwrap_or_default();
        let mut name = sha256(format!("{tenant}\0{scope}\0{text}").as_bytes()).to_string();
        name.truncate(NAME_CHARS);
        Self(name)
    }
}

/// The next number of each log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(BTreeMap<TenantId, u64>);

impl Places {
    /// The next number of the log, if it is followed.
    pub(crate) fn next(&self, tenant: &TenantId) -> Option<u64> {
        self.0.get(tenant).copied()
    }

    /// Everything before `next` is told.
    pub(crate) fn reach(&mut self, tenant: &TenantId, next: u64) {
        match self.0.get_mut(tenant) {
            Some(place) => *place = next.max(*place),
            None => drop(self.0.insert(tenant.clone(), next)),
        }
    }

    /// Follows these logs and no others; of one that was not followed, from its start.
    pub(crate) fn follow(&mut self, tenants: &[TenantId]) {
        self.0.retain(|tenant, _| tenants.contains(tenant));
        for tenant in tenants {
            self.0.entry(tenant.clone()).or_default();
        }
    }

    pub(crate) fn cursor(&self, key: &CursorKey, name: &Name) -> Result<String, Refusal> {
        let places = self.0.iter();
        let places = places.map(|(tenant, next)| format!(" {tenant} {next}"));
        key.seal(
            (TAIL, ""),
            &places.fold(name.0.clone(), |text, place| text + &place),
        )
    }

    /// What a cursor says.
    pub(crate) fn of(cursor: &str, key: &CursorKey, name: &Name) -> Result<Self, Refusal> {
        let text = key.open((TAIL, ""), cursor)?;
        let mut words = text.split(' ');
        if words.next() != Some(&name.0) {
            let text = "the cursor is of another query or another tenant: open the tail anew";
            return Err(refuse(ProblemKind::BadCursor, text));
        }
        let wrong = || refuse(ProblemKind::BadCursor, "the cursor is of another version");
        let mut places = BTreeMap::new();
        while let Some(tenant) = words.next() {
            let tenant = TenantId::parse(tenant).map_err(|_| wrong())?;
            let next = words.next().and_then(|next| next.parse().ok());
            places.insert(tenant, next.ok_or_else(wrong)?);
        }
        Ok(Self(places))
    }
}
