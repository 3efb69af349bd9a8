//! The verifier's passes in the background, and the two verdicts of the last one per tenant.
//!
//! A pass reads every log that grew since the pass before. The pause after it is at least twenty
//! times as long as it took, so that it takes a twentieth of one core at most.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use indelible_api::{Completeness, Integrity, Verdict};
use indelible_event::ids::TenantId;
use indelible_log::verify::{Anchors, verify_log};
use indelible_proof::stream::Completeness as Claim;
use indelible_proof::verify::{Anchor, Trust};

use crate::app::App;
use crate::serve::Stop;

const PAUSE_FACTOR: u32 = 20;
/// Findings and streams of one log that are told.
const TOLD_MAX: usize = 100;

/// The newest verdicts.
#[derive(Default)]
pub(crate) struct Verdicts(RwLock<BTreeMap<TenantId, Verdict>>);

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verdicts")
    }
}

impl Verdicts {
    /// The verdict on the tenant's log, once there is one.
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<Verdict> {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(tenant).cloned()
    }

    fn put(&self, tenant: &TenantId, verdict: Verdict) {
        let mut verdicts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(tenant.clone(), verdict);
    }

    fn broken(&self) -> u64 {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let broken = verdicts
            .values()
            .filter(|v| v.integrity == Integrity::Broken);
        broken.count() as u64
    }
}

/// Verifies until the server stops.
pub(crate) fn run(app: &Arc<App>, anchors: &dyn Fn() -> Anchors, stop: &Stop) {
    loop {
        let began = Instant::now();
        pass(app, anchors, stop);
        app.metrics.verified(app.verdicts.broken());
        let pause = app
            .settings
            .verify_interval
            .max(began.elapsed() * PAUSE_FACTOR);
        let until = Instant::now() + pause;
        // In short steps, so that a long pause shows signs of life too.
        loop {
            app.metrics.verifier_alive(app.env.clock.now());
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if stop.wait(left.min(app.settings.verify_interval)) {
                return;
            }
        }
    }
}

fn pass(app: &Arc<App>, anchors: &dyn Fn() -> Anchors, stop: &Stop) {
    let tenants = match app.stores.ledger.tenants() {
        Ok(tenants) => tenants,
        Err(error) => return tracing::error!(%error, "the verifier cannot list the tenants"),
    };
    let anchors = anchors();
    for tenant in tenants {
        if stop.is_stopped() {
            return;
        }
        let size = app
            .stores
            .ledger
            .head(&tenant)
            .ok()
            .flatten()
            .map(|head| head.frontier.size());
        let before = app.verdicts.of(&tenant);
        let unchanged = |v: Verdict| {
            v.integrity == Integrity::Anchored
                && Some(v.records) == size
                && v.anchored_records == v.records
        };
        if before.is_some_and(unchanged) {
            continue;
        }
        let alive = || app.metrics.verifier_alive(app.env.clock.now());
        alive();
        let verified = verify_log(&app.stores, &app.keyring, &tenant, &anchors, &mut |_| {
            alive();
        });
        match verified {
            Ok(verdict) => {
                let verdict = told(&verdict, app.env.clock.now().to_rfc3339());
                if verdict.integrity == Integrity::Broken {
                    let findings = verdict.findings.len();
                    tracing::error!(
                        tenant = tenant.as_str(),
                        findings,
                        "a log is not what it was"
                    );
                }
                app.verdicts.put(&tenant, verdict);
            }
            Err(error) => {
                tracing::error!(%error, "the verifier cannot read a log");
            }
        }
    }
}

fn told(verdict: &indelible_proof::verify::Verdict, verified_at: String) -> Verdict {
    let anchored = match &verdict.anchored {
        Anchor::Checkpoint {
            size,
            trust: Trust::Key,
            ..
        } => *size,
        _ => 0,
    };
    let integrity = match (verdict.is_sound(), anchored) {
        (false, _) => Integrity::Broken,
        (true, 0) => Integrity::ConsistentNotAnchored,
        (true, _) => Integrity::Anchored,
    };
    let all = &verdict.completeness;
    let streams = all.iter().filter(|s| s.stream.is_some()).take(TOLD_MAX);
    let unnumbered = all.iter().filter(|s| s.stream.is_none());
    let found = verdict.integrity.iter().take(TOLD_MAX);
    Verdict {
        verified_at,
        records: verdict.records_checked,
        anchored_records: anchored,
        integrity,
        findings: found.map(ToString::to_string).collect(),
        completeness: streams
            .map(|stream| Completeness {
                stream: stream.stream.clone().unwrap_or_default(),
                verdict: stream.to_string(),
                clean: matches!(stream.completeness(), Claim::Complete | Claim::Open),
            })
            .collect(),
        unnumbered: unnumbered.map(|stream| stream.records).sum(),
    }
}
