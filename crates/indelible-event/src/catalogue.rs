//! Catalogues of event types: which types a dialect has, and what events of a type must say.
//!
//! Not here: the check itself (`validate`). A catalogue is a fixed list, open to further types by
//! a pattern or closed. In every catalogue the types that only the ledger writes are reserved, and
//! those by which producers speak of their streams have data of a fixed shape.
//! Source: `spec/event.md`, "Event types".

use crate::field::Field;

/// The event types of one dialect.
#[derive(Debug)]
pub struct Catalogue {
    /// The catalogue's name: `native`, `cloudtrail`, `api` …
    pub name: &'static str,
    /// What types there may be beside the entries.
    pub open: Open,
    /// The known types, sorted by name.
    pub entries: &'static [Entry],
    /// Catalogues whose types are good in this one too.
    pub also: &'static [&'static Catalogue],
}

/// What types there may be beside the listed ones.
#[derive(Debug, Clone, Copy)]
pub enum Open {
    /// No others.
    Closed,
    /// Those with this form.
    Pattern {
        /// The form in words, for messages.
        form: &'static str,
        /// Whether a type has the form.
        matches: fn(&str) -> bool,
    },
}

/// A known event type.
#[derive(Debug)]
pub struct Entry {
    /// The type.
    pub event_type: &'static str,
    /// What strict mode requires beside event type, actor and outcome.
    pub requires: &'static [Field],
    /// What it means.
    pub doc: &'static str,
}

