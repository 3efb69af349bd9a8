//! What is to be counted, as people write it: names with commas between them.

use jiff::tz::TimeZone;

use super::{
    Counting, Every, FACETS_MAX, Facet, Histogram, Length, TOP_MAX, column_name, column_named,
};
use crate::elsewhere;
use crate::suggest::nearest;

/// Values of a facet that are named when nobody says how many.
pub const TOP_DEFAULT: usize = 10;

/// What is to be counted, as it was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written<'a> {
    /// Qualifiers whose values are counted, with commas between them.
    pub facets: &'a str,
    /// How many values of each are named; the usual number when nobody says.
    pub top: Option<usize>,
    /// How long a bar is.
    pub every: Option<&'a str>,
    /// The zone whose days these are.
    pub zone: Option<&'a str>,
    /// Qualifiers whose numbers are put together, with commas between them.
    pub stats: &'a str,
}

impl Counting {
    /// Reads it; without a zone days are those of `zone`.
    ///
    /// # Errors
    /// What is wrong, and what may have been meant, for people.
    pub fn read(written: &Written<'_>, zone: &TimeZone) -> Result<Self, String> {
        let facet = |name| Facet::named(name).ok_or_else(|| no_facet(name));
        let column = |name| column_named(name).ok_or_else(|| no_column(name));
        let mut facets = names(written.facets)
            .map(facet)
            .collect::<Result<Vec<_>, _>>()?;
        let mut columns = names(written.stats)
            .map(column)
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = Vec::new();
        facets.retain(|facet| {
            !seen.contains(facet) && {
                seen.push(*facet);
                true
            }
        });
        columns.sort_unstable();
        columns.dedup();
        if facets.len() > FACETS_MAX {
            return Err(format!("at most {FACETS_MAX} facets are counted at once"));
        }
        let top = written.top.unwrap_or(TOP_DEFAULT);
        if !(1..=TOP_MAX).contains(&top) {
            return Err(format!("`top` must be from 1 to {TOP_MAX}"));
        }
        let zone = match written.zone {
            Some(name) => TimeZone::get(name).map_err(|_| {
                format!("there is no time zone `{name}`: write one like Europe/Berlin or UTC")
            })?,
            None => zone.clone(),
        };
        let bars = match written.every {
            Some(text) => {
                let length = Length::parse(text).ok_or_else(|| no_every(text))?;
                Some(Histogram { length, zone })
            }
            None => None,
        };
        Ok(Self {
            facets,
            top,
            bars,
            columns,
        })
    }
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let elsewhere = elsewhere::meant(name).filter(|ours| known.clone().any(|name| name == *ours));
    match elsewhere.or_else(|| nearest(name, known.clone())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn no_facet(name: &str) -> String {
    let known = Facet::all().map(|facet| facet.name).collect::<Vec<_>>();
    let meant = meant(name, known.iter().copied());
    format!("the values of `{name}` are not counted: {meant}")
}

fn no_column(name: &str) -> String {
    let all = indelible_store::Column::ALL.iter();
    let known = all
        .map(|(column, _)| column_name(*column))
        .collect::<Vec<_>>();
    let meant = meant(name, known.iter().copied());
    format!("there are no numbers of `{name}`: {meant}")
}

fn no_every(text: &str) -> String {
    let known = Every::ALL
        .iter()
        .map(|(_, word, short)| format!("{short} ({word})"));
    format!(
        "no bar is `{text}` long: {}, or auto",
        known.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn error(written: Written<'_>) -> String {
        Counting::read(&written, &TimeZone::UTC).unwrap_err()
    }

    #[test]
    fn names_are_read_once_each() {
        let written = Written {
            facets: "outcome, Type,outcome,",
            stats: "duration,tokens",
            every: Some("1d"),
            zone: Some("Europe/Berlin"),
            top: None,
        };
        let read = Counting::read(&written, &TimeZone::UTC).unwrap();
        let names: Vec<_> = read.facets.iter().map(|facet| facet.name).collect();
        assert_eq!(names, ["outcome", "type"]);
        assert_eq!((read.top, read.columns.len()), (TOP_DEFAULT, 2));
        assert_eq!(read.bars.unwrap().zone.iana_name(), Some("Europe/Berlin"));
    }

    #[test]
    fn mistakes_say_what_may_have_been_meant() {
        let facets = error(Written {
            facets: "outcom",
            ..Written::default()
        });
        assert!(facets.contains("did you mean `outcome`"), "{facets}");
        let facets = error(Written {
            facets: "event_type",
            ..Written::default()
        });
        assert!(facets.contains("did you mean `type`"), "{facets}");
        let facets = error(Written {
            facets: "duration",
            ..Written::default()
        });
        assert!(facets.contains("not counted"), "{facets}");
        let stats = error(Written {
            stats: "outcome",
            ..Written::default()
        });
        assert!(stats.contains("no numbers of `outcome`"), "{stats}");
        let every = error(Written {
            every: Some("2h"),
            ..Written::default()
        });
        assert!(every.contains("1h (hour)"), "{every}");
        let (every, zone) = (Some("1h"), Some("Mars/Olympus"));
        assert!(
            error(Written {
                every,
                zone,
                ..Written::default()
            })
            .contains("Mars")
        );
        for top in [0, TOP_MAX + 1] {
            assert!(
                error(Written {
                    top: Some(top),
                    ..Written::default()
                })
                .contains("top")
            );
        }
    }
}
