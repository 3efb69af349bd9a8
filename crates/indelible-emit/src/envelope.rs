//! An envelope: what a service says around its payload.

use indelible_event::Event;

use crate::payload::Payload;

/// A payload with the service, operation and status that it is of.
///
/// In the event, `payload` is `data`, `source_payload` keeps its name, `service` is
/// `source.service`, `operation` is `action`, `status` is `outcome_raw` where it is not the
/// outcome's own word, and `version` is `schema_version`.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    version: String,
    service: String,
    operation: String,
    status: String,
    payload: Payload,
    source_payload: Option<Payload>,
}

impl Envelope {
    /// An envelope of version 1.0.
    pub fn new(
        service: impl Into<String>,
        operation: impl Into<String>,
        status: impl Into<String>,
        payload: impl Into<Payload>,
    ) -> Self {
        Self {
            version: "1.0".to_owned(),
            service: service.into(),
            operation: operation.into(),
            status: status.into(),
            payload: payload.into(),
            source_payload: None,
        }
    }

    /// The same envelope with what the payload was made of.
    #[must_use]
    pub fn source_payload(mut self, payload: impl Into<Payload>) -> Self {
        self.source_payload = Some(payload.into());
        self
    }

    /// The same envelope in another version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// `None` when a payload is nested too deep.
    pub(crate) fn weight(&self) -> Option<usize> {
        let texts = [&self.version, &self.service, &self.operation, &self.status];
        let texts: usize = texts.into_iter().map(String::len).sum();
        let source = &self.source_payload;
        let source = source.as_ref().map_or(Some(0), Payload::weight)?;
        Some(size_of::<Self>() + texts + self.payload.weight()? + source)
    }

    /// Puts each part in its place.
    pub(crate) fn tell(self, event: &mut Event, outcome: &str) {
        event.schema_version = Some(self.version);
        event.source.get_or_insert_default().service = Some(self.service);
        event.action = Some(self.operation);
        if self.status != outcome {
            event.outcome_raw = Some(self.status);
        }
        event.data = Some(self.payload.into_json());
        event.source_payload = self.source_payload.map(Payload::into_json);
    }
}
