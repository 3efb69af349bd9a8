//! Events from a seed: canonical JSON of about 642 bytes with 14 top-level fields.
//!
//! The shape is that of the prototypes' measurements: tenants, 60 types, 20,000 actors (each in one
//! tenant) and a million targets, time advancing with jitter, about three events to a request,
//! which is one actor with one correlation id. Half of the events say something in words of
//! [`crate::words`], half in a fixed form. With personal fields the actor has a name, an e-mail
//! address, one of its one to three IP addresses and a user agent. Nothing else in an event looks
//! personal.

use indelible_event::{AuditId, Micros};

use crate::seed::Seed;
use crate::words::push_word;

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Tenants, named `tenant-00000` and so on.
    pub tenants: u32,
    /// Persons and services that act; more than there are tenants.
    pub actors: u32,
    /// Things acted on.
    pub targets: u32,
    /// Whether the actor carries its four personal fields.
    pub personal: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            tenants: 50,
            actors: 20_000,
            targets: 1_000_000,
            personal: false,
        }
    }
}

/// Number of different event types.
pub const TYPES: usize = NOUNS.len() * VERBS.len();

const NOUNS: [&str; 12] = [
    "invoice",
    "order",
    "payment",
    "contract",
    "document",
    "campaign",
    "customer",
    "shipment",
    "ticket",
    "report",
    "deployment",
    "review",
];
const VERBS: [&str; 5] = ["create", "update", "approve", "publish", "archive"];
const SERVICES: [&str; 8] = [
    "billing-api",
    "order-service",
    "content-api",
    "workflow-engine",
    "gateway",
    "scheduler",
    "support-desk",
    "release-bot",
];
const ROLES: [&str; 4] = ["editor", "administrator", "operator", "analyst"];
const OUTCOMES: [&str; 8] = [
    "success", "success", "success", "success", "success", "success", "failure", "denied",
];
const SEVERITIES: [&str; 4] = ["info", "info", "info", "warning"];
const CHANNELS: [&str; 4] = ["web", "mobile", "api", "batch"];
const FIRST_NAMES: [&str; 24] = [
    "Ada",
    "Alan",
    "Barbara",
    "Claude",
    "Dorothy",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "Ivan",
    "Jean",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Ole",
    "Peter",
    "Radia",
    "Sophie",
    "Tony",
    "Ursula",
    "Vint",
    "Whitfield",
    "Yukihiro",
];
const LAST_NAMES: [&str; 24] = [
    "Lovelace",
    "Turing",
    "Liskov",
    "Shannon",
    "Vaughan",
    "Dijkstra",
    "Allen",
    "Hopper",
    "Lamarr",
    "Sutherland",
    "Bartik",
    "Johnson",
    "Lamport",
    "Hamilton",
    "Wirth",
    "Dahl",
    "Naur",
    "Perlman",
    "Wilson",
    "Hoare",
    "Franklin",
    "Cerf",
    "Diffie",
    "Matsumoto",
];
const BROWSERS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36",
];

/// Mean time between two events, in microseconds: they come as fast as they are taken, so their
/// ids are new, as those of live events are.
const GAP_MEAN_MICROS: u32 = 10;

/// What can be asked about an event to find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its tenant's number.
    pub tenant: u32,
    /// `event_type`.
    pub event_type: String,
    /// `actor.id`.
    pub actor: String,
    /// `target.id`.
    pub target: String,
    /// `context.correlation_id`.
    pub correlation: String,
    /// A word of its description.
    pub word: String,
}

/// Events one after the other.
#[derive(Clone, Debug)]
pub struct Generator {
    shape: Shape,
    seed: Seed,
    now: i64,
    made: u64,
    /// Requests that events still come from, by turns.
    open: Vec<Request>,
    numbers: Numbers,
}

/// What the last event was made from.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    actor: u32,
    noun: usize,
    verb: usize,
    target: u32,
    correlation: [u8; 16],
}

/// What the events of one request have in common.
#[derive(Clone, Copy, Debug)]
struct Request {
    actor: u32,
    correlation: [u8; 16],
}

impl Request {
    fn new(seed: &mut Seed, shape: Shape) -> Self {
        Self {
            actor: seed.below(shape.actors),
            correlation: seed.bytes(),
        }
    }
}

/// Requests open at a time.
const OPEN_REQUESTS: u32 = 16;

impl Generator {
    /// Events of `shape`, the first of them at `start`.
    pub fn new(shape: Shape, seed: u64, start: Micros) -> Self {
        let mut seed = Seed::new(seed);
        let open = (0..OPEN_REQUESTS)
            .map(|_| Request::new(&mut seed, shape))
            .collect();
        let numbers = Numbers::default();
        Self {
            shape,
            seed,
            now: start.0,
            made: 0,
            open,
            numbers,
        }
    }

