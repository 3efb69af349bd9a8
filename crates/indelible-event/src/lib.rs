//! What an event and a record are: model, catalogue, limits, validation, redaction, canonical and leaf bytes.
