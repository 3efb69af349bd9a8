//! What a producer says of its own stream: ordinary events of fixed shapes.
//!
//! Not here: when it is said, and to whom; who sends it gives it a time and an id. Source:
//! `spec/stream.md` §3.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use indelible_event::canonical::{Json, Number, Object};
use indelible_event::event::{Actor, Event, Target};

/// The reason of an event that the ledger refused for good.
pub const REFUSED: Cow<'static, str> = Cow::Borrowed("refused");
/// The reason of an event whose id other content has.
pub const CONFLICT: Cow<'static, str> = Cow::Borrowed("id taken by other content");
/// The reason of an event that came before, under another number.
pub const REPEAT: Cow<'static, str> = Cow::Borrowed("the event was committed before");

/// That an epoch of a stream exists.
pub fn opened(epoch: (&str, u64)) -> Event {
    statement("stream.opened", epoch, [])
}

/// That all numbers below `next` were given out, and no others will be.
pub fn ended(epoch: (&str, u64), next: u64) -> Event {
    statement("stream.ended", epoch, [("next_number", number(next))])
}

/// That these numbers were certainly not committed, and why.
pub fn lost(epoch: (&str, u64), numbers: RangeInclusive<u64>, reason: String) -> Event {
    let data = [
        ("first", number(*numbers.start())),
        ("last", number(*numbers.end())),
        ("reason", Json::Text(reason)),
    ];
    statement("stream.lost", epoch, data)
}

fn statement(
    event_type: &str,
    (stream, epoch): (&str, u64),
    said: impl IntoIterator<Item = (&'static str, Json)>,
) -> Event {
    let mut data = Object::default();
    data.insert("stream", stream);
    data.insert("epoch", number(epoch));
    for (key, value) in said {
        data.insert(key, value);
    }
    Event {
        event_type: Some(event_type.to_owned()),
        outcome: Some("success".to_owned()),
        actor: Some(Actor {
            kind: Some("service".to_owned()),
            id: Some(stream.to_owned()),
            ..Actor::default()
        }),
        target: Some(Target {
            kind: Some("stream".to_owned()),
            id: Some(stream.to_owned()),
            ..Target::default()
        }),
        data: Some(Json::Object(data)),
        ..Event::default()
    }
}

fn number(value: u64) -> Json {
    Json::Number(Number::from(value))
}
