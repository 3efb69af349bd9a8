//! `GET /v1/records/{audit_id}` and its proof.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use indelible_api::{Disclosures, ProblemKind, Record, Submitted};
use indelible_event::ids::{AuditId, TenantId};
use indelible_event::leaf::LeafView;
use indelible_event::view::EventView;
use indelible_log::Keyring;
use indelible_log::disclose::disclose;
use indelible_log::export::{Personal, joined_as};
use indelible_log::mask::Sight;
use indelible_log::prove::{prove, receipt};
use indelible_merkle::leaf_hash;
use indelible_proof::disclosure::DisclosureLine;
use indelible_proof::receipt::Receipt;
use indelible_proof::registry::RecordProof;
use indelible_query::page;
use indelible_store::{Error, Kind, SealedValue, Stored, StoredRecord};
use serde_json::value::RawValue;

use crate::access::Principal;
use crate::accesses::{Shown, What, hidden, missing};
use crate::answer::{Answer, Refusal, json, refuse};
use crate::app::App;
use crate::binding::{sees, sought};
use crate::guard::{Needs, allow};
use crate::list::parsed;
use crate::read::blocking;
use crate::submit::{Target, no_tenant, whose};

/// How it is called in records of what was denied.
const ROUTE: &str = "/v1/records/{audit_id}";
/// How many tenants are named where several have the id.
const NAMED_MAX: usize = 8;
/// How often and how long a proof waits for the next publication.
const PROOF_TRIES: u32 = 30;
const PROOF_PAUSE: Duration = Duration::from_millis(100);

/// A record as it goes out: the leaf, and the same with personal values back in place, as whoever
/// asks sees them.
pub(crate) fn record(
    (keyring, sight): (&Keyring, Sight),
    tenant: &TenantId,
    leaf: &[u8],
    sealed: &[SealedValue],
) -> Result<Record, Refusal> {
    let unreadable = || refuse(ProblemKind::Internal, "a stored record cannot be read");
    let view = LeafView::locate(leaf).map_err(|_| unreadable())?;
    let (event, personal) = joined_as(sight, keyring, tenant, view.event(), sealed)?;
    let span = view.event_span();
    let head = leaf.get(..span.start).unwrap_or_default();
    let tail = leaf.get(span.end..).unwrap_or_default();
    let whole = String::from_utf8([head, event.as_slice(), tail].concat());
    let whole = whole.ok().and_then(|text| RawValue::from_string(text).ok());
    Ok(Record {
        record: whole.ok_or_else(unreadable)?,
        record_hash: leaf_hash(leaf),
        leaf: std::str::from_utf8(leaf)
            .map_err(|_| unreadable())?
            .to_owned(),
        personal: match personal {
            Personal::Shown => None,
            Personal::Masked => Some(indelible_api::Personal::Masked),
            Personal::Closed => Some(indelible_api::Personal::Sealed),
        },
        disclosures: Vec::new(),
    })
}

/// By what the personal values of a record can be checked, for whoever sees them as they are: with
/// a salt somebody else could try which values they are.
fn disclosures(
    (keyring, sight): (&Keyring, Sight),
    tenant: &TenantId,
    stored: &StoredRecord<'_>,
) -> Result<Vec<Disclosures>, Refusal> {
    if sight != Sight::Clear || stored.sealed.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = || refuse(ProblemKind::Internal, "a stored record cannot be read");
    let leaf = LeafView::locate(stored.leaf).map_err(|_| unreadable())?;
    let event = EventView::parse(leaf.event()).map_err(|_| unreadable())?;
    let lines = disclose(keyring, tenant, &event, stored)?.lines.into_iter();
    let of_one = |line: DisclosureLine| Disclosures {
        subject: line.subject,
        disclosures: line
            .disclosures
            .iter()
            .map(|raw| raw.get().to_owned())
            .collect(),
    };
    Ok(lines.map(of_one).collect())
}