    /// How many were made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Appends the next event; the number of its tenant.
    pub fn next_event(&mut self, out: &mut Vec<u8>) -> u32 {
        self.made += 1;
        self.now += i64::from(self.seed.below(2 * GAP_MEAN_MICROS + 1));
        let slot = self.seed.below(OPEN_REQUESTS) as usize;
        let Request { actor, correlation } = self.open[slot];
        if self.seed.percent(33) {
            self.open[slot] = Request::new(&mut self.seed, self.shape);
        }
        self.numbers = Numbers {
            actor,
            noun: self.seed.below(12) as usize,
            verb: self.seed.below(5) as usize,
            target: self.seed.below(self.shape.targets),
            correlation,
        };
        out.push(b'{');
        self.push_actor(out);
        self.push_ids(out);
        self.push_data(out);
        self.push_text(out);
        self.push_rest(out);
        self.tenant()
    }

    /// What finds the last event made, whose bytes are given.
    pub fn asked(&self, event: &[u8]) -> Asked {
        let text = String::from_utf8_lossy(event);
        let description = text.split("\"description\":\"").nth(1).unwrap_or_default();
        let description = description.split('"').next().unwrap_or_default();
        let word = description
            .split(' ')
            .max_by_key(|w| w.len())
            .unwrap_or_default();
        let Numbers {
            noun, verb, target, ..
        } = self.numbers;
        Asked {
            tenant: self.tenant(),
            event_type: format!("{}.{}", NOUNS[noun], VERBS[verb]),
            actor: format!("user-{:05}", self.numbers.actor),
            target: format!("{}-{target:06}", NOUNS[noun]),
            correlation: uuid_text(&self.numbers.correlation),
            word: word.to_owned(),
        }
    }

    fn tenant(&self) -> u32 {
        self.numbers.actor % self.shape.tenants
    }

    fn push_actor(&mut self, out: &mut Vec<u8>) {
        let actor = self.numbers.actor;
        out.extend_from_slice(b"\"actor\":{");
        // What belongs to a person is drawn from a stream of its own, so that it stays the same.
        let mut person = Seed::new(0x7065_7273_6f6e ^ (u64::from(actor) << 20));
        if self.shape.personal {
            let (first, last) = (person.one_of(&FIRST_NAMES), person.one_of(&LAST_NAMES));
            let email = format!("{first}.{last}.{actor}@example.com").to_lowercase();
            push_text(out, "email", &email);
            push_text(out, "id", &format!("user-{actor:05}"));
            let addresses = 1 + person.below(3);
            let which = self.seed.below(addresses);
            let [_, b, c, d] = (actor * 4 + which).to_be_bytes();
            push_text(out, "ip", &format!("10.{b}.{c}.{d}"));
            push_text(out, "name", &format!("{first} {last}"));
        } else {
            push_text(out, "id", &format!("user-{actor:05}"));
        }
        push_text(out, "role", person.one_of(&ROLES));
        // A session lasts for about an hour of the events' time.
        let session = person.bits() ^ (self.now >> 32).unsigned_abs();
        push_text(
            out,
            "session_id",
            &format!("s-{:010x}", session & 0xff_ffff_ffff),
        );
        push_text(out, "type", "user");
        if self.shape.personal {
            push_text(out, "user_agent", person.one_of(&BROWSERS));
        }
        close(out);
    }

    fn push_ids(&mut self, out: &mut Vec<u8>) {
        let unix_ms = Micros(self.now).unix_ms();
        let id = AuditId::mint(unix_ms, self.seed.bytes());
        push_text(out, "audit_id", &id.to_string());
        push_text(out, "category", NOUNS[self.numbers.noun]);
        out.extend_from_slice(b"\"context\":{");
        push_text(out, "correlation_id", &uuid_text(&self.numbers.correlation));
        push_text(
            out,
            "project_id",
            &format!("project-{:03}", self.seed.below(200)),
        );
        close(out);
    }

    fn push_data(&mut self, out: &mut Vec<u8>) {
        let seed = &mut self.seed;
        let amount = seed.below(100_000);
        out.extend_from_slice(b"\"data\":{");
        push_raw(
            out,
            "amount",
            &format!("{}.{:02}", amount / 100, amount % 100),
        );
        push_raw(out, "attempt", &(1 + seed.below(3)).to_string());
        push_text(out, "channel", seed.one_of(&CHANNELS));
        push_raw(out, "version", &seed.below(40).to_string());
        close(out);
    }

    fn push_text(&mut self, out: &mut Vec<u8>) {
        let Numbers { noun, verb, .. } = self.numbers;
        let (noun, verb) = (NOUNS[noun], VERBS[verb]);
        out.extend_from_slice(b"\"description\":\"");
        if self.seed.percent(50) {
            let words = 5 + self.seed.below(4);
            for place in 0..words {
                if place > 0 {
                    out.push(b' ');
                }
                push_word(&mut self.seed, out);
            }
        } else {
            let form = format!("{noun} to {verb} as asked by its owner");
            out.extend_from_slice(form.as_bytes());
        }
        out.extend_from_slice(b"\",");
        push_text(out, "event_type", &format!("{noun}.{verb}"));
    }

