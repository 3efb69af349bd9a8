//! Delivery into a ledger in this process.
//!
//! What is committed is published, so that it can be proved: at most once a second while events
//! come, and when the audit trail is closed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_directory::{Directory, Names, OpenError, delivery};
use indelible_emit::{Attached, Outgoing, Transport, Verdict};
use indelible_event::catalogue::NATIVE;
use indelible_event::{Mode, TenantId};
use indelible_log::log::Log;
use indelible_log::policy::SealingPolicy;
use indelible_log::prepare::Admission;
use indelible_store::Kind;

use crate::error::{Doing, Error, Result};
use crate::process::env;

/// The shortest time between two publications while events come.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The transport into the ledger of a directory; the emitter and each relay has one of its own.
#[derive(Debug)]
pub(crate) struct Embedded {
    log: Arc<Log>,
    admission: Arc<Admission>,
    published: Instant,
    /// Whether something was committed since.
    unpublished: bool,
}

impl Embedded {
    /// Opens the ledger in `path`, whose keys lie under `keys`.
    pub(crate) fn open(path: &Path, keys: &Path, sealing: SealingPolicy) -> Result<Self> {
        let admission = Admission {
            mode: Mode::Strict,
            catalogue: &NATIVE,
            dialect: None,
            submitted_by: None,
            via: Some("sdk".to_owned()),
            sealing: Arc::new(sealing),
        };
        Ok(Self::of(Arc::new(open(path, keys)?), Arc::new(admission)))
    }

    fn of(log: Arc<Log>, admission: Arc<Admission>) -> Self {
        Self {
            log,
            admission,
            published: Instant::now(),
            unpublished: false,
        }
    }

    /// Other transports into the same ledger, for as long as it is open.
    #[cfg(feature = "relay")]
    pub(crate) fn way(&self) -> crate::relay::Way {
        let log = Arc::downgrade(&self.log);
        let admission = Arc::clone(&self.admission);
        let closed = || Error::Relay("the audit trail is closed".to_owned());
        crate::relay::Way::new(move || {
            let log = log.upgrade().ok_or_else(closed)?;
            Ok(Self::of(log, Arc::clone(&admission)))
        })
    }

    /// What fails here is tried again with the next publication; what was committed stays so.
    fn publish(&mut self) {
        self.published = Instant::now();
        self.unpublished = self.log.publish().is_err();
    }
}

impl Transport for Embedded {
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        let verdicts = delivery::deliver(&self.log, &self.admission, batch);
        self.unpublished |= verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Committed(_) | Verdict::Repeated { .. }));
        verdicts
    }

    fn attach(
        &mut self,
        tenant: &TenantId,
        attached: &[Attached],
    ) -> std::result::Result<(), (usize, Verdict)> {
        delivery::attach(&self.log, tenant, attached)
    }

    fn rest(&mut self) {
        if self.unpublished && self.published.elapsed() >= PUBLISH_INTERVAL {
            self.publish();
        }
    }

    fn finish(&mut self) {
        if self.unpublished {
            self.publish();
        }
    }
}

/// The writer of the ledger in `path`, made with its keys when there is none.
fn open(path: &Path, keys: &Path) -> Result<Log> {
    let names = Names {
        database: None,
        data: path.to_path_buf(),
        keys: keys.to_path_buf(),
    };
    let directory = match Directory::write(&names, None, env(), &mut |_| ()) {
        Err(error) if error.kind() == Kind::Locked => {
            return Err(Error::Locked(path.to_path_buf(), error.to_string()));
        }
        other => other.doing("open", path)?,
    };
    match directory.log(None) {
        Ok(log) => Ok(log),
        Err(OpenError::NoSigningKey(folder)) => Err(Error::NoSigningKey(folder)),
        Err(OpenError::NotExtending(findings)) => {
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(Error::NotExtending(findings.join("; ")))
        }
        Err(OpenError::Store(error)) => Err(error).doing("open", path),
    }
}
