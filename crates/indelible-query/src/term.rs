//! One word, quoted text or qualifier with its values to a condition or a bound.

use std::ops::Range;

use indelible_event::ids::{Micros, TenantId};
use indelible_store::Key;
use indelible_store::terms::{normalise, normalise_address};

use crate::ask::Ask;
use crate::error::{Place, QueryError};
use crate::lex::Value;
use crate::parse::{Bound, Node, Parser, TERMS_MAX};
use crate::qualifier::{Meaning, QUALIFIERS, Qualifier};
use crate::suggest::nearest;
use crate::when::{self, End};

impl Parser<'_> {
    /// Counts a term; too many are an error once.
    fn count(&mut self, place: &Place) {
        self.terms += 1;
        if self.terms == TERMS_MAX + 1 {
            self.error(
                place,
                format!("more than {TERMS_MAX} words and values in one query"),
            );
        }
    }

    pub(crate) fn text(&mut self, value: &Value) -> Node {
        self.count(&value.place);
        if normalise(&value.text).is_empty() {
            return self.wrong(&value.place, "the quotes are empty");
        }
        if !value.quoted && value.text == "-" {
            let said = "`-` stands before nothing: write what not to find right after it, or quote \
                        it to search for it";
            return self.wrong(&value.place, said);
        }
        if !value.quoted && value.text.contains('*') {
            return self.wildcard(value);
        }
        Node::Ask(Ask::Text(value.text.trim().to_owned()))
    }

    fn wildcard(&mut self, value: &Value) -> Node {
        let said = "there are no wildcards: write the whole word, or quote it to search for it as \
                    it stands";
        self.wrong(&value.place, said)
    }

    pub(crate) fn qualified(
        &mut self,
        name: &str,
        at: &Place,
        values: &[Value],
        whole: &Place,
    ) -> Node {
        let Some(qualifier) = Qualifier::named(name) else {
            let known = QUALIFIERS.iter().map(|q| q.name);
            let near = nearest(&name.to_ascii_lowercase(), known);
            let said = if near.is_some() {
                format!("there is no qualifier `{name}`")
            } else {
                format!("there is no qualifier `{name}`; to search for the text itself, quote it")
            };
            self.errors
                .push(QueryError::new(&self.text, at, said).suggesting(near));
            return Node::Wrong;
        };
        let mut asks = Vec::with_capacity(values.len());
        for value in values {
            self.count(&value.place);
            if normalise(&value.text).is_empty() {
                let said = format!("`{}:` needs a value here", qualifier.name);
                return self.wrong(&value.place, said);
            }
            if !value.quoted && value.text.contains('*') {
                return self.wildcard(value);
            }
            match qualifier.meaning {
                Meaning::Is(key) => asks.extend(self.is(qualifier, key, value)),
                Meaning::Id => asks.push(Ask::Id(normalise(&value.text).into_owned())),
                Meaning::Sequence => asks.extend(self.sequence(value)),
                Meaning::Tenant | Meaning::Since(_) | Meaning::Until(_) => {}
            }
        }
        match qualifier.meaning {
            Meaning::Tenant => self.tenants(values, whole),
            Meaning::Since(clock) => {
                self.time(values, End::Start, whole, |at| Bound::Since(clock, at))
            }
            Meaning::Until(clock) => {
                self.time(values, End::End, whole, |at| Bound::Until(clock, at))
            }
            _ if asks.len() < values.len() => Node::Wrong,
            _ => Node::Ask(Ask::or(asks)),
        }
    }

    fn is(&mut self, qualifier: &Qualifier, key: Key, value: &Value) -> Option<Ask> {
        if key == Key::Ip {
            let address = normalise_address(&value.text);
            if !value.quoted && address.contains('/') {
                let said = "`ip:` takes one address, not a network";
                self.error(&value.place, said);
                return None;
            }
            return Some(Ask::Is(key, address.into_owned()));
        }
        let text = normalise(&value.text).into_owned();
        if !value.quoted && !qualifier.knows(&text) {
            let near = qualifier.nearest_value(&text);
            let said = format!(
                "`{}:` is one of {}; quote another word to search for it as it stands",
                qualifier.name,
                qualifier.values.join(", "),
            );
            self.errors
                .push(QueryError::new(&self.text, &value.place, said).suggesting(near));
            return None;
        }
        Some(Ask::Is(key, text))
    }

    fn sequence(&mut self, value: &Value) -> Option<Ask> {
        let range = read_sequence(value.text.trim());
        if range.is_none() {
            let said = "write sequence numbers like 7, 10..20, 10.. or ..20, the smaller one first";
            self.error(&value.place, said);
        }
        range.map(Ask::Sequence)
    }

    fn tenants(&mut self, values: &[Value], whole: &Place) -> Node {
        let mut named = Vec::with_capacity(values.len());
        for value in values {
            match TenantId::parse(value.text.trim()) {
                Ok(tenant) => named.push(tenant),
                Err(error) => {
                    self.error(&value.place, error.to_string());
                }
            }
        }
        if named.len() < values.len() {
            return Node::Wrong;
        }
        named.sort();
        named.dedup();
        Node::Bound(Bound::Tenants(named), *whole)
    }

    fn time(
        &mut self,
        values: &[Value],
        end: End,
        whole: &Place,
        bound: impl Fn(Micros) -> Bound,
    ) -> Node {
        let [value] = values else {
            return self.wrong(whole, "one time, not a list");
        };
        match when::read(&value.text, end, self.context) {
            Ok(at) => Node::Bound(bound(at), *whole),
            Err(said) => self.wrong(&value.place, said),
        }
    }
}

/// `7`, `10..20` (both included), `10..`, `..20`.
fn read_sequence(text: &str) -> Option<Range<u64>> {
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // The last number is never given out, so that every range has an end.
        digits.parse().ok().filter(|n| plain && *n < u64::MAX)
    };
    let (first, last) = match text.split_once("..") {
        None => (number(text)?, Some(number(text)?)),
        Some(("", "")) => return None,
        Some(("", last)) => (0, Some(number(last)?)),
        Some((first, "")) => (number(first)?, None),
        Some((first, last)) => (number(first)?, Some(number(last)?)),
    };
    let end = last.map_or(u64::MAX, |last| last + 1);
    (first < end).then_some(first..end)
}
