//! The events of the demo: who, what and on what, drawn with a seed.

use indelible_event::ids::{Micros, TenantId};
use serde_json::{Value, json};

use super::producers::audit_id;
use super::runs::Runs;

const TENANTS: [&str; 12] = [
    "acme",
    "globex",
    "initech",
    "umbra-health",
    "northwind",
    "hooli",
    "contoso",
    "stark-labs",
    "wayfarer",
    "bluebird-bank",
    "orchard",
    "tidepool",
];
const PEOPLE: [(&str, &str); 16] = [
    ("ada", "Ada Okafor"),
    ("bert-jan", "Bert-Jan de Wit"),
    ("chen", "Chen Li"),
    ("dana", "Dana Petrov"),
    ("elif", "Elif Kaya"),
    ("farid", "Farid Haddad"),
    ("grace", "Grace Mbeki"),
    ("hana", "Hana Sato"),
    ("ines", "Inês Duarte"),
    ("jonas", "Jonas Berg"),
    ("kofi", "Kofi Mensah"),
    ("lena", "Lena Novak"),
    ("mateo", "Mateo Rossi"),
    ("noor", "Noor Rahman"),
    ("olga", "Olga Ivanova"),
    ("priya", "Priya Nair"),
];
const AGENTS: [(&str, &str); 4] = [
    ("publisher", "large-3"),
    ("triage", "large-3"),
    ("invoice-reader", "small-2"),
    ("support-writer", "medium-1"),
];
const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0",
    "Mozilla/5.0 (Macintosh) Safari/19.0",
    "Mozilla/5.0 (Windows NT 10.0) Chrome/142.0",
];

/// What happens: type, target type, description, outcome in the ordinary case, weight.
const HAPPENINGS: [(&str, &str, &str, u64); 22] = [
    ("auth.login", "session", "signed in with a password", 14),
    ("auth.logout", "session", "signed out", 6),
    (
        "auth.mfa.challenged",
        "session",
        "was asked for a second factor",
        4,
    ),
    ("user.invited", "user", "invited a colleague", 2),
    ("user.role.changed", "user", "changed a role", 2),
    ("document.viewed", "document", "looked at a document", 16),
    ("document.updated", "document", "changed a document", 9),
    (
        "document.shared",
        "document",
        "shared a document outside the company",
        3,
    ),
    ("document.deleted", "document", "deleted a document", 2),
    ("payment.captured", "payment", "took a payment", 8),
    ("payment.refunded", "payment", "gave money back", 2),
    ("invoice.sent", "invoice", "sent an invoice", 5),
    ("storage.bucket.created", "bucket", "made a bucket", 1),
    ("storage.bucket.deleted", "bucket", "deleted a bucket", 1),
    ("secret.read", "secret", "read a secret", 2),
    ("deploy.started", "service", "started a deployment", 2),
    ("deploy.finished", "service", "finished a deployment", 2),
    ("content.publish", "post", "published a post", 5),
    (
        "ticket.classified",
        "ticket",
        "put a ticket into a class",
        5,
    ),
    ("report.exported", "report", "exported a report", 2),
    (
        "permission.checked",
        "record",
        "asked for something above the role",
        3,
    ),
    ("job.completed", "job", "finished a nightly job", 4),
];

/// Draws events.
#[derive(Debug)]
pub struct Player {
    state: u64,
    made: u64,
    runs: Runs,
}

