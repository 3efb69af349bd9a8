//! What was asked to what an index understands: words spread over the keys they may stand under,
//! personal values to the hashes that find them.
//!
//! Reads no key itself. Search names and normal forms are those of `spec/sealing.md`.

use std::collections::BTreeSet;

use indelible_event::Field;
use indelible_event::ids::{AuditId, TenantId};
use indelible_store::pattern::{whole_pattern, word_patterns};
use indelible_store::terms::{normalise, normalise_address, words};
use indelible_store::{Expr, FindHash, Finder, Key, Network, Query, Test};

use crate::ask::{Ask, Parsed};

/// The keys a bare word may be the whole value of.
const WORD_KEYS: [Key; 8] = [
    Key::Actor,
    Key::Target,
    Key::Correlation,
    Key::Request,
    Key::Trace,
    Key::Session,
    Key::SourceId,
    Key::Subject,
];

/// So many hashes of sealed values are computed for one network, or the values of one facet.
pub(crate) const FINDS_MAX: usize = 65_536;

/// A query for an index, and what could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The query, newest first by time, as of now: the caller sets what it wants otherwise.
    pub query: Query,
    /// Tenants whose sealed values the query asks for but cannot find, since keys are missing or
    /// parts of values are asked for ([`Ask::asks_for_parts`]): the answer may lack records of
    /// theirs, and under a negation have too many.
    pub unsearched: Vec<TenantId>,
}

/// Makes the query of what was asked, over the `tenants` that the caller may read.
///
/// A tenant that the text names and that is not among them is as one that does not exist. Without a
/// `finder`, or where it lacks keys, sealed values are not found and [`Resolved::unsearched`] says
/// so.
pub fn resolve(parsed: &Parsed, tenants: &[TenantId], finder: Option<&dyn Finder>) -> Resolved {
    let mut wanted: Vec<TenantId> = tenants
        .iter()
        .filter(|tenant| {
            parsed
                .tenants
                .as_ref()
                .is_none_or(|named| named.contains(tenant))
        })
        .cloned()
        .collect();
    wanted.sort();
    wanted.dedup();
    let mut resolver = Resolver {
        tenants: &wanted,
        finder,
        unsearched: BTreeSet::new(),
    };
    let expr = resolver.expr(&parsed.ask);
    let unsearched = resolver.unsearched.into_iter().collect();
    let query = Query {
        expr,
        occurred: parsed.occurred.clone(),
        ingested: parsed.ingested.clone(),
        tenants: Some(wanted),
        ..Query::default()
    };
    Resolved { query, unsearched }
}

struct Resolver<'a> {
    tenants: &'a [TenantId],
    finder: Option<&'a dyn Finder>,
    unsearched: BTreeSet<TenantId>,
}

