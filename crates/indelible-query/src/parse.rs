//! Tokens to a [`Parsed`] query or to errors that point at columns.
//!
//! Grammar, loosest first: `or = and {"OR" and}`, `and = not {["AND"] not}`,
//! `not = ("NOT" | "-") not | one`, `one = "(" or ")" | text | name sign value {"," value}`, where
//! a name is a qualifier's or a path into the event, and a sign one of `:`, `=`, `!=`, `>`, `>=`,
//! `<`, `<=`.
//! Bounds (`since:`, `until:`, `tenant:` …) are read like any other term and must then stand side
//! by side at the top, since they say where to look rather than what to look for.

use std::ops::Range;
use std::sync::Arc;

use indelible_event::ids::{Micros, TenantId};

use crate::ask::{Ask, EVER, Parsed};
use crate::error::{Place, QueryError};
use crate::lex::{Lexer, Token, Value};
use crate::qualifier::Clock;
use crate::term::Named;
use crate::when::ParseContext;

/// The longest query text, bytes.
pub const TEXT_BYTES_MAX: usize = 16_384;
/// How deep parentheses and negations may be nested.
pub const DEPTH_MAX: usize = 32;
/// The most words and values of one query.
pub const TERMS_MAX: usize = 512;

/// Reads a query text; the empty text asks for every record.
///
/// # Errors
/// All mistakes that can be told apart, in the order of their columns.
pub fn parse(text: &str, context: &ParseContext) -> Result<Parsed, Vec<QueryError>> {
    let mut parser = Parser {
        text: Arc::from(text),
        context,
        lexer: Lexer::new(text),
        ahead: None,
        last: Place {
            column: 1,
            length: 0,
        },
        errors: Vec::new(),
        terms: 0,
    };
    if text.len() > TEXT_BYTES_MAX {
        let place = Place {
            column: 1,
            length: 0,
        };
        let said = format!(
            "the query is {} bytes long, at most {TEXT_BYTES_MAX}",
            text.len()
        );
        return Err(vec![QueryError::new(&parser.text, &place, said)]);
    }
    parser.advance();
    let parsed = parser.whole();
    if parser.errors.is_empty()
        && let Some(parsed) = parsed
    {
        return Ok(parsed);
    }
    parser.errors.sort_by_key(QueryError::column);
    Err(parser.errors)
}

/// What a part of the text turned out to be.
pub(crate) enum Node {
    /// A mistake, reported already.
    Wrong,
    /// A condition.
    Ask(Ask),
    /// A bound, which may only stand at the top.
    Bound(Bound, Place),
    /// Side by side.
    And(Vec<Node>),
    /// Alternatives.
    Or(Vec<Node>),
    /// Negated.
    Not(Box<Node>),
}

/// Where to look.
pub(crate) enum Bound {
    Tenants(Vec<TenantId>),
    Since(Clock, Micros),
    Until(Clock, Micros),
}

pub(crate) struct Parser<'a> {
    pub(crate) text: Arc<str>,
    pub(crate) context: &'a ParseContext,
    lexer: Lexer,
    ahead: Option<(Token, Place)>,
    /// Where the token before `ahead` stands.
    last: Place,
    pub(crate) errors: Vec<QueryError>,
    pub(crate) terms: usize,
}

