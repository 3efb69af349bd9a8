//! Attachments: what stands beside an event, which names it by its digest.
//!
//! Bytes that a caller gives, and values that an event has no room for. Nothing is ever cut short.
//! Not here: how they are delivered (`delivery`) and kept on disk (`frame`). Source:
//! `spec/attachment.md` §1.

use std::sync::Arc;

use indelible_event::canonical::{Json, Number, Object};
use indelible_event::limits::EVENT_BYTES_MAX;
use indelible_event::{Problem, ProblemCode};
use indelible_merkle::sha256;

/// The longest attachment, in bytes.
pub const ATTACHMENT_BYTES_MAX: usize = 64 << 20;
/// The longest content type of an attachment, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 127;
/// An event that is longer than it may be is made to leave this much: the ledger adds a little.
const ROOM_BYTES: usize = 4_096;
/// A value that is not longer stays: what stands in its place is as long.
const VALUE_BYTES_MIN: usize = 512;
/// After so many values whole members of the event are taken.
const VALUES_MAX: usize = 64;
/// The members of an event that may hold anything.
const FREE: [&[&str]; 6] = [
    &["changes", "after"],
    &["changes", "before"],
    &["data"],
    &["metadata"],
    &["proof", "data"],
    &["source_payload"],
];

/// Bytes of a kind, such as a picture: they are stored beside the log and named in the event.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    media_type: String,
    bytes: Vec<u8>,
}

/// An attachment on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Attached {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Its content type.
    pub media_type: String,
    /// All of it.
    pub bytes: Arc<[u8]>,
}

impl Attachment {
    /// Bytes and their content type, like `image/png`.
    pub fn bytes(media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            media_type: media_type.into(),
            bytes: bytes.into(),
        }
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.media_type.len() + self.bytes.len()
    }

    /// What names it in the event; the attachment itself goes with the event's others.
    pub(crate) fn tell(self, attached: &mut Vec<Attached>) -> Json {
        let new = Attached::new(self.media_type, self.bytes);
        let named = new.named();
        if attached.iter().all(|it| it.digest != new.digest) {
            attached.push(new);
        }
        named
    }
}

impl Attached {
    fn new(media_type: String, bytes: Vec<u8>) -> Self {
        Self {
            digest: format!("sha256:{}", sha256(&bytes)),
            media_type,
            bytes: bytes.into(),
        }
    }

    /// Whether the bytes are those of the digest.
    pub(crate) fn is_whole(&self) -> bool {
        self.digest == format!("sha256:{}", sha256(&self.bytes))
    }

    fn named(&self) -> Json {
        let mut named = Object::new();
        if let Some(bytes) = Number::parse(&self.bytes.len().to_string()) {
            named.insert("bytes", Json::Number(bytes));
        }
        named.insert("digest", self.digest.as_str());
        named.insert("type", self.media_type.as_str());
        let mut object = Object::new();
        object.insert("attachment", Json::Object(named));
        Json::Object(object)
    }
}

impl std::fmt::Debug for Attachment {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl std::fmt::Debug for Attached {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached")
            .field("digest", &self.digest)
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Where an event names an attachment.
pub(crate) fn place(event: &[u8], digest: &str) -> Option<String> {
    fn seek(value: &Json, digest: &str, pointer: &mut String) -> bool {
        let end = pointer.len();
        let mut below = |key: &str, member: &Json| {
            pointer.truncate(end);
            pointer.push('/');
            pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            seek(member, digest, pointer)
        };
        match value {
            Json::Object(object) => {
                let named = object.get("attachment").and_then(Json::as_object);
                let named = named.and_then(|named| named.get("digest"));
                named.and_then(Json::as_text) == Some(digest)
                    || object.iter().any(|(key, member)| below(key, member))
            }
            Json::List(items) => {
                let mut items = items.iter().enumerate();
                items.any(|(at, item)| below(&at.to_string(), item))
            }
            _ => false,
        }
    }
    let (event, mut pointer) = (Json::parse(event).ok()?, String::new());
    seek(&event, digest, &mut pointer).then_some(pointer)
}

/// What stands beside an event that does not name it.
pub(crate) fn unnamed<'a>(event: &[u8], attached: &'a [Attached]) -> Option<&'a Attached> {
    let event = std::str::from_utf8(event).unwrap_or_default();
    attached.iter().find(|it| !event.contains(&it.digest))
}

