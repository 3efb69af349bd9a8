//! Query text to tokens, each with its place. Knows no qualifiers and never fails but for a quote
//! that is not closed.

use crate::error::Place;

/// A piece of text that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Without quotes and escapes.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Where, quotes included.
    pub place: Place,
}

/// What stands between a name and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `:` or `=`
    Is,
    /// `!=`
    IsNot,
    /// `>`
    Above,
    /// `>=`
    From,
    /// `<`
    Below,
    /// `<=`
    UpTo,
    /// One that does not exist, like `!>` or `==`: the sign to write instead.
    Instead(&'static str),
}

impl Sign {
    /// As they are written, longer ones before those they begin with.
    const ALL: [(&str, Self); 17] = [
        (":", Self::Is),
        ("===", Self::Instead("=")),
        ("!==", Self::Instead("!=")),
        ("==", Self::Instead("=")),
        ("=>", Self::Instead(">=")),
        ("=<", Self::Instead("<=")),
        ("<>", Self::Instead("!=")),
        ("!>=", Self::Instead("<")),
        ("!<=", Self::Instead(">")),
        ("!>", Self::Instead("<=")),
        ("!<", Self::Instead(">=")),
        ("!=", Self::IsNot),
        (">=", Self::From),
        ("<=", Self::UpTo),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Is),
    ];
}

/// The fields into which paths lead, in lower case.
pub(crate) const ROOTS: [&str; 2] = ["data", "changes"];

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `-` before something, or `NOT`.
    Not,
    /// `!` before something, which negates elsewhere.
    Bang,
    /// `AND`
    And,
    /// `OR`
    Or,
    /// A word or quoted text.
    Text(Value),
    /// `name:value,value`; the place is that of the name.
    Qualified(String, Sign, Place, Vec<Value>),
    /// A quote that is not closed.
    Unclosed,
}

/// Reads one token after the other.
pub(crate) struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    pub fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
        }
    }

    /// The end of the text.
    pub fn end(&self) -> Place {
        Place {
            column: self.chars.len() + 1,
            length: 0,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn since(&self, start: usize) -> Place {
        Place {
            column: start + 1,
            length: self.at - start,
        }
    }

    fn one(&mut self, token: Token) -> (Token, Place) {
        self.at += 1;
        (token, self.since(self.at - 1))
    }

    /// The sign at a place, and how many characters it takes.
    fn sign_at(&self, at: usize) -> Option<(Sign, usize)> {
        let rest = self.chars.get(at..)?;
        Sign::ALL.iter().find_map(|(text, sign)| {
            let length = text.len();
            let here = rest.iter().take(length).copied().eq(text.chars());
            here.then_some((*sign, length))
        })
    }

    /// How many characters from here on a qualifier's name or a path takes, if one stands here, and
    /// the sign behind it.
    fn name(&self) -> Option<(usize, Sign, usize)> {
        let rest = self.chars.get(self.at..)?;
        let word = rest.iter().take_while(|c| is_name(**c)).count();
        let mut length = word;
        if self.begins_path() {
            while let Some(c) = rest.get(length) {
                if ends_value(*c) || self.sign_at(self.at + length).is_some() {
                    break;
                }
                length += if *c == '\\' { 2 } else { 1 };
            }
        }
        let (sign, signed) = self.sign_at(self.at + length)?;
        rest.first()?
            .is_ascii_alphabetic()
            .then_some((length, sign, signed))
    }

    /// Whether a path stands here: a field that paths lead into, and a dot.
    fn begins_path(&self) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        ROOTS.iter().any(|root| {
            let word = rest.iter().map(char::to_ascii_lowercase).take(root.len());
            word.eq(root.chars()) && rest.get(root.len()) == Some(&'.')
        })
    }

    /// Text in quotes; `None` when they are not closed.
    fn quoted(&mut self) -> Option<Value> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => {
                    return Some(Value {
                        text,
                        quoted: true,
                        place: self.since(start),
                    });
                }
                '\\' if matches!(self.peek(), Some('"' | '\\')) => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                _ => text.push(c),
            }
        }
        None
    }

    fn bare(&mut self, stops: fn(char) -> bool) -> Value {
        let start = self.at;
        while self.peek().is_some_and(|c| !stops(c)) {
            self.at += 1;
        }
        let text = self
            .chars
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect();
        Value {
            text,
            quoted: false,
            place: self.since(start),
        }
    }

    fn qualified(&mut self, (name_length, sign, signed): (usize, Sign, usize)) -> (Token, Place) {
        let start = self.at;
        let name = self
            .chars
            .get(start..start + name_length)
            .unwrap_or_default()
            .iter()
            .collect();
        let name_place = Place {
            column: start + 1,
            length: name_length,
        };
        self.at += name_length + signed;
        let mut values = Vec::new();
        loop {
            let opened = self.at;
            if self.peek() == Some('"') {
                let Some(value) = self.quoted() else {
                    return (Token::Unclosed, self.since(opened));
                };
                values.push(value);
            } else {
                values.push(self.bare(ends_value));
            }
            if self.peek() != Some(',') {
                break;
            }
            self.at += 1;
        }
        (
            Token::Qualified(name, sign, name_place, values),
            self.since(start),
        )
    }
}

impl Iterator for Lexer {
    type Item = (Token, Place);

    fn next(&mut self) -> Option<Self::Item> {
        while self.peek()?.is_whitespace() {
            self.at += 1;
        }
        let start = self.at;
        let next = self.chars.get(self.at + 1).copied();
        match self.peek()? {
            '(' => Some(self.one(Token::Open)),
            ')' => Some(self.one(Token::Close)),
            '-' if next.is_some_and(|c| !c.is_whitespace() && c != ')') => {
                Some(self.one(Token::Not))
            }
            '!' if next.is_some_and(|c| !c.is_whitespace() && !matches!(c, ')' | '=')) => {
                Some(self.one(Token::Bang))
            }
            '"' => {
                let token = self.quoted().map_or(Token::Unclosed, Token::Text);
                Some((token, self.since(start)))
            }
            _ => {
                if let Some(name) = self.name() {
                    return Some(self.qualified(name));
                }
                let value = self.bare(ends_word);
                let token = match value.text.as_str() {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    _ => Token::Text(value),
                };
                Some((token, self.since(start)))
            }
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '.' | '-' | '_')
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"')
}

pub(crate) fn ends_value(c: char) -> bool {
    ends_word(c) || c == ','
}

/// Writes `text` so that it is read back as one word.
pub(crate) fn write_word(text: &str, out: &mut String) {
    let mut lexer = Lexer::new(text);
    let alone = matches!(lexer.next(), Some((Token::Text(v), _)) if !v.quoted && v.text == text);
    let says_itself = text != "-" && !text.contains(['*', '\\', '!']) && !begins_apart(text);
    if alone && says_itself && lexer.next().is_none() {
        out.push_str(text);
    } else {
        quote(text, out);
    }
}

/// Whether a word begins with a sign or a comma, which would belong to a name before it.
pub(crate) fn begins_apart(text: &str) -> bool {
    text.starts_with([':', '=', '<', '>', '!', ','])
}

/// Writes `text` so that it is read back as one value of a qualifier.
pub(crate) fn write_value(text: &str, out: &mut String) {
    if text.is_empty()
        || text
            .chars()
            .any(|c| ends_value(c) || matches!(c, '*' | '?' | '\\'))
    {
        quote(text, out);
    } else {
        out.push_str(text);
    }
}

/// Writes `text` in quotes.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
