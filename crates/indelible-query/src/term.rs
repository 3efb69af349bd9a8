//! One word, quoted text or qualifier with its values to a condition or a bound.

use std::ops::Range;

use indelible_event::Field;
use indelible_event::ids::{Micros, TenantId};
use indelible_store::pattern::{unescape, whole_pattern};
use indelible_store::terms::{normalise, normalise_address};
use indelible_store::{Key, Network, Path, Pattern, Test};

use crate::address::{is_address_or_name, network_of};
use crate::ask::Ask;
use crate::elsewhere;
use crate::error::{Place, QueryError};
use crate::inside::{
    KeyMissing, Part, Unit, begins_with_sign, compared, is_backwards, read_number, read_path,
    read_range, read_value,
};
use crate::lex::{ROOTS, Sign, Value};
use crate::parse::{Bound, Node, Parser, TERMS_MAX};
use crate::qualifier::{Meaning, QUALIFIERS, Qualifier};
use crate::suggest::nearest;
use crate::when::{self, End};

/// The longest value with wildcards, characters: matching takes its length times a text's.
const PATTERN_CHARS_MAX: usize = 128;

/// What stands before values.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) sign: Sign,
    pub(crate) at: Place,
}

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
        if value.quoted || whole_pattern(&value.text).literal().is_some() {
            return Node::Ask(Ask::Text(meant(value)));
        }
        if !value.text.chars().any(char::is_alphanumeric) {
            let said =
                "write some of the word beside `*`, or quote it to search for it as it stands";
            return self.wrong(&value.place, said);
        }
        if !self.is_short(&whole_pattern(&value.text), value) {
            return Node::Wrong;
        }
        Node::Ask(Ask::TextLike(value.text.clone()))
    }

    fn is_short(&mut self, pattern: &Pattern, value: &Value) -> bool {
        let short = pattern.length() <= PATTERN_CHARS_MAX;
        if !short {
            let said = format!("a value with wildcards has at most {PATTERN_CHARS_MAX} characters");
            self.error(&value.place, said);
        }
        short
    }

    /// The pattern that a value is, if it has wildcards.
    fn pattern(value: &Value) -> Option<Pattern> {
        let pattern = Pattern::parse(&value.text);
        (!value.quoted && pattern.literal().is_none()).then_some(pattern)
    }

    pub(crate) fn qualified(&mut self, named: &Named<'_>, values: &[Value], whole: &Place) -> Node {
        let path = read_path(named.name);
        if path.is_none() && self.known(named).is_none() {
            return Node::Wrong;
        }
        if let Some(wrong) = self.misplaced(named, values, whole) {
            return wrong;
        }
        if let Sign::Instead(sign) = named.sign {
            return self.other_sign((named, sign), values, whole);
        }
        let node = match path {
            Some(Err(KeyMissing)) => {
                let said = "a key is missing: write a path like `data.items.0.sku`";
                return self.wrong(&named.at, said);
            }
            Some(Ok(path)) => {
                let read = |parser: &mut Self, value: &Value| parser.at(&path, value);
                match named.sign {
                    Sign::Is | Sign::IsNot => self.each(values, read),
                    _ => self.compared(named, (&path, Unit::One), values, whole),
                }
            }
            None => match Qualifier::named(named.name) {
                Some(qualifier) => self.by_qualifier(qualifier, named, values, whole),
                None => return Node::Wrong,
            },
        };
        match named.sign {
            Sign::IsNot => Node::Not(Box::new(node)),
            _ => node,
        }
    }

    fn known(&mut self, named: &Named<'_>) -> Option<&'static Qualifier> {
        let name = named.name;
        let known = Qualifier::named(name);
        if known.is_none() {
            let lower = name.to_ascii_lowercase();
            let names = QUALIFIERS.iter().map(|q| q.name);
            let near = elsewhere::meant(name)
                .or_else(|| nearest(&lower, names).filter(|_| !elsewhere::is_text(name)))
                .map(str::to_owned);
            let near = near.or_else(|| nearest_path(name));
            let none = format!("there is no qualifier `{name}`");
            let said = if near.is_some() {
                none
            } else if elsewhere::is_text(name) {
                format!("{none}: words of texts are searched without one, so write them alone")
            } else {
                format!("{none}; to search for the text itself, quote it")
            };
            self.errors
                .push(QueryError::new(&self.text, &named.at, said).suggesting(near));
        }
        known
    }

    fn by_qualifier(
        &mut self,
        qualifier: &'static Qualifier,
        named: &Named<'_>,
        values: &[Value],
        whole: &Place,
    ) -> Node {
        let is_order = !matches!(named.sign, Sign::Is | Sign::IsNot);
        match qualifier.meaning {
            Meaning::Number(field, unit) if is_order => {
                self.compared(named, (&field.into(), unit), values, whole)
            }
            Meaning::Sequence if is_order => self.numbered(named, values, whole),
            _ if is_order => {
                let said = format!("`{0}` has no order: write `{0}:`", qualifier.name);
                self.wrong(whole, said)
            }
            Meaning::Tenant => self.tenants(values, whole),
            Meaning::Since(clock) => {
                self.time(values, End::Start, whole, |at| Bound::Since(clock, at))
            }
            Meaning::Until(clock) => {
                self.time(values, End::End, whole, |at| Bound::Until(clock, at))
            }
            _ => self.each(values, |parser, value| parser.one(qualifier, value)),
        }
    }

    /// Any of the values.
    fn each(&mut self, values: &[Value], read: impl Fn(&mut Self, &Value) -> Option<Ask>) -> Node {
        let mut asks = Vec::with_capacity(values.len());
        for value in values {
            self.count(&value.place);
            asks.extend(read(self, value));
        }
        if asks.len() < values.len() {
            return Node::Wrong;
        }
        Node::Ask(Ask::or(asks))
    }

    fn one(&mut self, qualifier: &'static Qualifier, value: &Value) -> Option<Ask> {
        if normalise(&value.text).is_empty() {
            let said = format!("`{}:` needs a value here", qualifier.name);
            self.error(&value.place, said);
            return None;
        }
        match (qualifier.meaning, Self::pattern(value)) {
            (Meaning::Is(Key::Ip), Some(_)) => {
                let said = "`ip:` takes an address or a network like 10.0.0.0/8, no wildcards";
                let error = QueryError::new(&self.text, &value.place, said);
                self.errors.push(error.suggesting(network_of(&value.text)));
                return None;
            }
            (Meaning::Is(key), Some(pattern)) => {
                return self
                    .is_short(&pattern, value)
                    .then_some(Ask::Like(key, pattern));
            }
            (Meaning::Id, Some(pattern)) => {
                return self
                    .is_short(&pattern, value)
                    .then_some(Ask::IdLike(pattern));
            }
            _ => {}
        }
        match qualifier.meaning {
            Meaning::Is(key) => self.is(qualifier, key, value),
            Meaning::Id => Some(Ask::Id(normalise(&meant(value)).into_owned())),
            Meaning::Sequence => self.sequence(value),
            Meaning::Has => self.has(value),
            Meaning::Number(field, unit) => self.number(field, unit, value),
            Meaning::Tenant | Meaning::Since(_) | Meaning::Until(_) => None,
        }
    }

    fn has(&mut self, value: &Value) -> Option<Ask> {
        let (said, near) = match Part::named(&value.text) {
            Part::Path(path) => return Some(Ask::At(path, Test::There)),
            Part::Attachment => return Some(Ask::Attachment),
            Part::Sealed => {
                let said = "what is sealed is not in the record: this finds records that have \
                            something sealed, whatever it is";
                (said, Some("personal".to_owned()))
            }
            Part::Unknown(near) => {
                let said = "no part or field of an event has this name; some are proof, changes, \
                            error, attachment, personal, http.status, data.amount";
                (said, near)
            }
        };
        self.errors
            .push(QueryError::new(&self.text, &value.place, said).suggesting(near));
        None
    }

    /// What a value behind the colon of a path asks.
    fn at(&mut self, path: &Path, value: &Value) -> Option<Ask> {
        if !value.quoted && normalise(&value.text).is_empty() {
            self.error(
                &value.place,
                "a value is missing here; the empty text is `\"\"`",
            );
            return None;
        }
        if !value.quoted && begins_with_sign(&value.text) {
            self.sign_instead(value);
            return None;
        }
        let test = read_value(value);
        if let Test::Like(pattern) = &test
            && !self.is_short(pattern, value)
        {
            return None;
        }
        self.in_order(test, value)
            .map(|test| Ask::At(path.clone(), test))
    }

    fn number(&mut self, field: Field, unit: Unit, value: &Value) -> Option<Ask> {
        if begins_with_sign(&value.text) {
            self.sign_instead(value);
            return None;
        }
        let read = read_range(value.text.trim(), unit).filter(|_| !value.quoted);
        let Some(test) = read else {
            self.no_number(unit, &value.place);
            return None;
        };
        self.in_order(test, value)
            .map(|test| Ask::At(field.into(), test))
    }

    fn in_order(&mut self, test: Test, value: &Value) -> Option<Test> {
        if is_backwards(&test) {
            self.error(
                &value.place,
                "the range ends before it begins: write the smaller end first",
            );
            return None;
        }
        Some(test)
    }

    fn sign_instead(&mut self, value: &Value) {
        self.error(
            &value.place,
            "write the sign in place of the colon, like `data.amount>100`",
        );
    }

    fn no_number(&mut self, unit: Unit, place: &Place) {
        let said = match unit {
            Unit::One => "write a number here, like 1000, 0.5 or 1e6, or a range like 10..20",
            Unit::Milliseconds => {
                "write how long here, in ms, s, m or h, like 500ms or 1.5s, or a range like 1s..2s"
            }
        };
        self.error(place, said);
    }

    /// A path or qualifier with a number that it is compared with.
    fn compared(
        &mut self,
        named: &Named<'_>,
        (path, unit): (&Path, Unit),
        values: &[Value],
        whole: &Place,
    ) -> Node {
        let [value] = values else {
            return self.wrong(whole, "one number, not a list");
        };
        self.count(&value.place);
        let number = read_number(value.text.trim(), unit).filter(|_| !value.quoted);
        let Some(number) = number else {
            self.no_number(unit, &value.place);
            return Node::Wrong;
        };
        Node::Ask(Ask::At(path.clone(), compared(named.sign, number)))
    }

    /// Sequence numbers above or below one.
    fn numbered(&mut self, named: &Named<'_>, values: &[Value], whole: &Place) -> Node {
        let [value] = values else {
            return self.wrong(whole, "one number, not a list");
        };
        self.count(&value.place);
        let Some(number) = read_sequence(value.text.trim()).filter(|r| r.end - r.start == 1) else {
            return self.wrong(&value.place, "write one sequence number here, like 7");
        };
        let range = match named.sign {
            Sign::Above => number.end..u64::MAX,
            Sign::From => number.start..u64::MAX,
            Sign::Below => 0..number.start,
            _ => 0..number.end,
        };
        if range.is_empty() {
            return self.wrong(whole, "there are no such sequence numbers");
        }
        Node::Ask(Ask::Sequence(range))
    }

    fn is(&mut self, qualifier: &Qualifier, key: Key, value: &Value) -> Option<Ask> {
        if key == Key::Ip {
            let address = normalise_address(&value.text);
            if !value.quoted && address.contains('/') {
                let network = Network::parse(&address).map(Ask::Within);
                if network.is_none() {
                    let said = "a network is an address, `/` and 0 to 32, or to 128 for IPv6";
                    self.error(&value.place, said);
                }
                return network;
            }
            if !value.quoted && !is_address_or_name(&address) {
                let said = "this is no IP address: write one like 10.0.0.7 or 2001:db8::1, a \
                            network like 10.0.0.0/8, several with commas between them, or quote \
                            the text to search for it as it stands";
                self.error(&value.place, said);
                return None;
            }
            return Some(Ask::Is(key, address.into_owned()));
        }
        let text = normalise(&meant(value)).into_owned();
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

/// The path that may have been meant where its first key is misspelt.
fn nearest_path(name: &str) -> Option<String> {
    let (first, rest) = name.split_once('.')?;
    let root = nearest(&first.to_ascii_lowercase(), ROOTS)?;
    Some(format!("{root}.{rest}"))
}

/// A text without wildcards, as it is meant.
fn meant(value: &Value) -> String {
    let text = value.text.trim();
    if value.quoted {
        return text.to_owned();
    }
    unescape(text)
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