impl Parser<'_> {
    pub(crate) fn advance(&mut self) -> Option<(Token, Place)> {
        let token = std::mem::replace(&mut self.ahead, self.lexer.next());
        if let Some((_, place)) = &token {
            self.last = *place;
        }
        token
    }

    /// The word or quoted text that comes next, if one does.
    pub(crate) fn text_ahead(&self) -> Option<(&Value, Place)> {
        match &self.ahead {
            Some((Token::Text(value), place)) => Some((value, *place)),
            _ => None,
        }
    }

    /// What stands at a place, as it was written.
    pub(crate) fn written(&self, place: &Place) -> String {
        let rest = self.text.chars().skip(place.column - 1);
        rest.take(place.length).collect()
    }

    fn here(&self) -> Place {
        self.ahead
            .as_ref()
            .map_or_else(|| self.lexer.end(), |(_, place)| *place)
    }

    fn sees(&self, token: &Token) -> bool {
        self.ahead.as_ref().is_some_and(|(ahead, _)| ahead == token)
    }

    pub(crate) fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.errors
            .push(QueryError::new(&self.text, place, message));
    }

    pub(crate) fn wrong(&mut self, place: &Place, message: impl Into<String>) -> Node {
        self.error(place, message);
        Node::Wrong
    }

    fn whole(&mut self) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        if self.ahead.is_none() {
            return Some(parsed);
        }
        let node = self.or(0)?;
        if self.sees(&Token::Close) {
            self.error(&self.here(), "nothing is open here: remove `)`");
            return None;
        }
        let mut asks = Vec::new();
        self.top(node, &mut parsed, &mut asks);
        parsed.ask = Ask::and(asks);
        Some(parsed)
    }

    /// Takes bounds out of what stands side by side at the top.
    fn top(&mut self, node: Node, parsed: &mut Parsed, asks: &mut Vec<Ask>) {
        match node {
            Node::And(parts) => {
                for part in parts {
                    self.top(part, parsed, asks);
                }
            }
            Node::Bound(bound, place) => self.bind(bound, &place, parsed),
            other => asks.extend(self.condition(other)),
        }
    }

    fn bind(&mut self, bound: Bound, place: &Place, parsed: &mut Parsed) {
        let (clock, from, to) = match bound {
            Bound::Tenants(mut named) => {
                if let Some(before) = &parsed.tenants {
                    named.retain(|tenant| before.contains(tenant));
                }
                if named.is_empty() {
                    self.error(
                        place,
                        "no tenant is named by both: write `tenant:a,b` for either",
                    );
                }
                parsed.tenants = Some(named);
                return;
            }
            Bound::Since(clock, from) => (clock, from, EVER.end),
            Bound::Until(clock, to) => (clock, EVER.start, to),
        };
        let range: &mut Range<Micros> = match clock {
            Clock::Occurred => &mut parsed.occurred,
            Clock::Ingested => &mut parsed.ingested,
        };
        range.start = range.start.max(from);
        range.end = range.end.min(to);
        if range.is_empty() {
            self.error(
                place,
                "the time ends before it begins, so nothing can match",
            );
        }
    }

    /// A condition without bounds in it.
    fn condition(&mut self, node: Node) -> Option<Ask> {
        match node {
            Node::Wrong => None,
            Node::Ask(ask) => Some(ask),
            Node::Bound(_, place) => {
                let said = "this bounds the whole query: write it outside of OR, NOT and -, with \
                            the alternatives in parentheses";
                self.error(&place, said);
                None
            }
            Node::And(parts) => Some(Ask::and(self.conditions(parts))),
            Node::Or(parts) => Some(Ask::or(self.conditions(parts))),
            Node::Not(inner) => Some(Ask::not(self.condition(*inner)?)),
        }
    }

    fn conditions(&mut self, nodes: Vec<Node>) -> Vec<Ask> {
        nodes
            .into_iter()
            .filter_map(|node| self.condition(node))
            .collect()
    }

    /// `None` when the rest of the text makes no sense after a mistake, which was reported.
    fn or(&mut self, depth: usize) -> Option<Node> {
        let mut parts = vec![self.and(depth)?];
        while self.sees(&Token::Or) {
            self.advance();
            parts.push(self.and(depth)?);
        }
        Some(if parts.len() == 1 {
            parts.swap_remove(0)
        } else {
            Node::Or(parts)
        })
    }

    fn and(&mut self, depth: usize) -> Option<Node> {
        let mut parts = vec![self.not(depth)?];
        loop {
            if self.sees(&Token::And) {
                self.advance();
            } else if self.ahead.is_none() || self.sees(&Token::Or) || self.sees(&Token::Close) {
                break;
            }
            parts.push(self.not(depth)?);
        }
        Some(if parts.len() == 1 {
            parts.swap_remove(0)
        } else {
            Node::And(parts)
        })
    }

    fn not(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            let said = format!("parentheses and negations are nested more than {DEPTH_MAX} deep");
            self.error(&self.here(), said);
            return None;
        }
        let Some((token, place)) = self.advance() else {
            self.error(&self.here(), "a word or qualifier is missing here");
            return None;
        };
        match token {
            Token::Not => Some(Node::Not(Box::new(self.not(depth + 1)?))),
            Token::Bang => self.bang(depth, &place),
            Token::Open => self.group(depth, &place),
            Token::Close | Token::And | Token::Or => {
                let said = "a word or qualifier is missing before this; quote it to search for it";
                self.error(&place, said);
                None
            }
            Token::Unclosed => {
                self.error(&place, "the quote is not closed: add `\"`");
                None
            }
            Token::Text(value) => Some(self.word(&value)),
            Token::Qualified(name, sign, at, values) => {
                let named = Named {
                    name: &name,
                    sign,
                    at,
                };
                Some(self.qualified(&named, &values, &place))
            }
        }
    }

    /// What `!` stands before is read all the same, to say how it is negated.
    fn bang(&mut self, depth: usize, sign: &Place) -> Option<Node> {
        self.not(depth + 1)?;
        Some(self.banged(sign, self.last))
    }

    fn group(&mut self, depth: usize, open: &Place) -> Option<Node> {
        if self.sees(&Token::Close) {
            self.error(&open.to(self.here()), "the parentheses are empty");
            return None;
        }
        let inner = self.or(depth + 1)?;
        if !self.sees(&Token::Close) {
            self.error(open, "the parenthesis is not closed: add `)`");
            return None;
        }
        self.advance();
        Some(inner)
    }
}
