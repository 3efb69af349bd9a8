//! Delivery classes: what may happen to an event while the way to the ledger is slow or gone.
//!
//! Each class has room of its own, so that a flood of one cannot push out another. Which events are
//! of which class is said by a [`Policy`], or at the call. Not here: rows in the caller's own
//! transaction. Source: `docs/emitter.md`, "Delivery classes".

use indelible_event::catalogue::{API, CLOUDTRAIL, Catalogue, Listing, NATIVE};
use indelible_event::limits::EVENT_TYPE_CHARS_MAX;

use crate::draft::{Draft, Said};

/// What is promised of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It must be in the ledger, or the caller must not go on: when the way to the ledger is known
    /// to be closed, or the deadline passes, its ticket fails at once.
    FailClosed,
    /// The caller awaits its receipt; it goes before the others.
    Confirmed,
    /// On disk within milliseconds, and from then on in the ledger sooner or later, whatever dies.
    Spooled,
    /// In memory; what finds no room is dropped, and declared.
    BestEffort,
}

/// Which events are of which class: the first rule that fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    default: Option<Class>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    field: Field,
    pattern: Pattern,
    class: Class,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    EventType,
    Category,
    Severity,
}

/// A text, or with a `*` at its end everything that begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    prefix: bool,
}

impl Class {
    /// Every class, those first that are served first.
    pub const ALL: [Self; 4] = [
        Self::FailClosed,
        Self::Confirmed,
        Self::Spooled,
        Self::BestEffort,
    ];

    /// The word in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailClosed => "fail_closed",
            Self::Confirmed => "confirmed",
            Self::Spooled => "spooled",
            Self::BestEffort => "best_effort",
        }
    }

    /// The class of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// Its place among the lanes of the queue.
    pub(crate) fn lane(self) -> usize {
        self as usize
    }

    /// The class of a lane.
    pub(crate) fn of_lane(lane: usize) -> Self {
        Self::ALL.get(lane).copied().unwrap_or(Self::BestEffort)
    }
}

impl Policy {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Events of these types are of this class: a type, or a beginning and `*`, as `auth.*`.
    #[must_use]
    pub fn event_type(self, pattern: &str, class: Class) -> Self {
        self.rule(Field::EventType, pattern, class)
    }

    /// Events of these categories are of this class.
    #[must_use]
    pub fn category(self, pattern: &str, class: Class) -> Self {
        self.rule(Field::Category, pattern, class)
    }

    /// Events that say this severity are of this class: `debug`, `info`, `warning`, `error` or
    /// `critical`.
    #[must_use]
    pub fn severity(self, severity: &str, class: Class) -> Self {
        self.rule(Field::Severity, severity, class)
    }

    /// All other events are of this class; if nothing is said, [`Class::Spooled`] where there is a
    /// spool and [`Class::BestEffort`] where there is none.
    #[must_use]
    pub fn otherwise(mut self, class: Class) -> Self {
        self.default = Some(class);
        self
    }

    fn rule(mut self, field: Field, pattern: &str, class: Class) -> Self {
        let (text, prefix) = match pattern.strip_suffix('*') {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        let pattern = Pattern {
            text: text.to_owned(),
            prefix,
        };
        self.rules.push(Rule {
            field,
            pattern,
            class,
        });
        self
    }

    /// A pattern that no event can fit, if there is one, and what there is to be said instead.
    pub(crate) fn fits_nothing(&self) -> Option<(String, String)> {
        let rule = self.rules.iter().find(|rule| rule.fits_nothing())?;
        let said = match rule.field {
            Field::Severity => severities().join(", "),
            Field::Category => "a whole word, or a beginning and *".to_owned(),
            Field::EventType => {
                let form = NATIVE.form();
                format!("a type of the form {form}, or the beginning of one and *")
            }
        };
        let Pattern { text, prefix } = &rule.pattern;
        Some((format!("{text}{}", if *prefix { "*" } else { "" }), said))
    }

    /// The classes that it may give.
    pub(crate) fn classes(&self) -> impl Iterator<Item = Class> + '_ {
        self.rules.iter().map(|rule| rule.class).chain(self.default)
    }

    /// The class of an event; on the caller's thread, so it looks and copies nothing.
    pub(crate) fn class(&self, draft: &Draft, spooled: bool) -> Class {
        let fits = |rule: &&Rule| {
            let value = match rule.field {
                Field::EventType => draft.said.event_type(),
                Field::Category => draft.said.category(),
                Field::Severity => draft.said.severity(),
            };
            value.is_some_and(|value| rule.pattern.fits(value))
        };
        let ruled = self.rules.iter().find(fits).map(|rule| rule.class);
        ruled.or(self.default).unwrap_or(if spooled {
            Class::Spooled
        } else {
            Class::BestEffort
        })
    }
}

impl Rule {
    fn fits_nothing(&self) -> bool {
        let Pattern { text, prefix } = &self.pattern;
        let listed = |dialect: &Catalogue, event_type: &str| {
            matches!(
                dialect.listing(event_type),
                Listing::Known(_) | Listing::Open
            )
        };
        // A type may be that long, and words joined by dots are none without a word between them;
        // a route may have any.
        let words = text.split('/').next().unwrap_or_default();
        let no_type = text.chars().count() > EVENT_TYPE_CHARS_MAX || words.contains("..");
        match self.field {
            Field::EventType if no_type => true,
            Field::Severity => *prefix || !severities().contains(&&**text),
            Field::Category => text.contains('*') || (!prefix && text.is_empty()),
            Field::EventType if text.contains('*') => true,
            // Some type must go on so.
            Field::EventType => {
                let rests: &[&str] = if *prefix {
                    &["", "a", ".a", "a.a"]
                } else {
                    &[""]
                };
                let mut types = rests.iter().map(|rest| format!("{text}{rest}"));
                !types.any(|it| {
                    [&NATIVE, &API, &CLOUDTRAIL]
                        .iter()
                        .any(|dialect| listed(dialect, &it))
                })
            }
        }
    }
}

fn severities() -> &'static [&'static str] {
    match indelible_event::Field::Severity.kind() {
        indelible_event::Kind::Word(words) => words,
        _ => &[],
    }
}

impl Pattern {
    fn fits(&self, value: &str) -> bool {
        if self.prefix {
            value.starts_with(&self.text)
        } else {
            value == self.text
        }
    }
}

impl Said {
    fn event_type(&self) -> Option<&str> {
        match self {
            Self::Built(built) => Some(&built.event_type),
            Self::Whole(event, _) => event.event_type.as_deref(),
        }
    }

    fn category(&self) -> Option<&str> {
        match self {
            Self::Built(built) => built.more.as_ref()?.category.as_deref(),
            Self::Whole(event, _) => event.category.as_deref(),
        }
    }

    fn severity(&self) -> Option<&str> {
        match self {
            Self::Built(built) => built.more.as_ref()?.severity.as_deref(),
            Self::Whole(event, _) => event.severity.as_deref(),
        }
    }
}