impl Resolver<'_> {
    fn expr(&mut self, ask: &Ask) -> Expr {
        match ask {
            Ask::All => Expr::All,
            Ask::Text(text) => self.text(text),
            Ask::Is(key, text) => any(self.is(*key, text)),
            Ask::Id(text) => {
                let id = AuditId::parse(text).ok().map(Expr::Id);
                any(id
                    .into_iter()
                    .chain([Expr::Is(Key::SourceId, text.clone())])
                    .collect())
            }
            Ask::Sequence(range) => Expr::Sequence(range.clone()),
            Ask::TextLike(text) => {
                self.seek_parts();
                text_like(text)
            }
            Ask::Like(key, pattern) => {
                if !search_names(*key).is_empty() {
                    self.seek_parts();
                }
                Expr::Like(*key, pattern.clone())
            }
            Ask::Within(network) => {
                let within = std::iter::once(Expr::Within(*network));
                any(within.chain(self.within(network)).collect())
            }
            Ask::IdLike(pattern) => Expr::Or(vec![
                Expr::At(Field::AuditId.into(), Test::Like(pattern.clone())),
                Expr::Like(Key::SourceId, pattern.clone()),
            ]),
            Ask::At(path, test) => Expr::At(path.clone(), test.clone()),
            Ask::Attachment => Expr::Attachment,
            Ask::Not(inner) => Expr::Not(Box::new(self.expr(inner))),
            Ask::And(parts) => Expr::And(parts.iter().map(|part| self.expr(part)).collect()),
            Ask::Or(parts) => Expr::Or(parts.iter().map(|part| self.expr(part)).collect()),
        }
    }

    /// A word or quoted text: its words side by side, or the whole of an identifier.
    fn text(&mut self, text: &str) -> Expr {
        let phrase: Vec<String> = words(text).map(std::borrow::Cow::into_owned).collect();
        let mut alternatives = Vec::new();
        if !phrase.is_empty() {
            alternatives.push(Expr::Phrase(phrase));
        }
        alternatives.extend(AuditId::parse(text).ok().map(Expr::Id));
        let normalised = normalise(text);
        let mut names: Vec<&str> = Vec::new();
        for key in WORD_KEYS {
            alternatives.push(Expr::Is(key, normalised.clone().into_owned()));
            names.extend(search_names(key));
        }
        if normalised.contains('@') {
            alternatives.push(Expr::Is(Key::Email, normalised.clone().into_owned()));
            names.extend(search_names(Key::Email));
        }
        if text.trim().parse::<std::net::IpAddr>().is_ok() {
            let address = normalise_address(text);
            alternatives.push(Expr::Is(Key::Ip, address.clone().into_owned()));
            let finds = self.finds(search_names(Key::Ip), &address);
            alternatives.extend(finds.map(Expr::Sealed));
        }
        names.sort_unstable();
        names.dedup();
        alternatives.extend(self.finds(&names, &normalised).map(Expr::Sealed));
        any(alternatives)
    }

    /// Notes that sealed values are asked for in a way that does not find them.
    fn seek_parts(&mut self) {
        let finder = self.finder;
        let has_sealed = |tenant: &&TenantId| {
            let found = finder.and_then(|finder| finder.find(tenant, "ip", ""));
            found != Some(FindHash::NOTHING)
        };
        let tenants = self.tenants.iter().filter(has_sealed);
        self.unsearched.extend(tenants.cloned());
    }

    /// What finds the sealed addresses of a network, where these are not too many.
    fn within(&mut self, network: &Network) -> Option<Expr> {
        let names = search_names(Key::Ip);
        let asked = names.len().saturating_mul(self.tenants.len());
        let Some(addresses) = network.few() else {
            self.seek_parts();
            return None;
        };
        let addresses: Vec<_> = addresses.collect();
        if asked.saturating_mul(addresses.len()) > FINDS_MAX {
            self.seek_parts();
            return None;
        }
        let finds = addresses.iter().filter_map(|text| self.finds(names, text));
        let finds: Vec<_> = finds.flatten().collect();
        (!finds.is_empty()).then_some(Expr::Sealed(finds))
    }

    fn is(&mut self, key: Key, text: &str) -> Vec<Expr> {
        let finds = self.finds(search_names(key), text);
        [Expr::Is(key, text.to_owned())]
            .into_iter()
            .chain(finds.map(Expr::Sealed))
            .collect()
    }

    /// What finds the value under any of the names in any of the tenants.
    fn finds(&mut self, names: &[&str], normalised: &str) -> Option<Vec<FindHash>> {
        let mut finds = Vec::new();
        for tenant in self.tenants {
            for name in names {
                match self
                    .finder
                    .and_then(|finder| finder.find(tenant, name, normalised))
                {
                    Some(find) => finds.push(find),
                    None => {
                        self.unsearched.insert(tenant.clone());
                    }
                }
            }
        }
        finds.sort_unstable();
        finds.dedup();
        (!finds.is_empty()).then_some(finds)
    }
}

/// A word with wildcards: its words side by side, or the whole of an identifier that is in clear.
fn text_like(text: &str) -> Expr {
    let whole = whole_pattern(text);
    let keys = WORD_KEYS
        .into_iter()
        .chain(text.contains('@').then_some(Key::Email));
    let alternatives = keys.map(|key| Expr::Like(key, whole.clone()));
    let phrase = Expr::PhraseLike(word_patterns(text));
    Expr::Or(std::iter::once(phrase).chain(alternatives).collect())
}

/// Under which names sealed values of a key are filed.
pub fn search_names(key: Key) -> &'static [&'static str] {
    match key {
        Key::Actor => &["/actor/name", "/actor/id", "/actor/email"],
        Key::Target => &["/target/name", "/target/id", "/target/uid", "/target/email"],
        Key::Ip => &["/actor/ip", "/target/ip", "ip"],
        Key::Email => &[
            "/actor/email",
            "/target/email",
            "/actor/id",
            "/target/id",
            "email",
        ],
        Key::UserAgent => &["/actor/user_agent", "/target/user_agent"],
        _ => &[],
    }
}

fn any(mut alternatives: Vec<Expr>) -> Expr {
    if alternatives.len() == 1 {
        alternatives.swap_remove(0)
    } else {
        Expr::Or(alternatives)
    }
}
