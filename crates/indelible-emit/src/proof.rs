//! What shows that something happened.

use indelible_event::Micros;

use crate::attachment::Attachment;
use crate::payload::Payload;

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
        Self::of("none")
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

    /// `None` when its data is nested too deep.
    pub(crate) fn weight(&self) -> Option<usize> {
        let texts = [&self.url, &self.hash].into_iter().flatten();
        let data = self.data.as_ref().map_or(Some(0), Payload::weight)?;
        let beside = self.attachment.as_ref().map_or(0, Attachment::weight);
        Some(texts.map(String::len).sum::<usize>() + data + beside)
    }
}
