//! Who read, exported or was denied what: noted in memory while requests are answered, and written
//! to the log `_system` by a thread of its own.
//!
//! What one principal asks in the same words is one note for a minute: how many requests, from when
//! to when, how many records were seen. A request only counts in a map. Notes are bounded in number
//! and bytes, and so is what one principal can make of them; what finds no room is counted, and the
//! count is a record too. Not recorded is what happens on an open server, where nobody is anybody.
//! Source: DESIGN §5; `docs/server.md`, "Who read what".

mod notes;
mod written;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_api::ProblemKind;
use indelible_event::ids::{Micros, TenantId};
use indelible_log::AccessEvent;

use crate::access::Principal;
use crate::answer::Refusal;
use crate::app::App;
use crate::submit::no_tenant;

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
}

impl What {
    const ALL: [Self; 3] = [Self::Read, Self::Exported, Self::Denied];

    fn event_type(self) -> &'static str {
        match self {
            Self::Read => "access.read",
            Self::Exported => "access.exported",
            Self::Denied => "access.denied",
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Read | Self::Exported => "success",
            Self::Denied => "denied",
        }
    }
}

/// What was done, by which route as we write it, and the query as it was written: empty for all
/// records.
pub(crate) type Done<'a> = (What, &'static str, &'a str);

/// How many records an answer showed, by tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The tenant that was asked about, if it was one.
    only: Option<TenantId>,
    by_tenant: Vec<(TenantId, u64)>,
}

impl Seen {
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
    pub(crate) fn note(&self, principal: &Principal, done: Done<'_>, seen: &Seen, now: Micros) {
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

    /// Counts more records to what was noted before, as a tail goes on to tell them; takes them
    /// out of `seen`. Those of the ledger's own logs are not counted: a record of who reads them
    /// would be one more to tell, for ever.
    pub(crate) fn more(&self, principal: &Principal, done: Done<'_>, seen: &mut Seen, now: Micros) {
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

    /// Notes that something is not for whoever asked, by the route, the kind of the problem, and
    /// what is known of him.
    pub(crate) fn denied(&self, by: Denied<'_>, (route, why): (&str, ProblemKind), now: Micros) {
        let (actor, tenant, detail) = match by {
            Denied::Principal(principal, tenant) => {
                let Some(name) = principal.submitter() else {
                    return;
                };
                let why = why.name();
                let detail = Detail::Refused(why, None, None);
                ((principal.kind(), name.into()), tenant.cloned(), detail)
            }
            Denied::Nobody { key, peer } => {
                let network = peer.map(|peer| network(peer).into());
                let detail = Detail::Refused(why.name(), key.map(Into::into), network);
                (("anonymous", "anybody".into()), None, detail)
            }
        };
        let key = Key {
            what: What::Denied,
            actor,
            tenant,
            route: route.into(),
            detail,
        };
        self.lock().count(key, 1, 0, now);
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
        detail: Detail::Query(query.into()),
    }
}

/// Who is denied something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied<'a> {
    /// Somebody who is known, and whose records he asked for.
    Principal(&'a Principal, Option<&'a TenantId>),
    /// Nobody who is known.
    Nobody {
        /// The id of the key that he claims to have, if there is such a key.
        key: Option<&'a str>,
        /// The address of his connection.
        peer: Option<IpAddr>,
    },
}

/// The answer to who asks for a tenant that is not there, or not for him; the one is told from the
/// other when it is written.
pub(crate) fn hidden(
    app: &App,
    principal: &Principal,
    route: &'static str,
    tenant: &TenantId,
) -> Refusal {
    let by = Denied::Principal(principal, Some(tenant));
    let now = app.env.clock.now();
    app.accesses.denied(by, (route, ProblemKind::NotFound), now);
    no_tenant(tenant).into()
}

/// The network that an address is in, as far as one subscriber has it.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}
