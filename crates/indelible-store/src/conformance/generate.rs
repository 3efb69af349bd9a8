//! Records as applications make them, complete with leaves, hashes and heads, from one seed.
//!
//! Not a benchmark of building records, and the seals are no encryption: [`Seals`] opens every row.

use indelible_event::canonical;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::leaf::{LeafHead, write_leaf};
use indelible_merkle::{Frontier, Hash, leaf_hash, sha256};
use serde_json::{Map, Value, json};

use crate::conformance::Random;
use crate::conformance::inside::{payload, unmarked};
use crate::conformance::seals::{Seals, written};
use crate::{Append, Commit, Expected, Head, NewRecord, SealedValue};

/// What is generated.
#[derive(Clone, Debug)]
pub struct Mix {
    /// How many tenants' logs.
    pub tenants: usize,
    /// How many actors; a few do most.
    pub actors: usize,
    /// How many targets.
    pub targets: usize,
    /// Of 100 records, how many have their actor's name, address and user agent sealed.
    pub personal_percent: u64,
    /// Of 100 records, how many happened long before they are committed.
    pub late_percent: u64,
    /// Of 100 records, how many have the fields that few applications fill in.
    pub rare_percent: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            tenants: 5,
            actors: 50,
            targets: 200,
            personal_percent: 70,
            late_percent: 5,
            rare_percent: 0,
        }
    }
}

/// Event types with what their descriptions begin with.
const TYPES: [(&str, &str); 20] = [
    ("auth.login", "signed in with a password"),
    ("auth.logout", "signed out"),
    ("auth.mfa.failed", "entered a wrong one-time code"),
    ("content.publish", "published an article"),
    ("content.edit", "edited a draft"),
    ("content.delete", "deleted an article"),
    ("payment.captured", "captured a card payment"),
    ("payment.refunded", "refunded a card payment"),
    ("iam.policy.changed", "attached a policy to a role"),
    ("iam.role.assumed", "assumed a role"),
    ("storage.object.read", "read an object"),
    ("storage.object.deleted", "deleted an object"),
    ("agent.tool.called", "called a tool"),
    ("agent.plan.approved", "approved a plan"),
    ("workflow.started", "started a workflow"),
    ("workflow.failed", "a workflow failed"),
    ("user.invited", "invited a colleague"),
    ("user.removed", "removed a colleague"),
    ("api.get./orders/{id}", "read an order"),
    ("api.post./orders", "placed an order"),
];

const WORDS: [&str; 32] = [
    "quarterly",
    "report",
    "press",
    "room",
    "draft",
    "budget",
    "Zürich",
    "naïve",
    "東京",
    "retry",
    "timeout",
    "card",
    "order",
    "invoice",
    "region",
    "eu-west-1",
    "console",
    "mobile",
    "kiosk",
    "bucket",
    "archive",
    "nightly",
    "backup",
    "staging",
    "canary",
    "rollback",
    "quota",
    "limit",
    "owner",
    "guest",
    "\"quoted\"",
    "tab\tand\nline",
];

const OUTCOMES: [&str; 6] = [
    "success", "success", "success", "failure", "denied", "partial",
];
const SEVERITIES: [&str; 4] = ["info", "info", "warning", "critical"];
const FIRST_SECOND: i64 = 1_790_000_000;
const MICROS_PER_S: i64 = 1_000_000;

/// Makes records; goes on where it stopped.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Random,
    mix: Mix,
    logs: Vec<(TenantId, Head)>,
    /// Seconds since the first record.
    clock_s: i64,
}

impl Generator {
    /// The generator of `seed`.
    pub fn new(seed: u64, mix: Mix) -> Self {
        let head = Head {
            frontier: Frontier::new(),
            last_hash: Hash::ZERO,
            last_ingested_at: Micros(0),
        };
        let name = |n| TenantId::parse(&format!("tenant-{n}")).unwrap();
        let logs = (0..mix.tenants.max(1))
            .map(|n| (name(n), head.clone()))
            .collect();
        Self {
            random: Random::new(seed),
            mix,
            logs,
            clock_s: 0,
        }
    }

