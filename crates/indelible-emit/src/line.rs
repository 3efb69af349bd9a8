//! A line of telemetry per event that was made: that it is on its way, and what it is about.
//!
//! Off unless [`Options::log_events`](crate::Options) says so, and written by the worker. It has
//! no personal values: nobody who acted, and of the target only an id that is no address and no
//! secret.

use std::net::IpAddr;

use indelible_event::Event;
use indelible_event::redact::secret_parts;

/// What stands for a target's id that is not to be told.
const WITHHELD: &str = "[withheld]";

/// What the line says.
pub(crate) struct Line {
    action_type: String,
    target_type: String,
    target_id: String,
    outcome: String,
}

impl Line {
    /// The line of an event; `None` when nobody reads it.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        if !tracing::enabled!(target: "indelible::audit", tracing::Level::INFO) {
            return None;
        }
        let text = |text: &Option<String>| text.as_deref().map(told).unwrap_or_default().to_owned();
        let target = event.target.as_ref();
        Some(Self {
            action_type: text(&event.event_type),
            target_type: target.map(|target| text(&target.kind)).unwrap_or_default(),
            target_id: target.map(|target| text(&target.id)).unwrap_or_default(),
            outcome: text(&event.outcome),
        })
    }

    /// Writes it, as an event of a tenant.
    pub(crate) fn write(&self, tenant: &str) {
        tracing::info!(
            target: "indelible::audit",
            auditEvent = true,
            actionType = self.action_type,
            targetType = self.target_type,
            targetId = self.target_id,
            outcome = self.outcome,
            clientId = tenant,
            "Audit: {} on {}/{}",
            self.action_type,
            self.target_type,
            self.target_id,
        );
    }
}

fn told(text: &str) -> &str {
    let personal = text.contains('@') || text.parse::<IpAddr>().is_ok();
    // A line ends where it ends, whatever stands in an id.
    if personal || text.contains(char::is_control) || !secret_parts(text).is_empty() {
        WITHHELD
    } else {
        text
    }
}