impl Player {
    /// One that plays what its seed says.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            made: 0,
            runs: Runs::default(),
        }
    }

    /// A number below the bound (`SplitMix64`).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len() as u64);
        of.get(usize::try_from(at).ok()?).copied()
    }

    /// The next event, which happens at this time, and whose it is.
    pub fn next(&mut self, at: i64) -> Option<(TenantId, String)> {
        // Some tenants are busier than others.
        let last = self.below(TENANTS.len() as u64) + 1;
        let tenant = usize::try_from(self.below(last)).ok()?;
        let tenant = TENANTS.get(tenant)?;
        let (kind, target, said, _) = self.happening()?;
        self.made += 1;
        let number = self.below(400) + 1;
        let mut event = json!({
            "actor": self.actor(kind, tenant)?,
            "audit_id": audit_id(at, self),
            "context": {
                "correlation_id": format!("corr-{:06x}", self.below(1 << 20)),
                "request_id": format!("req-{:08}", self.made),
            },
            "description": said,
            "event_type": kind,
            "occurred_at": Micros(at).to_rfc3339(),
            "source": {"service": kind.split('.').next()},
            "target": {"id": format!("{target}-{number}"), "type": target},
        });
        self.end(&mut event, kind);
        let details = self.details(kind);
        let members = event.as_object_mut()?;
        members.extend(details.as_object().cloned().unwrap_or_default());
        if event["actor"]["type"] == "agent" {
            self.runs.join(tenant, &mut event);
        }
        Some((TenantId::parse(tenant).ok()?, event.to_string()))
    }

    fn happening(&mut self) -> Option<(&'static str, &'static str, &'static str, u64)> {
        let all = HAPPENINGS.iter().map(|(_, _, _, weight)| weight).sum();
        let mut left = self.below(all);
        HAPPENINGS.into_iter().find(|(_, _, _, weight)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        })
    }

    fn actor(&mut self, kind: &str, tenant: &str) -> Option<Value> {
        if matches!(kind, "content.publish" | "ticket.classified") {
            let (agent, _) = self.one_of(&AGENTS)?;
            return Some(json!({"id": format!("agent:{agent}"), "type": "agent"}));
        }
        if matches!(kind, "job.completed" | "deploy.finished") {
            return Some(json!({"id": "nightly", "type": "scheduler"}));
        }
        let (id, name) = self.one_of(&PEOPLE)?;
        let block = self.one_of(&["192.0.2", "198.51.100", "203.0.113"])?;
        Some(json!({
            "email": format!("{id}@{tenant}.example"),
            "id": id,
            "ip": format!("{block}.{}", self.below(254) + 1),
            "name": name,
            "type": "user",
            "user_agent": self.one_of(&BROWSERS)?,
        }))
    }

    /// How it ended: mostly well.
    fn end(&mut self, event: &mut Value, kind: &str) {
        let chance = self.below(100);
        let (outcome, severity, code) = match kind {
            "permission.checked" => ("denied", "warning", Some("MissingRole")),
            "auth.login" if chance < 12 => ("failure", "warning", Some("WrongPassword")),
            "payment.captured" if chance < 8 => ("failure", "error", Some("CardDeclined")),
            "secret.read" if chance < 30 => ("denied", "critical", Some("AccessDenied")),
            "deploy.finished" if chance < 15 => ("rolled_back", "error", Some("HealthCheckFailed")),
            _ if chance < 2 => ("timed_out", "warning", Some("Timeout")),
            _ => ("success", "info", None),
        };
        event["outcome"] = json!(outcome);
        event["severity"] = json!(severity);
        if let Some(code) = code {
            event["error"] = json!({"code": code});
        }
    }

    fn details(&mut self, kind: &str) -> Value {
        let duration = 5 + self.below(900);
        match kind {
            "content.publish" | "ticket.classified" => {
                let (prompt, answer) = (200 + self.below(3_000), 50 + self.below(900));
                json!({
                    "ai": {
                        "completion_tokens": answer,
                        "model": self.one_of(&AGENTS).map(|(_, model)| model),
                        "prompt_tokens": prompt,
                        "total_tokens": prompt + answer,
                    },
                    "performance": {"duration_ms": duration * 4},
                    "proof": {
                        "data": {"postId": format!("ig_{}", self.below(1_000_000))},
                        "type": "api_response",
                    },
                })
            }
            "payment.captured" | "payment.refunded" | "invoice.sent" => json!({
                "data": {"amount_cents": 100 * (1 + self.below(9_000)), "currency": "EUR"},
                "performance": {"duration_ms": duration},
            }),
            "user.role.changed" => json!({
                "changes": {
                    "after": {"role": "editor"},
                    "before": {"role": "viewer"},
                    "fields": ["role"],
                },
            }),
            _ => json!({"performance": {"duration_ms": duration}}),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use indelible_event::catalogue::NATIVE;
    use indelible_event::{Admission, Mode, Origin, admit};

    use super::*;

    #[test]
    fn every_event_can_be_taken_and_a_seed_replays() {
        let now = Micros(1_770_000_000_000_000);
        let (mut one, mut other) = (Player::new(7), Player::new(7));
        let (mut tenants, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..2_000 {
            let (tenant, event) = one.next(now.0).unwrap();
            assert_eq!(other.next(now.0).unwrap(), (tenant.clone(), event.clone()));
            let rules = Admission {
                mode: Mode::Strict,
                catalogue: &NATIVE,
                dialect: NATIVE.name,
                origin: Origin::Producer,
                tenant: Some(&tenant),
                now,
            };
            let admitted = admit(event.as_bytes(), &rules, &mut |bytes| bytes.fill(7));
            assert!(admitted.is_ok(), "{event}\n{:?}", admitted.err());
            let event: Value = serde_json::from_str(&event).unwrap();
            kinds.insert(event["event_type"].as_str().unwrap().to_owned());
            tenants.insert(tenant);
        }
        assert_eq!(
            (tenants.len(), kinds.len()),
            (TENANTS.len(), HAPPENINGS.len())
        );
    }
}
