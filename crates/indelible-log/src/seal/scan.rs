//! One pass over an event: what of it is personal, where it stands, and whose it is.
//!
//! Works on canonical bytes and copies nothing but what it finds. Not here: keys and commitments
//! (`mod`), and what looks like an address (`detect`). Other bytes than canonical ones end the pass
//! with an error and never panic.

use std::borrow::Cow;
use std::ops::Range;

use indelible_event::Field;
use indelible_event::canonical::unescape;
use indelible_event::limits::DEPTH_MAX;

use super::detect::{is_email, is_ip, mask, names_ip};
use super::skim::{expect, scalar_end, skip, string_end};
use crate::policy::{Action, Capture, Node, Rule, SealingPolicy};

/// Strings longer than this are blobs, in bytes of the text between the quotes.
const SEARCHABLE_BYTES_MAX: usize = 1_024;

/// Whose a value is, by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Actor = 0,
    Target = 1,
    Record = 2,
}

/// What takes the place of a sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing: the member goes.
    Gone,
    /// In an array, a mark, so that indices stay.
    Mark,
    /// The subject's handle.
    Handle,
    /// The masked text, as a token.
    Masked(String),
}

/// A personal value.
#[derive(Debug)]
pub(super) struct Found<'p> {
    /// Its JSON token in the event.
    pub(super) value: Range<usize>,
    /// Its member, or the same as `value` in an array.
    pub(super) member: Range<usize>,
    pub(super) pointer: Cow<'p, str>,
    /// Under which name it is found; `None` for a blob.
    pub(super) search_name: Option<Cow<'p, str>>,
    pub(super) whose: Whose,
    pub(super) instead: Instead,
    /// The field whose value it is, where that is known.
    pub(super) field: Option<Field>,
}

/// All that sealing needs to know of an event.
#[derive(Debug)]
pub(super) struct Scan<'p> {
    pub(super) found: Vec<Found<'p>>,
    captured: [Option<(usize, usize)>; 5],
    /// Where a top-level member `sealed` belongs: the next member, or the closing brace.
    pub(super) sealed_at: usize,
}

impl Scan<'_> {
    /// The tokens of type and id that identify actor or target; `None` unless both are strings with
    /// something in them.
    pub(super) fn identity<'a>(&self, event: &'a str, whose: Whose) -> Option<(&'a str, &'a str)> {
        let token = |capture: Capture| {
            let (start, end) = self.captured[capture as usize]?;
            event
                .get(start..end)
                .filter(|token| token.starts_with('"') && token.len() > 2)
        };
        match whose {
            Whose::Actor => Some((token(Capture::ActorType)?, token(Capture::ActorId)?)),
            Whose::Target => {
                let id = token(Capture::TargetId).or_else(|| token(Capture::TargetUid))?;
                Some((token(Capture::TargetType)?, id))
            }
            Whose::Record => None,
        }
    }
}

/// Why an event cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not a canonical object.
    NotCanonical,
    /// It brings a `sealed` of its own.
    HasSealed,
}

/// Passes over an event once.
pub(super) fn scan<'p>(event: &str, policy: &'p SealingPolicy) -> Result<Scan<'p>, Refused> {
    let mut scanner = Scanner::new(event, policy);
    let end = scanner
        .object(0, Some(policy.rules()), Whose::Record)
        .ok_or(Refused::NotCanonical)?;
    if end != event.len() {
        return Err(Refused::NotCanonical);
    }
    if scanner.has_sealed {
        return Err(Refused::HasSealed);
    }
    if scanner.scan.sealed_at == 0 {
        scanner.scan.sealed_at = end - 1;
    }
    Ok(scanner.scan)
}

#[derive(Clone, Copy)]
enum Step {
    Key(usize, usize),
    Item(usize),
}

pub(super) struct Scanner<'a, 'p> {
    text: &'a str,
    policy: &'p SealingPolicy,
    /// The first at sign that is not passed yet.
    next_at_sign: usize,
    path: Vec<Step>,
    pub(super) scan: Scan<'p>,
    has_sealed: bool,
}

/// A value about to be looked at.
#[derive(Clone, Copy)]
pub(super) struct Spot<'p> {
    /// Where its member starts.
    pub(super) member: usize,
    /// Where it starts itself.
    pub(super) value: usize,
    pub(super) node: Option<&'p Node>,
    pub(super) whose: Whose,
    /// Whether values that look personal are sealed here.
    pub(super) open: bool,
}