/// What is wrong with attachments: one has no name, is too long, or its content type is none.
pub(crate) fn check(
    attached: &[Attached],
    nameless: bool,
    place: impl Fn(&str) -> String,
) -> Result<(), Vec<Problem>> {
    if nameless {
        let text = "an attachment needs a name of at least one character";
        return Err(vec![Problem::at(
            "/metadata/",
            ProblemCode::OutOfRange,
            text,
        )]);
    }
    for Attached {
        digest,
        media_type,
        bytes,
    } in attached
    {
        let (code, text) = if bytes.len() > ATTACHMENT_BYTES_MAX {
            let text = format!(
                "the attachment {digest} is {} bytes long and may have {ATTACHMENT_BYTES_MAX}",
                bytes.len()
            );
            (ProblemCode::TooLarge, text)
        } else if !is_content_type(media_type) {
            let text = format!(
                "the content type of the attachment {digest} must be like image/png, of at most \
                 {CONTENT_TYPE_BYTES_MAX} plain characters"
            );
            (ProblemCode::WrongType, text)
        } else {
            continue;
        };
        return Err(vec![Problem::at(place(digest), code, text)]);
    }
    Ok(())
}

/// Whether a text can stand in a header as a content type (RFC 9110 §8.3.1, within what the ledger
/// takes).
fn is_content_type(text: &str) -> bool {
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let kinds = text.split_once('/');
    kinds.is_some_and(|(kind, of_it)| !kind.trim().is_empty() && !of_it.trim().is_empty())
        && text.len() <= CONTENT_TYPE_BYTES_MAX
        && text.bytes().all(plain)
}

/// Puts values beside an event that is too long until it fits, the longest first: strings as their
/// text, everything else as JSON. The secrets must have been replaced before.
pub(crate) fn split(event: Vec<u8>, attached: &mut Vec<Attached>) -> Vec<u8> {
    if event.len() <= EVENT_BYTES_MAX {
        return event;
    }
    let Ok(mut json) = Json::parse(&event) else {
        return event;
    };
    let mut length = event.len();
    for round in 0.. {
        if length <= EVENT_BYTES_MAX - ROOM_BYTES {
            break;
        }
        let Some(path) = longest(&json, round < VALUES_MAX) else {
            break;
        };
        json = put_beside(json, &path, attached);
        length = json.to_canonical().len();
    }
    json.to_canonical()
}

/// The path of the value to be put beside next: the longest free member or, if `within`, what makes
/// up at least half of it, and half of that, and so on.
fn longest(event: &Json, within: bool) -> Option<Vec<String>> {
    let mut best: Option<(usize, Vec<String>)> = None;
    for path in FREE {
        let value = path
            .iter()
            .try_fold(event, |json, key| json.as_object()?.get(key));
        let Some(value) = value else { continue };
        let bytes = length(value);
        if best.as_ref().is_some_and(|(most, _)| bytes <= *most) {
            continue;
        }
        if let Some((_, inner)) = movable(value, within) {
            let path = path.iter().map(|key| (*key).to_owned());
            best = Some((bytes, path.chain(inner).collect()));
        }
    }
    best.map(|(_, path)| path)
}

/// The length and path of what is to be put beside of a value. What names an attachment is never:
/// the event itself has to name it, or nobody would keep it.
fn movable(value: &Json, within: bool) -> Option<(usize, Vec<String>)> {
    let bytes = length(value);
    if bytes <= VALUE_BYTES_MIN {
        return None;
    }
    let whole = !names_attachment(value);
    let here = whole.then(|| (bytes, Vec::new()));
    let Some(object) = value.as_object().filter(|_| within || !whole) else {
        return here;
    };
    let members = object.iter().filter_map(|(key, member)| {
        if whole && 2 * length(member) < bytes {
            return None;
        }
        let (bytes, mut path) = movable(member, within)?;
        path.insert(0, key.to_owned());
        Some((bytes, path))
    });
    members.max_by_key(|(bytes, _)| *bytes).or(here)
}

fn names_attachment(value: &Json) -> bool {
    match value {
        Json::Object(object) => {
            let named = object.get("attachment").and_then(Json::as_object);
            named.is_some_and(|named| named.get("digest").is_some())
                || object.iter().any(|(_, member)| names_attachment(member))
        }
        Json::List(items) => items.iter().any(names_attachment),
        _ => false,
    }
}

/// The event with the value at a path put beside it.
fn put_beside(value: Json, path: &[String], attached: &mut Vec<Attached>) -> Json {
    match (value, path.split_first()) {
        (Json::Object(mut object), Some((key, rest))) => {
            if let Some(inner) = object.remove(key) {
                object.insert(key.as_str(), put_beside(inner, rest, attached));
            }
            Json::Object(object)
        }
        (Json::Text(text), None) => {
            Attachment::bytes("text/plain; charset=utf-8", text).tell(attached)
        }
        (value, None) => Attachment::bytes("application/json", value.to_canonical()).tell(attached),
        (value, Some(_)) => value,
    }
}

