//! What shows that something happened.

use indelible_event::canonical::{Json, Object};
use indelible_event::{Micros, event};

use crate::attachment::{Attached, Attachment};
use crate::payload::Payload;

/// The type of a proof that is none.
const NONE: &str = "none";

/// Evidence that an event carries: what a system answered, a picture, a hash, an address.
///
/// It is stamped with the time it was captured, which is the event's unless
/// [`captured_at`](Self::captured_at) says otherwise. Put no secrets into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    pub(crate) kind: &'static str,
    pub(crate) data: Option<Payload>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) url: Option<String>,
    pub(crate) hash: Option<String>,
    pub(crate) captured_at: Option<Micros>,
}

impl Proof {
    /// What an interface answered.
    pub fn api_response(data: impl Into<Payload>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::of("api_response")
        }
    }

    /// Where a picture of it is kept.
    pub fn screenshot(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::of("screenshot")
        }
    }

    /// A picture of it, which is kept beside the log.
    pub fn picture(picture: Attachment) -> Self {
        Self::of("screenshot").with_attachment(picture)
    }

    /// Where it can be seen.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::of("url")
        }
    }

    /// The hash of what shows it.
    pub fn hash(hash: impl Into<String>) -> Self {
        Self {
            hash: Some(hash.into()),
            ..Self::of("hash")
        }
    }

    /// There is none.
    pub fn none() -> Self {
        Self::of(NONE)
    }

    /// The same proof with data.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Payload>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The same proof with bytes that are kept beside the log, in the place of data.
    #[must_use]
    pub fn with_attachment(mut self, attachment: Attachment) -> Self {
        self.attachment = Some(attachment);
        self
    }

    /// The same proof with the hash of what shows it.
    #[must_use]
    pub fn with_hash(mut self, hash: impl Into<String>) -> Self {
        self.hash = Some(hash.into());
        self
    }

    /// The same proof, captured at a time.
    #[must_use]
    pub fn captured_at(mut self, at: Micros) -> Self {
        self.captured_at = Some(at);
        self
    }

    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            data: None,
            attachment: None,
            url: None,
            hash: None,
            captured_at: None,
        }
    }

    /// As an event has it.
    fn tell(self, occurred_at: Micros, attached: &mut Vec<Attached>) -> event::Proof {
        let beside = self.attachment.map(|attachment| attachment.tell(attached));
        let data = self.data.map(Payload::into_json);
        event::Proof {
            kind: Some(self.kind.to_owned()),
            data: beside.or(data).filter(|json| *json != Json::Null),
            url: self.url,
            hash: self.hash,
            captured_at: Some(self.captured_at.unwrap_or(occurred_at).to_rfc3339()),
            ..event::Proof::default()
        }
    }

    /// `None` when its data is nested too deep.
    pub(crate) fn weight(&self) -> Option<usize> {
        let texts = [&self.url, &self.hash].into_iter().flatten();
        let data = self.data.as_ref().map_or(Some(0), Payload::weight)?;
        let beside = self.attachment.as_ref().map_or(0, Attachment::weight);
        Some(texts.map(String::len).sum::<usize>() + data + beside)
    }
}

/// The proof of an event. Of several each stands whole under its type, the second of a type as
/// `screenshot_2`, and the last time is that of all.
pub(crate) fn tell(
    mut proofs: Vec<Proof>,
    occurred_at: Micros,
    attached: &mut Vec<Attached>,
) -> Option<event::Proof> {
    if proofs.len() < 2 {
        return proofs.pop().map(|proof| proof.tell(occurred_at, attached));
    }
    // Who says one has not got none.
    if proofs.iter().any(|proof| proof.kind != NONE) {
        proofs.retain(|proof| proof.kind != NONE);
    } else {
        proofs.truncate(1);
    }
    if proofs.len() == 1 {
        return tell(proofs, occurred_at, attached);
    }
    let times = proofs
        .iter()
        .map(|it| it.captured_at.unwrap_or(occurred_at));
    let captured_at = times.max().map(Micros::to_rfc3339);
    let mut all = Object::new();
    for proof in proofs {
        let kind = proof.kind;
        let again = (2..).map(|n| format!("{kind}_{n}"));
        let mut names = std::iter::once(kind.to_owned()).chain(again);
        let event = event::Event {
            proof: Some(proof.tell(occurred_at, attached)),
            ..event::Event::default()
        };
        let told = event.into_json().pointer("/proof").cloned();
        if let Some(name) = names.find(|name| all.get(name).is_none()) {
            all.insert(name, told.unwrap_or_default());
        }
    }
    Some(event::Proof {
        kind: Some("bundle".to_owned()),
        data: Some(Json::Object(all)),
        captured_at,
        ..event::Proof::default()
    })
}
