//! Streams as they are kept between two readings of a log: JSON.
//!
//! What it is not: trusted. What is read back is checked for its form, so that bad bytes are an
//! error and never a panic; whether it belongs to the log is its keeper's to check. Invariant: what
//! is written has at most [`crate::limits::STREAMS_BYTES_MAX`] bytes and some for its frame.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Streams;
use super::epoch::Epoch;
use super::ranges::Ranges;
use super::verdict::Loss;
use crate::finding::Span;
use crate::limits::STREAMS_MAX;

#[derive(Serialize)]
struct Written<'a> {
    epochs: Vec<&'a Epoch>,
    unfollowed: u64,
    unnumbered: u64,
    unnumbered_heard: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    epochs: Vec<Epoch>,
    unfollowed: u64,
    unnumbered: u64,
    unnumbered_heard: String,
}

impl Serialize for Streams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            epochs: self.epochs.iter().filter(|epoch| epoch.spoke()).collect(),
            unfollowed: self.unfollowed,
            unnumbered: self.unnumbered,
            unnumbered_heard: &self.unnumbered_heard,
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Streams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        if read.epochs.len() > STREAMS_MAX {
            return Err(D::Error::custom("too many streams"));
        }
        let mut streams = Self {
            unnumbered: read.unnumbered,
            unnumbered_heard: read.unnumbered_heard,
            unfollowed: read.unfollowed,
            ..Self::new()
        };
        for (at, epoch) in read.epochs.iter().enumerate() {
            let room = streams.room.checked_sub(epoch.bytes());
            streams.room = room.ok_or_else(|| D::Error::custom("too much of streams"))?;
            let of_stream = streams.by_name.entry_ref(epoch.stream.as_str());
            if of_stream.or_default().insert(epoch.epoch, at).is_some() {
                return Err(D::Error::custom("an epoch stands twice"));
            }
        }
        streams.epochs = read.epochs;
        Ok(streams)
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.spans().iter().map(|span| (span.first, span.last)))
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let spans = pairs.into_iter().map(|(first, last)| Span { first, last });
        Self::from_spans(spans.collect()).ok_or_else(|| D::Error::custom("not ranges in order"))
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.span.first, self.span.last, &self.reason).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, last, reason) = <(u64, u64, String)>::deserialize(deserializer)?;
        let span = Span { first, last };
        if first > last {
            return Err(D::Error::custom("not a range"));
        }
        Ok(Self { span, reason })
    }
}