    /// The tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.logs.iter().map(|(tenant, _)| tenant)
    }

    /// A tenant's head after everything generated so far.
    pub fn head(&self, tenant: usize) -> &Head {
        &self.logs[tenant].1
    }

    /// The next `records` records of a tenant.
    pub fn append(&mut self, tenant: usize, records: usize) -> Append {
        let (name, head) = &self.logs[tenant];
        let (name, head) = (name.clone(), head.clone());
        let expected = Expected {
            size: head.frontier.size(),
            last_hash: head.last_hash,
        };
        let mut head = head;
        let records = (0..records)
            .map(|_| self.record(&name, &mut head))
            .collect();
        self.logs[tenant].1 = head.clone();
        Append {
            tenant: name,
            expected,
            records,
            head,
        }
    }

    /// Records of one to three tenants, each at most `records_max`.
    pub fn commit(&mut self, records_max: u64) -> Commit {
        let count = self.random.between(1, 3.min(self.logs.len() as u64));
        let first = self.random.index(self.logs.len());
        let tenants = (0..count).map(|n| (first + n as usize) % self.logs.len());
        let appends = tenants
            .collect::<Vec<_>>()
            .into_iter()
            .map(|tenant| {
                let records = self.random.between(1, records_max);
                self.append(tenant, records as usize)
            })
            .collect();
        Commit { appends }
    }

    /// One more record on `head`.
    fn record(&mut self, tenant: &TenantId, head: &mut Head) -> NewRecord {
        self.clock_s += self.random.between(0, 2) as i64;
        let ingested_at = Micros((FIRST_SECOND + self.clock_s) * MICROS_PER_S);
        let ingested_at = ingested_at.max(head.last_ingested_at);
        let late_s = if self.random.chance(self.mix.late_percent) {
            self.random.between(3_600, 400_000) as i64
        } else {
            // Often none, so that several records share a time.
            self.random.below(3) as i64
        };
        let occurred_at = Micros(ingested_at.0 - late_s * MICROS_PER_S);
        let audit_id = AuditId::mint(occurred_at.unix_ms(), self.random.bytes());
        let (event, sealed) = self.event(tenant, audit_id, occurred_at);
        new_record(
            tenant,
            head,
            &event,
            (audit_id, occurred_at, ingested_at),
            sealed,
        )
    }

    /// An event after sealing, and what was sealed.
    fn event(&mut self, tenant: &TenantId, id: AuditId, at: Micros) -> (Vec<u8>, Vec<SealedValue>) {
        let random = &mut self.random;
        let (event_type, begins) = TYPES[random.skewed(TYPES.len())];
        let number = random.skewed(self.mix.actors);
        let (actor_type, actor_id) = actor(number);
        let name = format!("Actor Number {number}");
        let address = format!("10.{}.{}.{}", number % 4, number % 7, number);
        let browser = format!("Browser/{}.0", number % 5);
        let description = format!("{begins}: {} {}", random.pick(&WORDS), random.pick(&WORDS));
        let target = random.skewed(self.mix.targets);
        let mut event = json!({
            "audit_id": id.to_string(),
            "event_type": event_type,
            "occurred_at": at.to_rfc3339(),
            "outcome": *random.pick(&OUTCOMES),
            "severity": *random.pick(&SEVERITIES),
            "description": description,
            "actor": {"id": actor_id, "type": actor_type},
            "target": {"id": format!("order/{target}"), "type": "order"},
            "context": {
                "correlation_id": format!("corr-{}", self.clock_s / 10),
                "request_id": format!("req-{:x}", random.below(1_000)),
            },
            "data": {"amount": random.below(10_000), "note": *random.pick(&WORDS)},
            "performance": {"duration_ms": random.below(5_000)},
            "source": {"service": *random.pick(&["shop", "cms", "gateway"])},
        });
        let Value::Object(members) = &mut event else {
            unreachable!("made above")
        };
        extras(random, event_type, members);
        payload(random, members);
        if self.mix.rare_percent > 0 && random.chance(self.mix.rare_percent) {
            rare(random, number, members);
        }
        let mut sealed = Vec::new();
        if random.chance(self.mix.personal_percent) {
            let handle = Seals::handle(tenant, &actor_id);
            let pairs = [("/actor/ip", &address), ("/actor/name", &name)];
            sealed.extend(pairs.map(|(p, text)| Seals::value(tenant, handle, p, text)));
            sealed.push(Seals::value(tenant, handle, "/actor/user_agent", &browser));
            if random.chance(10) {
                sealed.push(Seals::blob(handle, &description.repeat(20)));
            }
            let root = sha256(&id.0).to_string();
            members.insert(
                "sealed".into(),
                json!([{"root": root, "subject": written(handle)}]),
            );
        } else if let Some(Value::Object(actor)) = members.get_mut("actor") {
            actor.entry("ip").or_insert_with(|| address.into());
            actor.insert("name".into(), name.into());
            actor.insert("user_agent".into(), browser.into());
        }
        let text = unmarked(&event.to_string());
        let event = canonical::canonicalize(text.as_bytes()).unwrap();
        (event.into_owned(), sealed)
    }
}

