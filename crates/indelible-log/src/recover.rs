//! Going on after a roll-back: a new incarnation, whose first records say what is missing.
//!
//! Nothing is repaired and nothing is hidden. The registry starts anew under an origin of its own,
//! so that no two checkpoints of one origin conflict; the logs go on from what is there, and each
//! says so in its next record, with what is known to be missing of it (`spec/checkpoint.md` §5). A
//! log that cannot be written to says it as soon as it can, and is not published before. Somebody
//! has to decide on it.
//!
//! Order of outside writes: the new identity with the records still to be written, in one change
//! set; then the signer; the records at the next opening. If we die between the first two, opening
//! finds a signer of another origin, and recovery runs again.

use std::collections::{BTreeMap, BTreeSet};

use indelible_event::ids::TenantId;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::Finding;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::{Change, Error, Kind, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::env::Env;
use crate::keyring::Keyring;
use crate::log::{Stores, system_tenant};
use crate::own::own_event;
use crate::publish::Publisher;
use crate::registry::{
    Identity, LogRow, PUBLISHED, PublishedHead, REGISTRY, TENANTS, identity, log_row,
    published_heads, put, put_identity, remove_registry_head, remove_staged, row, staged,
};
use crate::sign::KeySigner;
use crate::verify::who_it_says;

const RECOVERY: &[u8] = b"recovery";

/// What a recovery found and began.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The number of the new incarnation.
    pub incarnation: u64,
    /// Its origin.
    pub origin: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Records that the next opening writes first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outstanding {
    pub(crate) events: Vec<OutstandingEvent>,
}

/// One of them: its tenant and its canonical bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OutstandingEvent {
    pub(crate) tenant: TenantId,
    pub(crate) event: String,
}

/// Begins a new incarnation of a ledger that does not extend what was signed.
///
/// # Errors
/// [`Kind::Invalid`] when the ledger does extend it: there is nothing to recover from.
pub fn recover<S>(
    stores: &Stores,
    keyring: &Keyring,
    key: &SigningKey,
    kept: S,
    env: &Env,
) -> Result<Recovered>
where
    S: SignerState + Clone + Send + Sync + std::fmt::Debug + 'static,
    S::Error: std::fmt::Display,
{
    let state = stores.state.as_ref();
    let (mut who, version) =
        identity(state)?.ok_or_else(|| Error::new(Kind::NotFound, "there is no ledger here"))?;
    let signer = KeySigner::new(key, &who.origin_in_force(), kept.clone())?;
    let mut publisher = Publisher::open(stores, Some(std::sync::Arc::new(signer)))?;
    let findings = publisher.check(stores, keyring)?;
    if findings.is_empty() {
        let context = "the ledger extends what was signed: there is nothing to recover from";
        return Err(Error::new(Kind::Invalid, context));
    }
    let signed = signed_incarnation(&kept, &who.origin)?;
    who.incarnation = who.incarnation.max(signed) + 1;
    let rows = forgotten(stores, &mut who)?;
    let origin = who.origin_in_force();
    let recovered = Recovered {
        incarnation: who.incarnation,
        origin: origin.clone(),
        findings,
    };
    let mut changes = vec![
        put_identity(&who, Some(version))?,
        put(
            REGISTRY,
            RECOVERY,
            None,
            &outstanding(stores, env, &recovered)?,
        )?,
        remove_registry_head(),
        remove_staged(),
    ];
    changes.extend(rows);
    for slot in published_heads(state)?.keys() {
        let key = slot.to_be_bytes().to_vec();
        changes.push(Change {
            space: PUBLISHED,
            key,
            expected: None,
            value: None,
        });
    }
    state.apply(&changes)?;
    // If we die here, the signer still names the old origin, and recovery is asked for again.
    KeySigner::restart(key, &origin, kept)?;
    Ok(recovered)
}

/// The incarnation that the signer last signed for. A copy of the data directory may have been
/// recovered before, and no origin may be begun twice.
fn signed_incarnation<S>(kept: &S, origin: &str) -> Result<u64>
where
    S: SignerState,
    S::Error: std::fmt::Display,
{
    let bytes = kept
        .load()
        .map_err(|e| Error::new(Kind::Unavailable, format!("the signer's state: {e}")))?;
    let signed = bytes.and_then(|bytes| SignedCheckpoint::parse(&bytes).ok());
    let number = signed.and_then(|signed| {
        let rest = signed.unverified().origin.strip_prefix(origin)?;
        rest.strip_prefix('/')?.parse().ok()
    });
    Ok(number.unwrap_or(1))
}

