//! Delivery over HTTP: `POST /v1/events:batch`, one event per line.