/// Fields that only some types have.
fn extras(random: &mut Random, event_type: &str, members: &mut Map<String, Value>) {
    if event_type.starts_with("agent.") {
        let (prompt, completion) = (random.below(4_000), random.below(900));
        let ai = json!({
            "agent_type": "planner",
            "model": *random.pick(&["small-2", "large-3"]),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        members.insert("ai".into(), ai);
    }
    if let Some(route) = event_type.strip_prefix("api.get.") {
        let status = *random.pick(&[200, 200, 404, 500]);
        members.insert(
            "http".into(),
            json!({"method": "GET", "path": route, "status": status}),
        );
    }
    if event_type.ends_with("failed") {
        members.insert(
            "error".into(),
            json!({"code": "E_LIMIT", "message": "over the limit"}),
        );
    }
    if random.chance(5) {
        members.insert("category".into(), "special".into());
    }
}

/// Fields that few have, so that each qualifier finds something.
fn rare(random: &mut Random, actor: usize, members: &mut Map<String, Value>) {
    let mut id = |kind: &str, of: u64| format!("{kind}-{}", random.below(of));
    let context = [
        ("trace_id", id("trace", 40)),
        ("span_id", id("span", 9)),
        ("parent_id", id("parent", 40)),
        ("project_id", id("project", 3)),
        ("investigation_id", id("Case", 5)),
        ("alert_id", id("alert", 5)),
    ];
    members.insert("source_event_id".into(), id("ext", 60).into());
    let session = id("session", 30);
    if let Some(Value::Object(of)) = members.get_mut("context") {
        of.extend(context.map(|(key, id)| (key.to_owned(), id.into())));
    }
    let address = format!("2001:db8::{actor:x}");
    for (group, key, value) in [
        ("actor", "session_id", session),
        ("actor", "email", format!("Person.{actor}@example.com")),
        ("actor", "ip", address),
        ("target", "uid", format!("uid/{}", actor % 7)),
    ] {
        if let Some(Value::Object(of)) = members.get_mut(group) {
            of.insert(key.into(), value.into());
        }
    }
    let light = *random.pick(&["green", "amber", "red"]);
    members.insert("compliance".into(), json!({"traffic_light": light}));
}

fn actor(number: usize) -> (&'static str, String) {
    match number % 4 {
        0 => (
            "user",
            format!("arn:aws:iam::123456789012:user/person-{number}"),
        ),
        1 => ("user", format!("person-{number}")),
        2 => ("agent", format!("agent:bot-{number}")),
        _ => ("service", format!("svc-{number}")),
    }
}

/// The record of a canonical event on `head`, which it moves; times are (id, `occurred_at`,
/// `ingested_at`).
pub fn new_record(
    tenant: &TenantId,
    head: &mut Head,
    event: &[u8],
    (audit_id, occurred_at, ingested_at): (AuditId, Micros, Micros),
    sealed: Vec<SealedValue>,
) -> NewRecord {
    let mut leaf = Vec::new();
    let leaf_head = LeafHead {
        ingested_at,
        ledger: b"{}",
        previous_hash: head.last_hash.as_bytes(),
        sequence_number: head.frontier.size(),
        tenant_id: tenant,
    };
    write_leaf(&mut leaf, event, &leaf_head).unwrap();
    let record_hash = leaf_hash(&leaf);
    head.frontier.append(record_hash);
    head.last_hash = record_hash;
    head.last_ingested_at = ingested_at;
    NewRecord {
        leaf: leaf.as_slice().into(),
        record_hash,
        audit_id,
        occurred_at,
        ingested_at,
        filed: None,
        sealed,
    }
}
