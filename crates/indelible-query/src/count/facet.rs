//! What facets count by: the values that one qualifier finds, or whose logs they are.
//!
//! A value's count is what the query finds with `name:value` beside it, so a record may count for
//! several values: for its actor's id and, where another actor has that as its whole id, for the
//! last segment of it. Values are normalised as terms are. Sealed ones are found by their hash.

use std::collections::BTreeSet;

use indelible_event::ids::TenantId;
use indelible_event::{EventView, Field};
use indelible_store::terms::{Terms, normalise, normalise_address, sealed_subjects};
use indelible_store::{Expr, FindHash, Finder, Key};

use crate::qualifier::{Meaning, QUALIFIERS, Qualifier};
use crate::resolve::search_names;

/// A qualifier whose values are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facet {
    /// As it is called.
    pub name: &'static str,
    by: By,
}

/// What is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Terms.
    Terms(Key),
    /// Logs.
    Tenants,
}

impl Facet {
    /// The facet of this name.
    pub fn named(name: &str) -> Option<Self> {
        Qualifier::named(name).and_then(Self::of)
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        QUALIFIERS.iter().filter_map(Self::of)
    }

    fn of(qualifier: &Qualifier) -> Option<Self> {
        let name = qualifier.name;
        match qualifier.meaning {
            Meaning::Is(key) => Some(Self {
                name,
                by: By::Terms(key),
            }),
            Meaning::Tenant => Some(Self {
                name,
                by: By::Tenants,
            }),
            _ => None,
        }
    }

    /// The key of the terms that are counted; none where logs are.
    pub(crate) fn key(self) -> Option<Key> {
        match self.by {
            By::Terms(key) => Some(key),
            By::Tenants => None,
        }
    }

    /// Where in an event personal values of it stood.
    fn pointers(self) -> &'static [&'static str] {
        match self.key() {
            Some(Key::Actor) => &["/actor/id"],
            Some(Key::Target) => &["/target/id"],
            Some(Key::Ip) => &["/actor/ip"],
            Some(Key::Email) => &["/actor/email", "/target/email"],
            Some(Key::UserAgent) => &["/actor/user_agent"],
            _ => &[],
        }
    }

    /// Whether a record is filed under no text of it but the value that it is counted under:
    /// otherwise what is found by one value may hide another.
    pub(crate) fn is_plain(self) -> bool {
        let several = [
            Key::Actor,
            Key::Target,
            Key::Email,
            Key::Trace,
            Key::Subject,
        ];
        !self.key().is_some_and(|key| several.contains(&key))
    }

    /// Whether values of it may be personal ones.
    pub(crate) fn may_be_sealed(self) -> bool {
        !self.pointers().is_empty()
    }

    /// The values that a record of a tenant is counted under: of several fields the first that is
    /// there.
    pub(crate) fn values(
        self,
        tenant: &TenantId,
        event: &EventView<'_>,
        opened: &[OpenedValue],
    ) -> Vec<Value> {
        let Some(key) = self.key() else {
            let text = tenant.to_string();
            return vec![Value { text, find: None }];
        };
        let sealed: Vec<_> = opened
            .iter()
            .filter(|value| self.pointers().contains(&value.pointer.as_str()))
            .map(|value| Value {
                text: value.text.clone(),
                find: Some(value.find),
            })
            .collect();
        if !sealed.is_empty() {
            return sealed;
        }
        let clear = |text: &str| Value {
            text: cut(key, text),
            find: None,
        };
        if key == Key::Subject {
            return sealed_subjects(event).map(clear).collect();
        }
        let mut fields = key.fields().iter();
        let field = fields.find_map(|field| event.text(*field));
        let text = match field {
            Some(text) if key == Key::Ip => normalise_address(&text).into_owned(),
            Some(text) => normalise(&text).into_owned(),
            None if key == Key::Category && event.raw(Field::Category).is_none() => {
                let text = event.text(Field::EventType).unwrap_or_default();
                let first = text.trim().split('.').next().unwrap_or_default();
                normalise(first).into_owned()
            }
            None => String::new(),
        };
        Some(text)
            .filter(|text| !text.is_empty())
            .iter()
            .map(|text| clear(text))
            .collect()
    }
}

/// As it is filed.
fn cut(key: Key, text: &str) -> String {
    let mut terms = Terms::default();
    terms.push(key, text);
    let filed = terms.iter().next();
    filed.map_or_else(String::new, |(_, text)| text.to_owned())
}

/// A personal value that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedValue {
    /// Where in the event it stood.
    pub pointer: String,
    /// What it says.
    pub text: String,
    /// What finds it.
    pub find: FindHash,
}

/// A value of a facet in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    /// What finds it where it is sealed.
    pub(crate) find: Option<FindHash>,
}

/// How a value is found, wherever it stands in clear or sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) is_clear: bool,
    pub(crate) finds: BTreeSet<FindHash>,
    /// Whether it was met sealed.
    pub(crate) is_sealed: bool,
}

impl Ways {
    /// One more.
    pub(crate) fn add(&mut self, find: Option<FindHash>) {
        self.is_sealed |= find.is_some();
        self.is_clear |= find.is_none();
        self.finds.extend(find);
    }

    /// All ways that `name:value` finds it in these tenants, where it was met in one of them only:
    /// each seals it under a hash of its own.
    pub(crate) fn everywhere(
        (facet, text): (Facet, &str),
        finder: &dyn Finder,
        tenants: &[TenantId],
    ) -> Self {
        let names = facet.key().map_or(&[][..], search_names);
        let find = |tenant| {
            names
                .iter()
                .map(move |name| finder.find(tenant, name, text))
        };
        let finds = tenants.iter().flat_map(find).flatten();
        Self {
            is_clear: true,
            finds: finds.filter(|find| *find != FindHash::NOTHING).collect(),
            is_sealed: false,
        }
    }

    /// The condition that the value is there.
    pub(crate) fn expr(&self, facet: Facet, text: &str) -> Expr {
        let clear = facet.key().filter(|_| self.is_clear);
        let clear = clear.map(|key| Expr::Is(key, text.to_owned()));
        let sealed =
            (!self.finds.is_empty()).then(|| Expr::Sealed(self.finds.iter().copied().collect()));
        let mut ways: Vec<_> = clear.into_iter().chain(sealed).collect();
        match ways.len() {
            1 => ways.swap_remove(0),
            _ => Expr::Or(ways),
        }
    }
}