impl Spot<'_> {
    fn until(&self, end: usize) -> Whole {
        Whole {
            value: self.value..end,
            member: self.member..end,
            whose: self.whose,
        }
    }
}

/// A value from its start to its end.
struct Whole {
    value: Range<usize>,
    member: Range<usize>,
    whose: Whose,
}

impl<'a, 'p> Scanner<'a, 'p> {
    pub(super) fn new(text: &'a str, policy: &'p SealingPolicy) -> Self {
        let at_sign = if policy.draft().email_values {
            memchr::memchr(b'@', text.as_bytes())
        } else {
            None
        };
        Self {
            text,
            policy,
            next_at_sign: at_sign.unwrap_or(usize::MAX),
            path: Vec::new(),
            scan: Scan {
                found: Vec::new(),
                captured: [None; 5],
                sealed_at: 0,
            },
            has_sealed: false,
        }
    }

    fn object(&mut self, at: usize, node: Option<&'p Node>, whose: Whose) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let top = self.path.is_empty();
        let mut at = expect(bytes, at, b'{')?;
        if bytes.get(at)? == &b'}' {
            return Some(at + 1);
        }
        loop {
            let key_end = string_end(bytes, at)?;
            let key = self.text.get(at + 1..key_end - 1)?;
            let mut spot = Spot {
                member: at,
                value: expect(bytes, key_end, b':')?,
                node: node.and_then(|node| node.child(key)),
                whose,
                open: true,
            };
            if top {
                self.top_key(key, at, &mut spot);
            }
            self.path.push(Step::Key(at + 1, key_end - 1));
            at = self.value(spot)?;
            self.path.pop();
            match bytes.get(at)? {
                b',' => at += 1,
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn top_key(&mut self, key: &str, at: usize, spot: &mut Spot<'p>) {
        match key {
            "actor" => spot.whose = Whose::Actor,
            "target" => spot.whose = Whose::Target,
            "sealed" => self.has_sealed = true,
            "audit_id" | "category" | "event_type" | "occurred_at" | "outcome"
            | "schema_version" | "severity" | "source_event_id" | "tenant_id" => spot.open = false,
            _ => {}
        }
        // Escaped characters and other letters compare with these seven as their bytes do.
        if self.scan.sealed_at == 0 && key > "sealed" {
            self.scan.sealed_at = at;
        }
    }

    fn array(&mut self, spot: Spot<'p>) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = expect(bytes, spot.value, b'[')?;
        if bytes.get(at)? == &b']' {
            return Some(at + 1);
        }
        let mut index = 0;
        loop {
            let node = spot.node.and_then(|node| node.item(index));
            self.path.push(Step::Item(index));
            at = self.value(Spot {
                member: at,
                value: at,
                node,
                ..spot
            })?;
            self.path.pop();
            index += 1;
            match bytes.get(at)? {
                b',' => at += 1,
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn value(&mut self, spot: Spot<'p>) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let first = *bytes.get(spot.value)?;
        if let Some(node) = spot.node
            && (node.rule.is_some() || node.capture.is_some())
        {
            return self.ruled(spot, node);
        }
        match first {
            b'"' => {
                let end = string_end(bytes, spot.value)?;
                if spot.open {
                    self.string(spot, end);
                }
                Some(end)
            }
            b'{' | b'[' if self.path.len() >= DEPTH_MAX => None,
            b'{' => self.object(spot.value, spot.node, spot.whose),
            b'[' => self.array(spot),
            _ => scalar_end(bytes, spot.value),
        }
    }

    /// A value that the policy has a word on.
    pub(super) fn ruled(&mut self, spot: Spot<'p>, node: &'p Node) -> Option<usize> {
        let end = skip(self.text.as_bytes(), spot.value, 0)?;
        let whole = spot.until(end);
        if let Some(capture) = node.capture {
            self.scan.captured[capture as usize] = Some((spot.value, end));
            let id = !matches!(capture, Capture::ActorType | Capture::TargetType);
            if id && self.has_at_sign(spot.value, end) && self.is_email(spot.value..end) {
                let pointer = match capture {
                    Capture::ActorId => "/actor/id",
                    Capture::TargetId => "/target/id",
                    _ => "/target/uid",
                };
                self.push(whole, pointer.into(), Some(pointer.into()), Instead::Handle);
            }
            return Some(end);
        }
        let rule = node.rule.as_deref()?;
        let token = self.text.get(spot.value..end)?;
        let spared =
            rule.spares_services && content(token).is_some_and(|text| self.policy.is_service(text));
        if token == "null" || token == "\"\"" || spared {
            return Some(end);
        }
        match rule.action {
            Action::Whole => self.push(whole, self.pointer_of(rule), None, Instead::Gone),
            Action::Field => {
                let pointer = self.pointer_of(rule);
                let name = searchable(token).then(|| search_name(rule, token));
                self.push(whole, pointer, name, Instead::Gone);
            }
            Action::Mask => match content(token) {
                Some(text) => {
                    if let Some(masked) = mask(&unescape(text)) {
                        let masked = indelible_event::canonical::string_token(&masked);
                        let pointer = self.pointer_of(rule);
                        self.push(whole, pointer, None, Instead::Masked(masked));
                    }
                }
                // Not a text: looked at like any other value.
                None => return self.value(Spot { node: None, ..spot }),
            },
        }
        Some(end)
    }

    /// A string that the policy has no word on: sealed if it is an address.
    fn string(&mut self, spot: Spot<'p>, end: usize) {
        let name = if self.has_at_sign(spot.value, end) && self.is_email(spot.value..end) {
            "email"
        } else if self.policy.draft().ip_values && self.is_named_ip(spot, end) {
            "ip"
        } else {
            return;
        };
        let pointer = self.pointer().into();
        self.push(spot.until(end), pointer, Some(name.into()), Instead::Gone);
    }

    /// Whether an at sign stands in the range; ranges are asked for in order.
    fn has_at_sign(&mut self, start: usize, end: usize) -> bool {
        if self.next_at_sign >= end {
            return false;
        }
        if self.next_at_sign < start {
            let rest = memchr::memchr(b'@', &self.text.as_bytes()[start..]);
            self.next_at_sign = rest.map_or(usize::MAX, |at| start + at);
        }
        self.next_at_sign < end
    }

    fn is_email(&self, token: Range<usize>) -> bool {
        content(&self.text[token]).is_some_and(|text| is_email(&unescape(text)))
    }

    fn is_named_ip(&self, spot: Spot<'p>, end: usize) -> bool {
        let text = &self.text[spot.value + 1..end - 1];
        if !is_ip(text) {
            return false;
        }
        let mut keys = self.path.iter().rev().filter_map(|step| match step {
            Step::Key(start, end) => Some(&self.text[*start..*end]),
            Step::Item(_) => None,
        });
        keys.next().is_some_and(names_ip)
    }

    fn push(
        &mut self,
        whole: Whole,
        pointer: Cow<'p, str>,
        search_name: Option<Cow<'p, str>>,
        instead: Instead,
    ) {
        let in_array = matches!(self.path.last(), Some(Step::Item(_)));
        let instead = match instead {
            Instead::Gone if in_array => Instead::Mark,
            other => other,
        };
        self.scan.found.push(Found {
            value: whole.value,
            member: whole.member,
            pointer,
            search_name,
            whose: whole.whose,
            instead,
            field: None,
        });
    }

    fn pointer_of(&self, rule: &'p Rule) -> Cow<'p, str> {
        if rule.literal {
            Cow::Borrowed(&rule.pointer)
        } else {
            Cow::Owned(self.pointer())
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(start, end) => {
                    let key = unescape(&self.text[*start..*end]);
                    if key.contains(['~', '/']) {
                        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    } else {
                        pointer.push_str(&key);
                    }
                }
                Step::Item(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }
}

/// Strings of a usual length and numbers are found again; the rest is kept as blobs.
fn searchable(token: &str) -> bool {
    match content(token) {
        Some(text) => text.len() <= SEARCHABLE_BYTES_MAX,
        None => token.starts_with(|c: char| c == '-' || c.is_ascii_digit()),
    }
}

/// The model's own fields are found under their pointer; others by their kind, else the pointer.
fn search_name<'p>(rule: &'p Rule, token: &str) -> Cow<'p, str> {
    if !rule.model
        && let Some(text) = content(token)
    {
        let text = unescape(text);
        if is_email(&text) {
            return "email".into();
        }
        if is_ip(&text) {
            return "ip".into();
        }
    }
    Cow::Borrowed(&rule.pointer)
}

/// What stands between the quotes of a string token.
fn content(token: &str) -> Option<&str> {
    token.strip_prefix('"')?.strip_suffix('"')
}