/// Reads one record.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    Path(id): Path<String>,
    query: Result<Query<Target>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let named = whose(query)?;
    let record = blocking(&app, move |app| {
        let (tenant, number) = find(app, &principal, named, &id)?;
        let record = stored(app, &tenant, number, principal.sight())?;
        let asked = format!("id:{id}");
        let done = (What::Read, "/v1/records/{audit_id}", asked.as_str());
        let (seen, now) = (Shown::records(&tenant, 1), app.env.clock.now());
        app.accesses.note(&principal, done, &seen, now);
        Ok(record)
    });
    json(StatusCode::OK, &record.await?)
}

/// Proves one record.
pub(crate) async fn proof(
    State(app): State<Arc<App>>,
    principal: Option<Extension<Principal>>,
    Path(id): Path<String>,
    query: Result<Query<Target>, QueryRejection>,
) -> Answer {
    let principal = allow(principal.as_deref(), Needs::Read)?.clone();
    let named = whose(query)?;
    let found = blocking(&app, move |app| {
        let found = find(app, &principal, named, &id)?;
        let asked = format!("id:{id}");
        let done = (What::Read, "/v1/records/{audit_id}/proof", asked.as_str());
        let (seen, now) = (Shown::records(&found.0, 1), app.env.clock.now());
        app.accesses.note(&principal, done, &seen, now);
        Ok(found)
    })
    .await?;
    for _ in 0..PROOF_TRIES {
        let (tenant, number) = found.clone();
        let proof: Option<RecordProof> = blocking(&app, move |app| {
            match prove(&app.stores, &tenant, number, app.key.as_ref()) {
                Ok(Ok(proof)) => Ok(Some(proof)),
                Ok(Err(finding)) => Err(Error::new(Kind::Corrupt, finding.to_string()).into()),
                // The record is there, so it is the checkpoint that is not.
                Err(error) if error.kind() == Kind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        if let Some(proof) = proof {
            return json(StatusCode::OK, &proof);
        }
        tokio::time::sleep(PROOF_PAUSE).await;
    }
    let text = "no checkpoint covers the record yet";
    Err(refuse(ProblemKind::Unavailable, text))
}

/// Where the record with this id is: an audit id, or else the id its source gave it. Ids are of a
/// tenant, so several may have it: then somebody must say whose is meant.
pub(crate) fn find(
    app: &App,
    principal: &Principal,
    named: Option<TenantId>,
    id: &str,
) -> Result<(TenantId, u64), Refusal> {
    let tenants = match named {
        None => app.visible(principal)?,
        Some(tenant) if app.is_there(principal, &tenant)? => vec![tenant],
        Some(tenant) => return Err(hidden(app, principal, ROUTE, &tenant)),
    };
    let mut found = Vec::new();
    if let Ok(audit_id) = AuditId::parse(id) {
        for tenant in &tenants {
            let numbers = app.stores.ledger.find(tenant, &[audit_id])?;
            let number = numbers.first().copied().flatten();
            let Some(number) = number else {
                continue;
            };
            if sees(app, principal, tenant, number)? {
                found.push((tenant.clone(), number));
            }
            if found.len() > NAMED_MAX {
                break;
            }
        }
    }
    if found.is_empty() {
        found = of_source(app, principal, tenants.clone(), id)?;
    }
    match found.as_slice() {
        [] => Err(missing(app, principal, ROUTE, &tenants)),
        [one] => Ok(one.clone()),
        several => Err(ambiguous(several)),
    }
}

/// The newest record with this id of its source, of each tenant that has one.
fn of_source(
    app: &App,
    principal: &Principal,
    mut tenants: Vec<TenantId>,
    id: &str,
) -> Result<Vec<(TenantId, u64)>, Refusal> {
    let quoted = id.replace('\\', "\\\\").replace('"', "\\\"");
    let mut found = Vec::new();
    let Ok(asked) = parsed(&format!("id:\"{quoted}\""), app.env.clock.now()) else {
        return Ok(found);
    };
    while found.len() <= NAMED_MAX && !tenants.is_empty() {
        let query = sought(app, principal, &asked, &tenants)?.query;
        let (index, ledger) = (app.index.as_ref(), app.stores.ledger.as_ref());
        let page = page(index, ledger, &query, None, 1)?;
        let Some(row) = page.rows.into_iter().next() else {
            break;
        };
        tenants.retain(|tenant| *tenant != row.place.tenant);
        found.push((row.place.tenant, row.place.sequence_number));
    }
    Ok(found)
}

fn ambiguous(found: &[(TenantId, u64)]) -> Refusal {
    let mut names: Vec<_> = found.iter().map(|(tenant, _)| tenant.as_str()).collect();
    names.sort_unstable();
    let more = if names.len() > NAMED_MAX {
        ", and more"
    } else {
        ""
    };
    names.truncate(NAMED_MAX);
    let text = format!(
        "several tenants have a record with this id: {}{more}",
        names.join(", ")
    );
    refuse(ProblemKind::Ambiguous, text)
}

/// The record that stands there.
pub(crate) fn stored(
    app: &App,
    tenant: &TenantId,
    number: u64,
    sight: Sight,
) -> Result<Record, Refusal> {
    let mut found = Err(refuse(ProblemKind::NotFound, "there is no such record"));
    app.stores
        .ledger
        .read(tenant, number..number + 1, &mut |stored| {
            found = match stored {
                Stored::Record(stored) => {
                    let with = (app.keyring.as_ref(), sight);
                    record(with, tenant, stored.leaf, stored.sealed).and_then(|record| {
                        let disclosures = disclosures(with, tenant, &stored)?;
                        Ok(Record {
                            disclosures,
                            ..record
                        })
                    })
                }
                Stored::Damaged { .. } => Err(refuse(
                    ProblemKind::Internal,
                    "the stored record is damaged",
                )),
            };
            ControlFlow::Break(())
        })?;
    found
}

/// A record that must be there before a search: named by its receipt, or by its place.
#[derive(Debug)]
pub(crate) struct After {
    pub(crate) tenant: TenantId,
    number: u64,
    receipt: Option<Receipt>,
}

impl After {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || {
            let text = "`after` is a receipt as JSON, or tenant_id/sequence_number";
            refuse(ProblemKind::BadRequest, text)
        };
        if text.trim_start().starts_with('{') {
            // The receipt alone, or the whole answer that it came in.
            let receipt: Receipt = serde_json::from_str(text)
                .or_else(|_| serde_json::from_str(text).map(|answer: Submitted| answer.receipt))
                .map_err(|_| wrong())?;
            return Ok(Self {
                tenant: receipt.tenant_id.clone(),
                number: receipt.sequence_number,
                receipt: Some(receipt),
            });
        }
        let (tenant, number) = text.rsplit_once('/').ok_or_else(wrong)?;
        Ok(Self {
            tenant: TenantId::parse(tenant).map_err(|_| wrong())?,
            number: number.parse().map_err(|_| wrong())?,
            receipt: None,
        })
    }

    /// Whether the record is durable and found here; one that the principal may not see never is.
    pub(crate) fn is_there(&self, app: &App, principal: &Principal) -> Result<bool, Refusal> {
        let head = app.stores.ledger.head(&self.tenant)?;
        let head = head.ok_or_else(|| no_tenant(&self.tenant))?;
        if head.frontier.size() <= self.number {
            return Ok(false);
        }
        if !sees(app, principal, &self.tenant, self.number)? {
            return Ok(false);
        }
        if let Some(known) = &self.receipt {
            let stored = receipt(app.stores.ledger.as_ref(), &self.tenant, self.number)?;
            if stored != *known {
                let text = format!(
                    "record {} of {} is not the one that the receipt in `after` is of: the receipt \
                     is of another ledger, or this one was rolled back",
                    self.number, self.tenant
                );
                return Err(refuse(ProblemKind::ForeignReceipt, text));
            }
        }
        Ok(true)
    }
}
