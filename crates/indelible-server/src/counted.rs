//! Counts as they go over the wire, and personal values as facets have them: the same for a server
//! and for a command that counts in a data directory.

use std::borrow::Cow;

use indelible_api::counts::{Bar, Counted, CountedBy, Counts, Facet, FacetValue, Histogram, Stat};
use indelible_event::canonical::unescape;
use indelible_event::ids::TenantId;
use indelible_event::view::string_content;
use indelible_log::Keyring;
use indelible_log::keyring::Opened;
use indelible_log::mask::Sight;
use indelible_query::count::{self, Counting, FacetCounts, OpenedValue, column_name};
use indelible_store::terms::{normalise, normalise_address};
use indelible_store::{Result, SealedValue, Spread};

/// A personal value as it is counted by, as somebody sees it; `None` where it stays closed, or
/// nothing finds it.
///
/// # Errors
/// As the key store's.
pub fn opened(
    (keyring, sight): (&Keyring, Sight),
    tenant: &TenantId,
    value: &SealedValue,
) -> Result<Option<OpenedValue>> {
    let Some(find) = value.find else {
        return Ok(None);
    };
    let Opened::Value { pointer, value } = keyring.open_value(tenant, value)? else {
        return Ok(None);
    };
    let text = string_content(&value).map_or(Cow::Borrowed(value.as_str()), unescape);
    let text = if pointer.ends_with("/ip") {
        normalise_address(&text).into_owned()
    } else {
        normalise(&text).into_owned()
    };
    let text = sight.text(&pointer, text);
    Ok(Some(OpenedValue {
        pointer,
        text,
        find,
    }))
}

/// The counts, without what else depends on who asks. None is exact where something could not be
/// read, or where sealed values of these tenants were not searched.
pub fn shown(counts: &count::Counts, wanted: &Counting, unsearched: &[TenantId]) -> Counts {
    let lacks = !counts.damaged.is_empty() || !unsearched.is_empty();
    let facets = wanted.facets.iter().zip(&counts.facets);
    let columns = wanted.columns.iter().zip(&counts.numbers);
    Counts {
        total: counts.total,
        counted: counted(counts.by, lacks),
        facets: facets
            .map(|(of, facet)| shown_facet(of.name, facet))
            .collect(),
        histogram: wanted
            .bars
            .as_ref()
            .zip(counts.every)
            .map(|(asked, every)| Histogram {
                every: every.word().to_owned(),
                zone: asked.zone.iana_name().unwrap_or("UTC").to_owned(),
                bars: shown_bars(counts),
            }),
        stats: columns
            .map(|(column, (numbers, by))| stat(column_name(*column), numbers, counted(*by, lacks)))
            .collect(),
        unsearched: unsearched.iter().map(ToString::to_string).collect(),
        ..Counts::default()
    }
}

fn counted(by: count::CountedBy, lacks: bool) -> Counted {
    let (of_bodies, share) = match by {
        count::CountedBy::Index => (CountedBy::Index, None),
        count::CountedBy::Bodies => (CountedBy::Records, None),
        count::CountedBy::Some { looked_at, of } => (CountedBy::Records, Some((looked_at, of))),
    };
    let (looked_at, of) = share.unzip();
    Counted {
        by: of_bodies,
        exact: share.is_none() && !lacks,
        looked_at,
        of,
    }
}

fn shown_facet(name: &str, facet: &FacetCounts) -> Facet {
    let values = facet.values.iter().map(|value| FacetValue {
        value: value.value.clone(),
        count: value.count,
        sealed: value.sealed,
    });
    Facet {
        name: name.to_owned(),
        values: values.collect(),
        distinct: facet.distinct,
        more: facet.more,
        other: facet.other,
        complete: facet.complete,
        closed: facet.closed,
    }
}

fn shown_bars(counts: &count::Counts) -> Vec<Bar> {
    let starts = counts.bars.iter().map(|(start, _)| *start);
    let ends = starts.skip(1).chain(counts.bars_end);
    let bars = counts.bars.iter().zip(ends);
    bars.map(|((from, count), until)| Bar {
        from: from.to_rfc3339(),
        until: until.to_rfc3339(),
        count: *count,
    })
    .collect()
}

fn stat(name: &str, numbers: &Spread, counted: Counted) -> Stat {
    let some = |value: f64| (numbers.count() > 0).then_some(value);
    let percentile = |percent| some(numbers.percentile(percent));
    Stat {
        name: name.to_owned(),
        records: numbers.count(),
        sum: numbers.sum(),
        least: some(numbers.least()),
        greatest: some(numbers.greatest()),
        p50: percentile(50),
        p90: percentile(90),
        p95: percentile(95),
        p99: percentile(99),
        near: !numbers.is_exact(),
        counted,
    }
}