/// What each log is to say: `log.recovered`, after what an earlier recovery left to be written.
fn outstanding(stores: &Stores, env: &Env, recovered: &Recovered) -> Result<Outstanding> {
    let state = stores.state.as_ref();
    let mut events = pending(state)?.unwrap_or_default().events;
    let mut signed = published_heads(state)?;
    signed.extend(staged(state)?.into_iter().flat_map(|staged| staged.heads));
    let signed: BTreeMap<TenantId, PublishedHead> = signed
        .into_values()
        .map(|head| (head.tenant.clone(), head))
        .collect();
    let system = system_tenant()?;
    let mut logs: BTreeSet<TenantId> = stores.ledger.tenants()?.into_iter().collect();
    logs.extend(signed.keys().cloned());
    logs.insert(system.clone());
    let count = logs.len();
    for tenant in logs {
        let head = signed.get(&tenant);
        let size = match stores.ledger.head(&tenant) {
            Ok(here) => Some(here.map_or(0, |here| here.frontier.size())),
            // How much of a damaged log is there is not known.
            Err(e) if e.kind() == Kind::Corrupt => None,
            Err(e) => return Err(e),
        };
        let mut data = lost(head, size, recovered, tenant.as_str())?;
        if tenant == system
            && let Some(data) = data.as_object_mut()
        {
            data.insert("logs".to_owned(), json!(count));
        }
        events.push(event(env, tenant, &recovered.origin, &data)?);
    }
    Ok(Outstanding { events })
}

/// What a log says about its recovery: nothing of other tenants' logs.
fn lost(
    head: Option<&PublishedHead>,
    size: Option<u64>,
    recovered: &Recovered,
    tenant: &str,
) -> Result<Value> {
    let concerns = |finding: &&Finding| finding.tenant_id.as_deref().is_none_or(|of| of == tenant);
    let findings: Vec<_> = recovered.findings.iter().filter(concerns).collect();
    let findings = serde_json::to_value(findings)
        .map_err(|e| Error::new(Kind::Invalid, "the findings").caused_by(e))?;
    let missing = head
        .zip(size)
        .filter(|(head, size)| *size < head.size)
        .map(|(head, size)| [size, head.size - 1]);
    let last_signed = head.map(|head| json!({"root": head.root.to_string(), "size": head.size}));
    Ok(json!({
        "findings": findings,
        "incarnation": recovered.incarnation,
        "last_signed": last_signed,
        "missing": missing,
        "origin": recovered.origin,
    }))
}

/// Rows for logs that the registry knows nothing of, since it went back further than they did:
/// without one a log is never published again. Each takes the next slot, in the order of the slots
/// that they had.
fn forgotten(stores: &Stores, who: &mut Identity) -> Result<Vec<Change>> {
    let state = stores.state.as_ref();
    let mut logs = Vec::new();
    for tenant in stores.ledger.tenants()? {
        // A log whose first record cannot be read stays as it is.
        if log_row(state, &tenant)?.is_none()
            && let Some(said) = who_it_says(stores, &tenant)?
        {
            logs.push((said.slot, said.log_id, tenant));
        }
    }
    logs.sort();
    let mut changes = Vec::new();
    for (_, log_id, tenant) in logs {
        let slot = who.slots;
        who.slots += 1;
        let row = LogRow { log_id, slot };
        changes.push(put(TENANTS, tenant.as_str().as_bytes(), Some(0), &row)?);
    }
    Ok(changes)
}

fn event(env: &Env, tenant: TenantId, about: &str, data: &Value) -> Result<OutstandingEvent> {
    let own = own_event(
        (env, env.clock.now()),
        "log.recovered",
        ("log", about),
        data,
    );
    let event = String::from_utf8(own.bytes)
        .map_err(|e| Error::new(Kind::Invalid, "a record of the ledger's own").caused_by(e))?;
    Ok(OutstandingEvent { tenant, event })
}

/// What is still to be written after a recovery.
pub(crate) fn pending(state: &dyn State) -> Result<Option<Outstanding>> {
    Ok(row(state, REGISTRY, RECOVERY)?.map(|(outstanding, _)| outstanding))
}

/// What of it could not be written stays outstanding.
pub(crate) fn written(state: &dyn State, left: &Outstanding) -> Result<()> {
    let change = if left.events.is_empty() {
        Change {
            space: REGISTRY,
            key: RECOVERY.to_vec(),
            expected: None,
            value: None,
        }
    } else {
        put(REGISTRY, RECOVERY, None, left)?
    };
    state.apply(&[change])
}
