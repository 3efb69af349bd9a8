//! The verifier's passes in the background, and the two verdicts of the last one per tenant.
//!
//! A pass reads every log that grew since the pass before, and every other that was not read for an
//! hour, from its start: only that shows that what was committed long ago is still there. It works
//! at the pace of `pace`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use indelible_api::{Completeness, Integrity, Logs, Verdict};
use indelible_event::ids::TenantId;
use indelible_log::verify::{Anchors, verify_log};
use indelible_proof::stream::Completeness as Claim;
use indelible_proof::verify::{Anchor, Trust};

use crate::app::App;
use crate::pace::Pace;
use crate::serve::Stop;

/// Findings and streams of one log that are told.
const TOLD_MAX: usize = 100;

/// The newest verdicts.
#[derive(Default)]
pub(crate) struct Verdicts(RwLock<BTreeMap<TenantId, Found>>);

struct Found {
    verdict: Verdict,
    at: Instant,
}

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verdicts")
    }
}

impl Verdicts {
    /// The verdict on the tenant's log, once there is one.
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<Verdict> {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(tenant).map(|found| found.verdict.clone())
    }

    fn put(&self, tenant: &TenantId, verdict: Verdict) {
        let at = Instant::now();
        let mut verdicts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(tenant.clone(), Found { verdict, at });
    }

    /// A log that cannot be read has no verdict, whatever it was.
    fn forget(&self, tenant: &TenantId) {
        let mut verdicts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        verdicts.remove(tenant);
    }

    /// Whether the log of this size was found to be whole within so long.
    fn is_fresh(&self, tenant: &TenantId, size: Option<u64>, within: Duration) -> bool {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(tenant).is_some_and(|Found { verdict, at }| {
            verdict.integrity == Integrity::Anchored
                && Some(verdict.records) == size
                && verdict.anchored_records == verdict.records
                && at.elapsed() < within
        })
    }

    /// Counts the logs of these tenants.
    pub(crate) fn count(&self, tenants: &[TenantId]) -> Logs {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut logs = Logs::default();
        for tenant in tenants {
            logs.all += 1;
            match verdicts.get(tenant).map(|found| found.verdict.integrity) {
                Some(Integrity::Anchored) => logs.anchored += 1,
                Some(Integrity::Broken) => logs.broken += 1,
                Some(Integrity::ConsistentNotAnchored) | None => {}
            }
        }
        logs
    }

    /// Keeps the tenants whose logs have this verdict.
    pub(crate) fn retain(&self, tenants: &mut Vec<TenantId>, wanted: Integrity) {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|tenant| {
            verdicts
                .get(tenant)
                .is_some_and(|v| v.verdict.integrity == wanted)
        });
    }

    fn broken(&self) -> u64 {
        let verdicts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let broken = verdicts
            .values()
            .filter(|found| found.verdict.integrity == Integrity::Broken);
        broken.count() as u64
    }
}

/// Verifies until the server stops.
pub(crate) fn run(app: &Arc<App>, anchors: &dyn Fn() -> Anchors, stop: &Stop) {
    let alive = || app.metrics.verifier_alive(app.env.clock.now());
    let mut pace = Pace::new(stop, app.settings.verify_interval, &alive);
    loop {
        if pass(app, anchors, &mut pace).is_break() {
            return;
        }
        app.metrics.verified(app.verdicts.broken());
        if pace.rest(app.settings.verify_interval).is_break() {
            return;
        }
    }
}

fn pass(app: &App, anchors: &dyn Fn() -> Anchors, pace: &mut Pace<'_>) -> ControlFlow<()> {
    let tenants = match app.stores.ledger.tenants() {
        Ok(tenants) => tenants,
        Err(error) => {
            tracing::error!(%error, "the verifier cannot list the tenants");
            return ControlFlow::Continue(());
        }
    };
    let anchors = anchors();
    for tenant in tenants {
        pace.step()?;
        let size = app
            .stores
            .ledger
            .head(&tenant)
            .ok()
            .flatten()
            .map(|head| head.frontier.size());
        if app
            .verdicts
            .is_fresh(&tenant, size, app.settings.verify_again)
        {
            continue;
        }
        let mut ended = ControlFlow::Continue(());
        let verified = verify_log(&app.stores, &app.keyring, &tenant, &anchors, &mut |_, _| {
            ended = pace.step();
            ended
        });
        ended?;
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
                app.verdicts.forget(&tenant);
                let tenant = tenant.as_str();
                tracing::error!(tenant, %error, "the verifier cannot read a log");
            }
        }
    }
    ControlFlow::Continue(())
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
