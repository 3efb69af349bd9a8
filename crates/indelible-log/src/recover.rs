//! Going on after a roll-back: a new incarnation, whose first records say what is missing.
//!
//! Nothing is repaired and nothing is hidden. The registry starts anew under an origin of its own,
//! so that no two checkpoints of one origin conflict; the tenants' logs go on from what is there,
//! and each log that lost published records says so in its next record. Somebody has to decide on
//! it.
//!
//! Order of outside writes: the new identity with the records still to be written, in one change
//! set; then the signer; the records at the next opening. If we die between the first two, opening
//! finds a signer of another origin, and recovery runs again.

use indelible_event::ids::TenantId;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::Finding;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::{Change, Error, Kind, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::env::Env;
use crate::log::{Stores, system_tenant};
use crate::own::own_event;
use crate::publish::Publisher;
use crate::registry::{
    PUBLISHED, PublishedHead, REGISTRY, identity, published_heads, put, put_identity,
    remove_registry_head, remove_staged, row,
};
use crate::sign::KeySigner;

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
pub fn recover<S>(stores: &Stores, key: &SigningKey, kept: S, env: &Env) -> Result<Recovered>
where
    S: SignerState + Clone + Send + Sync + std::fmt::Debug + 'static,
    S::Error: std::fmt::Display,
{
    let state = stores.state.as_ref();
    let (mut who, version) =
        identity(state)?.ok_or_else(|| Error::new(Kind::NotFound, "there is no ledger here"))?;
    let signer = KeySigner::new(key, &who.origin_in_force(), kept.clone())?;
    let findings = Publisher::open(stores, Some(std::sync::Arc::new(signer)))?.check(stores)?;
    if findings.is_empty() {
        let context = "the ledger extends what was signed: there is nothing to recover from";
        return Err(Error::new(Kind::Invalid, context));
    }
    let signed = signed_incarnation(&kept, &who.origin)?;
    who.incarnation = who.incarnation.max(signed) + 1;
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

fn outstanding(stores: &Stores, env: &Env, recovered: &Recovered) -> Result<Outstanding> {
    let state = stores.state.as_ref();
    let mut events = row::<Outstanding>(state, REGISTRY, RECOVERY)?
        .map(|(outstanding, _)| outstanding.events)
        .unwrap_or_default();
    let findings = serde_json::to_value(&recovered.findings)
        .map_err(|e| Error::new(Kind::Invalid, "the findings").caused_by(e))?;
    let data = json!({
        "findings": findings,
        "incarnation": recovered.incarnation,
        "origin": recovered.origin,
    });
    events.push(event(env, system_tenant()?, &recovered.origin, &data)?);
    for head in published_heads(state)?.into_values() {
        let size = stores
            .ledger
            .head(&head.tenant)?
            .map_or(0, |here| here.frontier.size());
        if size < head.size {
            let data = lost(&head, size, recovered.incarnation);
            events.push(event(env, head.tenant, &head.log_id, &data)?);
        }
    }
    Ok(Outstanding { events })
}

fn lost(head: &PublishedHead, size: u64, incarnation: u64) -> Value {
    json!({
        "first_missing": size,
        "incarnation": incarnation,
        "last_missing": head.size - 1,
        "published_root": head.root.to_string(),
    })
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

/// Everything outstanding has been written.
pub(crate) fn written(state: &dyn State) -> Result<()> {
    state.apply(&[Change {
        space: REGISTRY,
        key: RECOVERY.to_vec(),
        expected: None,
        value: None,
    }])
}