fn length(value: &Json) -> usize {
    value.to_canonical().len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn split_of(event: &serde_json::Value) -> (Json, Vec<Attached>) {
        let canonical = Json::parse(event.to_string().as_bytes())
            .unwrap()
            .to_canonical();
        let mut attached = Vec::new();
        let event = split(canonical, &mut attached);
        (Json::parse(&event).unwrap(), attached)
    }

    #[test]
    fn the_longest_values_go_and_short_ones_stay() {
        let event = serde_json::json!({
            "event_type": "llm.call",
            "data": {"n": 1, "call": {
                "prompt": "p".repeat(40_000), "answer": ["a".repeat(90_000)],
            }},
            "metadata": {"note": "short"},
        });
        let (json, attached) = split_of(&event);
        assert_eq!(json.pointer("/data/n").unwrap().to_string(), "1");
        assert_eq!(
            json.pointer("/metadata/note").unwrap().as_text(),
            Some("short")
        );
        assert_eq!(
            json.pointer("/data/call/prompt")
                .unwrap()
                .as_text()
                .unwrap()
                .len(),
            40_000
        );
        let named = json.pointer("/data/call/answer").unwrap().to_string();
        let [answer] = &attached[..] else {
            panic!("{attached:?}")
        };
        let digest = sha256(&answer.bytes);
        assert_eq!(
            named,
            format!(
                "{{\"attachment\":{{\"bytes\":90004,\"digest\":\"sha256:{digest}\",\
                 \"type\":\"application/json\"}}}}"
            )
        );
        assert_eq!(&answer.bytes[..3], b"[\"a");
        assert!(answer.is_whole());
        assert_eq!(split_of(&event), (json, attached), "always the same");
    }

    #[test]
    fn what_is_long_in_many_places_goes_as_a_whole() {
        let many: serde_json::Map<_, _> = (0..5_000)
            .map(|n| (format!("k{n}"), "x".repeat(1_000).into()))
            .collect();
        let (json, attached) = split_of(&serde_json::json!({"data": many, "proof": {"data": 1}}));
        assert_eq!(attached.len(), 1);
        assert!(json.pointer("/data/attachment").is_some());
        assert_eq!(json.pointer("/proof/data").unwrap().to_string(), "1");
        // Each member has half of what it is in, and there are more of them than are taken singly.
        let mut deep = serde_json::json!("x".repeat(3_000));
        for n in 0..8 {
            deep = serde_json::json!({"a": deep, "b": "y".repeat(3_000 << n)});
        }
        let (json, attached) = split_of(&serde_json::json!({"data": deep}));
        assert!(json.to_canonical().len() <= EVENT_BYTES_MAX - ROOM_BYTES);
        let beside: usize = attached.iter().map(|it| it.bytes.len()).sum();
        assert!(beside > 700_000, "{beside}");
    }

    #[test]
    fn values_that_changed_go_each_by_itself_and_their_names_stay() {
        let event = serde_json::json!({"changes": {
            "after": {"text": "a".repeat(50_000), "n": 2},
            "before": {"text": "b".repeat(40_000), "n": 1},
            "fields": ["n", "text"],
        }});
        let (json, attached) = split_of(&event);
        let [text] = &attached[..] else {
            panic!("{attached:?}")
        };
        assert_eq!(text.bytes.len(), 50_000);
        assert!(json.pointer("/changes/after/text/attachment").is_some());
        assert_eq!(json.pointer("/changes/after/n").unwrap().to_string(), "2");
        assert!(
            json.pointer("/changes/before/text")
                .unwrap()
                .as_text()
                .is_some()
        );
        assert_eq!(
            json.pointer("/changes/fields/1").unwrap().as_text(),
            Some("text")
        );
    }

    #[test]
    fn what_names_an_attachment_is_not_put_beside_with_it() {
        let named = serde_json::json!({"attachment": {
            "bytes": 1, "digest": format!("sha256:{}", "0".repeat(64)), "type": "image/png",
        }});
        let many: serde_json::Map<_, _> = (0..200)
            .map(|n| (format!("k{n}"), "x".repeat(1_000).into()))
            .collect();
        let event = serde_json::json!({
            "data": {"picture": named, "many": many},
            "metadata": [named, "x".repeat(600)],
        });
        let (json, attached) = split_of(&event);
        assert!(json.pointer("/data/picture/attachment").is_some());
        assert!(json.pointer("/data/many/attachment").is_some());
        assert!(json.pointer("/metadata/0/attachment").is_some());
        assert_eq!(attached.len(), 1);
    }

    #[test]
    fn what_fits_and_what_is_long_elsewhere_stays() {
        let fits = serde_json::json!({"data": "x".repeat(60_000)});
        assert_eq!(split_of(&fits).1, []);
        let elsewhere = serde_json::json!({"description": "x".repeat(70_000), "data": {"a": 1}});
        assert_eq!(split_of(&elsewhere).1, []);
    }
}
