//! Who read, exported or was denied what, and what else whoever reads can do as often as he likes:
//! noted in memory while requests are answered, and written to the log `_system` by a thread of its
//! own.
//!
//! What one principal asks in the same words is one note for a minute: how many requests, from when
//! to when, how many records were seen. A request only counts in a map. Notes are bounded in number
//! and bytes, and so is what one principal can make of them; what finds no room is counted, and the
//! count is a record too. Not recorded is what happens on an open server, where nobody is anybody.
//! Source: `docs/server.md`, "Who read what".

mod denied;
mod notes;
mod written;

use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_event::ids::{Micros, TenantId};
use indelible_log::AccessEvent;
use indelible_query::redacted;

use crate::access::Principal;

pub(crate) use denied::{Denied, forbidden, hidden, missing, nobody};
pub(crate) use written::{run, write_all};

use notes::{Detail, Key, Notes};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// Records were read, counted, or followed.
    Read,
    /// Records were exported.
    Exported,
    /// Something was asked for that is not for whoever asked.
    Denied,
    /// A viewer token was made.
    ViewerMade,
    /// An export was removed.
    ExportRemoved,
}

impl What {
    const ALL: [Self; 5] = [
        Self::Read,
        Self::Exported,
        Self::Denied,
        Self::ViewerMade,
        Self::ExportRemoved,
    ];

    fn event_type(self) -> &'static str {
        match self {
            Self::Read => "access.read",
            Self::Exported => "access.exported",
            Self::Denied => "access.denied",
            Self::ViewerMade | Self::ExportRemoved => "config.changed",
        }
    }

    /// What was changed, where something was.
    fn change(self) -> Option<&'static str> {
        match self {
            Self::Read | Self::Exported | Self::Denied => None,
            Self::ViewerMade => Some("viewer_token.created"),
            Self::ExportRemoved => Some("export.removed"),
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            _ => "success",
        }
    }
}

/// What was done, by which route as we write it, and the query as it was written: empty for all
/// records. Secrets in it are not kept.
pub(crate) type Done<'a> = (What, &'static str, &'a str);

/// How many records an answer showed, by tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// The tenant that was asked about, if it was one.
    only: Option<TenantId>,
    by_tenant: Vec<(TenantId, u64)>,
}

impl Shown {
    /// Nothing yet, of these tenants.
    pub(crate) fn of(tenants: &[TenantId]) -> Self {
        let only = match tenants {
            [only] => Some(only.clone()),
            _ => None,
        };
        Self {
            only,
            by_tenant: Vec::new(),
        }
    }

    /// Records of one tenant.
    pub(crate) fn records(tenant: &TenantId, count: u64) -> Self {
        let mut seen = Self::of(std::slice::from_ref(tenant));
        seen.add(tenant, count);
        seen
    }

    /// So many more of this tenant.
    pub(crate) fn add(&mut self, tenant: &TenantId, count: u64) {
        match self.by_tenant.iter_mut().find(|(known, _)| known == tenant) {
            Some((_, counted)) => *counted += count,
            None => self.by_tenant.push((tenant.clone(), count)),
        }
    }
}

/// What is noted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Accesses {
    notes: Mutex<Notes>,
    /// What could not be written so far, when the thread that writes has stopped.
    waiting: Mutex<Vec<AccessEvent>>,
}

impl Accesses {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<AccessEvent>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a principal read or exported records: one note for each tenant of which it saw
    /// some, and one without where it saw none.
    pub(crate) fn note(&self, principal: &Principal, done: Done<'_>, seen: &Shown, now: Micros) {
        let Some(name) = principal.submitter() else {
            return;
        };
        let by = (principal.kind(), name.as_str());
        let mut notes = self.lock();
        if seen.by_tenant.is_empty() {
            notes.count(key(by, done, seen.only.as_ref()), 1, 0, now);
        }
        for (tenant, records) in &seen.by_tenant {
            notes.count(key(by, done, Some(tenant)), 1, *records, now);
        }
    }

    /// Notes that a viewer token was made which lasts so long.
    pub(crate) fn viewer_made(
        &self,
        principal: &Principal,
        (tenant, has_query, lasts): (&TenantId, bool, i64),
        now: Micros,
    ) {
        let route = "/v1/viewer-tokens";
        let detail = Detail::Viewer { has_query, lasts };
        self.changed(
            principal,
            (What::ViewerMade, route, detail),
            Some(tenant),
            now,
        );
    }

    /// Notes that an export was removed; on an open server, too.
    pub(crate) fn export_removed(
        &self,
        principal: &Principal,
        tenant: Option<&TenantId>,
        now: Micros,
    ) {
        let detail = Detail::Query(Box::default());
        let done = (What::ExportRemoved, "/v1/exports/{id}", detail);
        self.changed(principal, done, tenant, now);
    }

    fn changed(
        &self,
        principal: &Principal,
        (what, route, detail): (What, &'static str, Detail),
        tenant: Option<&TenantId>,
        now: Micros,
    ) {
        let name = principal.submitter();
        let key = Key {
            what,
            actor: (
                principal.kind(),
                name.as_deref().unwrap_or("anybody").into(),
            ),
            tenant: tenant.cloned(),
            route: route.into(),
            detail,
        };
        self.lock().count(key, 1, 0, now);
    }

    /// Counts more records to what was noted before, as a tail goes on to tell them; takes them
    /// out of `seen`. Those of the ledger's own logs are not counted: a record of who reads them
    /// would be one more to tell, for ever.
    pub(crate) fn more(
        &self,
        principal: &Principal,
        done: Done<'_>,
        seen: &mut Shown,
        now: Micros,
    ) {
        let told = seen.by_tenant.drain(..);
        let told: Vec<_> = told.filter(|(tenant, _)| !tenant.is_ours()).collect();
        let Some(name) = principal.submitter().filter(|_| !told.is_empty()) else {
            return;
        };
        let by = (principal.kind(), name.as_str());
        let mut notes = self.lock();
        for (tenant, records) in told {
            notes.count(key(by, done, Some(&tenant)), 0, records, now);
        }
    }
}

fn key(
    (kind, name): (&'static str, &str),
    (what, route, query): Done<'_>,
    tenant: Option<&TenantId>,
) -> Key {
    Key {
        what,
        actor: (kind, name.into()),
        tenant: tenant.cloned(),
        route: route.into(),
        detail: Detail::Query(redacted(query).into()),
    }
}