    fn push_rest(&mut self, out: &mut Vec<u8>) {
        let Numbers { noun, target, .. } = self.numbers;
        push_text(out, "occurred_at", &Micros(self.now).to_rfc3339());
        push_text(out, "outcome", self.seed.one_of(&OUTCOMES));
        let (whole, part) = (self.seed.below(250), self.seed.below(10));
        out.extend_from_slice(b"\"performance\":{");
        push_raw(out, "duration_ms", &format!("{whole}.{part}"));
        close(out);
        push_text(out, "schema_version", "1.4");
        push_text(out, "severity", self.seed.one_of(&SEVERITIES));
        out.extend_from_slice(b"\"source\":{");
        push_text(out, "service", SERVICES[noun % SERVICES.len()]);
        close(out);
        out.extend_from_slice(b"\"target\":{");
        push_text(out, "id", &format!("{}-{target:06}", NOUNS[noun]));
        push_text(out, "type", NOUNS[noun]);
        close(out);
        out.pop();
        out.push(b'}');
    }
}

/// The name of a tenant.
pub fn tenant_name(tenant: u32) -> String {
    format!("tenant-{tenant:05}")
}

/// 16 bytes in the form of a UUID, which nothing but its reader takes them for.
fn uuid_text(bytes: &[u8; 16]) -> String {
    AuditId(*bytes).to_string()
}

fn push_text(out: &mut Vec<u8>, key: &str, text: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\",");
}

fn push_raw(out: &mut Vec<u8>, key: &str, raw: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(raw.as_bytes());
    out.push(b',');
}

/// Ends an object: its last comma becomes a brace, and a comma follows.
fn close(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"},");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::catalogue::NATIVE;
    use indelible_event::{Admission, EventView, Field, Mode, Origin, admit};

    use super::*;

    const START: Micros = Micros(1_760_000_000_000_000);

    fn events(personal: bool, count: u64) -> Vec<Vec<u8>> {
        let shape = Shape {
            personal,
            ..Shape::default()
        };
        let mut generator = Generator::new(shape, 1, START);
        (0..count)
            .map(|_| {
                let mut event = Vec::new();
                generator.next_event(&mut event);
                event
            })
            .collect()
    }

    #[test]
    fn events_are_canonical_admitted_as_they_are_and_of_the_size_said() {
        for (personal, sizes) in [(false, 630..655), (true, 780..880)] {
            let events = events(personal, 2_000);
            let admission = Admission {
                mode: Mode::Strict,
                catalogue: &NATIVE,
                dialect: "native",
                origin: Origin::Producer,
                tenant: None,
                now: START,
            };
            for event in &events {
                let admitted = admit(event, &admission, &mut |_| {}).unwrap();
                let text = String::from_utf8_lossy(event);
                assert_eq!(admitted.bytes, *event, "{text}");
                assert!(
                    admitted.flags.is_empty() && admitted.redactions.is_empty(),
                    "{text}"
                );
                let json: serde_json::Value = serde_json::from_slice(event).unwrap();
                assert_eq!(json.as_object().unwrap().len(), 14);
            }
            let bytes: usize = events.iter().map(Vec::len).sum();
            let mean = bytes / events.len();
            assert!(sizes.contains(&mean), "{mean} bytes on average");
        }
    }

    #[test]
    fn a_seed_repeats_its_events_and_says_what_finds_them() {
        assert_eq!(events(true, 50), events(true, 50));
        let mut generator = Generator::new(Shape::default(), 3, START);
        let mut event = Vec::new();
        let tenant = generator.next_event(&mut event);
        let asked = generator.asked(&event);
        let view = EventView::parse(&event).unwrap();
        assert_eq!(asked.tenant, tenant);
        for (field, text) in [
            (Field::EventType, &asked.event_type),
            (Field::ActorId, &asked.actor),
            (Field::TargetId, &asked.target),
            (Field::CorrelationId, &asked.correlation),
        ] {
            assert_eq!(view.text(field).unwrap(), text.as_str());
        }
        assert!(view.text(Field::Description).unwrap().contains(&asked.word));
    }

    #[test]
    fn a_person_has_one_name_and_at_most_three_addresses() {
        let mut addresses = std::collections::BTreeMap::<String, Vec<String>>::new();
        for event in events(true, 5_000) {
            let view = EventView::parse(&event).unwrap();
            let id = view.text(Field::ActorId).unwrap().into_owned();
            let ip = view.text(Field::ActorIp).unwrap().into_owned();
            let known = addresses.entry(id).or_default();
            if !known.contains(&ip) {
                known.push(ip);
            }
        }
        assert!(addresses.values().all(|known| known.len() <= 3));
        assert!(addresses.values().any(|known| known.len() > 1));
    }
}