/// How a catalogue sees an event type.
#[derive(Debug, Clone, Copy)]
pub enum Listing {
    /// It is listed.
    Known(&'static Entry),
    /// It is not listed, but has the form.
    Open,
    /// Only the ledger writes it.
    Reserved(&'static Entry),
    /// A producer speaks of its stream by it; its data has a shape of its own.
    Statement(&'static Entry),
    /// It is neither listed nor has the form.
    Unlisted,
}

impl Catalogue {
    /// The catalogue of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        [&NATIVE, &API, &CLOUDTRAIL]
            .into_iter()
            .find(|catalogue| catalogue.name == name)
    }

    /// How this catalogue sees an event type.
    pub fn listing(&self, event_type: &str) -> Listing {
        if let Some(entry) = find(RESERVED, event_type) {
            return Listing::Reserved(entry);
        }
        if let Some(entry) = find(STATEMENTS, event_type) {
            return Listing::Statement(entry);
        }
        self.own_listing(event_type)
    }

    fn own_listing(&self, event_type: &str) -> Listing {
        if let Some(entry) = find(self.entries, event_type) {
            return Listing::Known(entry);
        }
        if matches!(self.open, Open::Pattern { matches, .. } if matches(event_type)) {
            return Listing::Open;
        }
        self.also
            .iter()
            .map(|catalogue| catalogue.own_listing(event_type))
            .find(|listing| !matches!(listing, Listing::Unlisted))
            .unwrap_or(Listing::Unlisted)
    }

    /// What a type must look like, for messages.
    pub fn form(&self) -> &'static str {
        match self.open {
            Open::Closed => "one of the types of the catalogue",
            Open::Pattern { form, .. } => form,
        }
    }
}

fn find(entries: &'static [Entry], event_type: &str) -> Option<&'static Entry> {
    entries
        .binary_search_by(|entry| entry.event_type.cmp(event_type))
        .ok()
        .map(|at| &entries[at])
}

const TARGET: &[Field] = &[Field::TargetType, Field::TargetId];

const fn entry(event_type: &'static str, requires: &'static [Field], doc: &'static str) -> Entry {
    Entry {
        event_type,
        requires,
        doc,
    }
}

/// Our own types: `noun.verb`, and those of HTTP requests.
pub static NATIVE: Catalogue = Catalogue {
    name: "native",
    open: Open::Pattern {
        form: "lower-case words of letters, digits and _, joined by dots, at least two",
        matches: is_native,
    },
    entries: &[
        entry("auth.login", &[], "somebody logged in, or tried to"),
        entry("auth.logout", &[], "somebody logged out"),
        entry(
            "auth.permission_change",
            TARGET,
            "somebody's permissions were changed",
        ),
        entry("content.approve", TARGET, "content was approved"),
        entry("content.create", TARGET, "content was made"),
        entry("content.delete", TARGET, "content was deleted"),
        entry("content.plan", TARGET, "content was planned"),
        entry("content.publish", TARGET, "content was published"),
        entry(
            "content.schedule",
            TARGET,
            "content was given a time to be published",
        ),
        entry(
            "content.verify",
            TARGET,
            "published content was looked at again",
        ),
        entry("data.delete", TARGET, "data was deleted"),
        entry("data.export", TARGET, "data left the system"),
        entry("data.import", TARGET, "data came into the system"),
        entry("engagement.draft", TARGET, "an answer was drafted"),
        entry(
            "engagement.escalate",
            TARGET,
            "a conversation was handed to a person",
        ),
        entry("engagement.receive", TARGET, "a message came in"),
        entry("engagement.send", TARGET, "an answer was sent"),
        entry("system.config_change", &[], "settings were changed"),
        entry(
            "system.kill_switch",
            &[],
            "everything was stopped, or let go on",
        ),
        entry("system.policy_violation", &[], "a policy was violated"),
    ],
    also: &[&API],
};

/// HTTP requests: `api.<method>.<route template>`.
pub static API: Catalogue = Catalogue {
    name: "api",
    open: Open::Pattern {
        form: "api.<method>.<route template>, like api.get./users/{id}",
        matches: is_api,
    },
    entries: &[],
    also: &[],
};

/// AWS `CloudTrail`: `<service>.<EventName>`.
pub static CLOUDTRAIL: Catalogue = Catalogue {
    name: "cloudtrail",
    open: Open::Pattern {
        form: "<service>.<EventName>, like s3.GetBucketAcl",
        matches: is_cloudtrail,
    },
    entries: &[],
    also: &[],
};

/// The types that only the ledger writes.
pub static RESERVED: &[Entry] = &[
    entry(
        "access.denied",
        &[],
        "somebody asked for records and may not have them",
    ),
    entry("access.exported", &[], "somebody exported records"),
    entry("access.read", &[], "somebody read records"),
    entry("alert.fired", &[], "a rule that watches the log fired"),
    entry(
        "config.changed",
        &[],
        "the ledger's own settings were changed",
    ),
    entry(
        "event.conflicted",
        &[],
        "an id came again with other content",
    ),
    entry("hold.placed", &[], "a legal hold was placed"),
    entry("hold.released", &[], "a legal hold was released"),
    entry("key.revoked", &[], "a key was revoked"),
    entry("key.rotated", &[], "a key was replaced by a new one"),
    entry(
        "log.created",
        &[],
        "sequence number 0 of every log: its id, origin, key and slot",
    ),
    entry(
        "log.recovered",
        &[],
        "the ledger was rolled back and goes on: what is missing",
    ),
    entry(
        "privacy.erased",
        &[],
        "the keys of a data subject were destroyed",
    ),
    entry(
        "retention.pruned",
        &[],
        "payloads were dropped, their hashes kept",
    ),
    entry(
        "stream.coverage",
        &[],
        "which numbers of a stream are committed",
    ),
    entry("tenant.created", &[], "a tenant was created"),
    entry("verification.failed", &[], "the verifier found something"),
    entry("verification.passed", &[], "the verifier found nothing"),
];

/// The types by which producers speak of their streams (`spec/stream.md` §3).
pub static STATEMENTS: &[Entry] = &[
    entry("stream.ended", &[], "a stream ended cleanly"),
    entry(
        "stream.lost",
        &[],
        "a producer says which numbers it lost, and why",
    ),
    entry(
        "stream.opened",
        &[],
        "a producer started a stream or an epoch of it",
    ),
];

/// `[a-z0-9_]+(\.[a-z0-9_]+)+`
fn is_native(event_type: &str) -> bool {
    let words_are_good = event_type.split('.').all(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    words_are_good && event_type.contains('.')
}

fn is_api(event_type: &str) -> bool {
    event_type
        .strip_prefix("api.")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(method, route)| {
            !method.is_empty()
                && method.bytes().all(|b| b.is_ascii_lowercase())
                && route.starts_with('/')
                && route.bytes().all(|b| b.is_ascii_graphic())
        })
}

fn is_cloudtrail(event_type: &str) -> bool {
    event_type.split_once('.').is_some_and(|(service, name)| {
        !service.is_empty()
            && service
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_have_the_form() {
        for entries in [NATIVE.entries, RESERVED, STATEMENTS] {
            assert!(
                entries
                    .windows(2)
                    .all(|pair| pair[0].event_type < pair[1].event_type)
            );
            assert!(entries.iter().all(|entry| is_native(entry.event_type)));
        }
    }

    #[test]
    fn a_closed_catalogue_has_its_entries_only() {
        static CLOSED: Catalogue = Catalogue {
            name: "closed",
            open: Open::Closed,
            entries: &[entry("gateway.signal.received", TARGET, "a signal came in")],
            also: &[],
        };
        let known = CLOSED.listing("gateway.signal.received");
        assert!(matches!(known, Listing::Known(entry) if entry.requires == TARGET));
        assert!(matches!(
            CLOSED.listing("gateway.signal.lost"),
            Listing::Unlisted
        ));
        assert!(matches!(
            CLOSED.listing("log.created"),
            Listing::Reserved(_)
        ));
        assert!(CLOSED.form().contains("catalogue"));
        assert!(Catalogue::named("cloudtrail").is_some_and(|found| found.name == "cloudtrail"));
        assert!(Catalogue::named("nonesuch").is_none());
    }

    #[test]
    fn listings() {
        let listing = |catalogue: &Catalogue, event_type| match catalogue.listing(event_type) {
            Listing::Known(entry) => {
                assert_eq!(entry.event_type, event_type);
                "known"
            }
            Listing::Open => "open",
            Listing::Reserved(_) => "reserved",
            Listing::Statement(_) => "statement",
            Listing::Unlisted => "unlisted",
        };
        for (event_type, native, cloudtrail) in [
            ("content.publish", "known", "open"),
            ("order.paid", "open", "open"),
            ("order.line_2.paid", "open", "open"),
            ("stream.lost", "statement", "statement"),
            ("stream.coverage", "reserved", "reserved"),
            ("stream.heard", "open", "open"),
            ("log.recovered", "reserved", "reserved"),
            ("order", "unlisted", "unlisted"),
            ("Order.paid", "unlisted", "unlisted"),
            ("order..paid", "unlisted", "open"),
            (".paid", "unlisted", "unlisted"),
            ("s3.GetBucketAcl", "unlisted", "open"),
            ("api.get./users/{id}", "open", "open"),
            ("api.GET./users", "unlisted", "open"),
            ("api.get.users", "open", "open"),
            ("", "unlisted", "unlisted"),
        ] {
            assert_eq!(listing(&NATIVE, event_type), native, "{event_type}");
            assert_eq!(listing(&CLOUDTRAIL, event_type), cloudtrail, "{event_type}");
        }
    }
}
