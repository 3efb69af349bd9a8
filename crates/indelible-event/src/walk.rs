//! A visitor over every value of an event, each with its JSON pointer.
//!
//! Not here: decisions about values; redaction, sealing and search each bring their own. Input is
//! canonical bytes; other bytes end the walk early and never panic. Pointers are only built when
//! asked for.

use std::borrow::Cow;
use std::ops::Range;

use crate::canonical::scan::{number_end, special};
use crate::canonical::unescape;
use crate::limits::DEPTH_MAX;
use crate::problem::push_token;
use crate::view::string_content;

/// What to do after a value was visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Visit what is inside as well, if it is an array or object.
    Into,
    /// Pass over what is inside.
    Over,
    /// End the walk.
    Stop,
}

#[derive(Debug, Clone)]
enum Step {
    Key(Range<usize>),
    Item(usize),
}

/// One value and where it stands.
#[derive(Debug)]
pub struct Place<'a, 'p> {
    text: &'a str,
    path: &'p [Step],
    value: Range<usize>,
    member: Range<usize>,
}

impl<'a> Place<'a, '_> {
    /// The JSON token.
    pub fn raw(&self) -> &'a str {
        &self.text[self.value.clone()]
    }

    /// The text, escapes resolved, if the value is a string.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        string_content(self.raw()).map(unescape)
    }

    /// Where the value stands in the bytes.
    pub fn span(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Where key, colon and value stand, without a comma; of an array's item, where it stands.
    pub fn member(&self) -> Range<usize> {
        self.member.clone()
    }

    /// The nearest key above the value, as it stands between its quotes: its own, or that of the
    /// array that it is an item of.
    pub fn key(&self) -> Option<&'a str> {
        self.keys().next_back()
    }

    /// The first key of the pointer: the top-level member that the value belongs to.
    pub fn top_key(&self) -> Option<&'a str> {
        self.keys().next()
    }

    /// Every key above the value, outermost first, each as it stands between its quotes.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &'a str> + '_ {
        self.path.iter().filter_map(|step| match step {
            Step::Key(span) => Some(&self.text[span.clone()]),
            Step::Item(_) => None,
        })
    }

    /// Whether the value is an item of an array.
    pub fn is_item(&self) -> bool {
        matches!(self.path.last(), Some(Step::Item(_)))
    }

    /// How many steps the pointer has.
    pub fn depth(&self) -> usize {
        self.path.len()
    }

    /// The JSON pointer into the event (RFC 6901).
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in self.path {
            match step {
                Step::Key(span) => push_token(&mut pointer, &unescape(&self.text[span.clone()])),
                Step::Item(index) => push_token(&mut pointer, &index.to_string()),
            }
        }
        pointer
    }
}

/// Visits every value of canonical JSON, parents before children, in the order of the bytes. The
/// outermost value is not visited itself.
pub fn walk(text: &str, visit: &mut dyn FnMut(&Place<'_, '_>) -> Walk) {
    let mut walker = Walker {
        text,
        at: 0,
        path: Vec::with_capacity(8),
        visit,
    };
    let _ = walker.inside();
}

/// Visits every string value of canonical JSON.
pub fn strings(text: &str, visit: &mut dyn FnMut(&Place<'_, '_>)) {
    walk(text, &mut |place| {
        if place.raw().starts_with('"') {
            visit(place);
        }
        Walk::Into
    });
}

struct Walker<'a, 'v> {
    text: &'a str,
    at: usize,
    path: Vec<Step>,
    visit: &'v mut dyn FnMut(&Place<'_, '_>) -> Walk,
}

impl Walker<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes through the members or items of the container at `self.at`.
    fn inside(&mut self) -> Option<()> {
        let object = match self.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        self.at += 1;
        if matches!(self.peek()?, b'}' | b']') {
            self.at += 1;
            return Some(());
        }
        if self.path.len() >= DEPTH_MAX {
            return None;
        }
        let mut index = 0;
        loop {
            let start = self.at;
            if object {
                let end = skip(self.text.as_bytes(), self.at)?;
                // Of what is not canonical, a key may be no string and end within a character.
                self.text.get(start + 1..end - 1)?;
                self.path.push(Step::Key(start + 1..end - 1));
                self.at = end + 1;
            } else {
                self.path.push(Step::Item(index));
                index += 1;
            }
            self.one(start)?;
            self.path.pop();
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                _ => return Some(()),
            }
        }
    }

    fn one(&mut self, member: usize) -> Option<()> {
        let start = self.at;
        let end = skip(self.text.as_bytes(), start)?;
        self.text.get(start..end)?;
        let place = Place {
            text: self.text,
            path: &self.path,
            value: start..end,
            member: member..end,
        };
        match (self.visit)(&place) {
            Walk::Into if matches!(self.peek()?, b'{' | b'[') => self.inside(),
            Walk::Into | Walk::Over => {
                self.at = end;
                Some(())
            }
            Walk::Stop => None,
        }
    }
}

/// Where a value ends, given that the bytes are canonical JSON.
pub(crate) fn skip(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => skip_string(text, start),
        b'{' | b'[' => skip_container(text, start),
        b't' | b'n' => Some(start + 4).filter(|end| *end <= text.len()),
        b'f' => Some(start + 5).filter(|end| *end <= text.len()),
        _ => number_end(text, start),
    }
}

fn skip_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at = special(text, at)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn skip_container(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        let found = text
            .get(at..)?
            .iter()
            .position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'));
        at += found?;
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            _ => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
        }
        at += 1;
    }
}
