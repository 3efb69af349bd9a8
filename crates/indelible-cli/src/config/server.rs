//! The settings `server.*`, read and held against each other.

use std::path::PathBuf;
use std::time::Duration;

use indelible_api::Rates;
use indelible_server::limits::LimitSettings;

use super::ServerConfig;
use super::auth::origins;
use crate::exit::{Failure, Result};
use crate::listen::Listen;

/// The server's settings; every value was checked, or is its default. `tls` is the certificate and
/// its key.
///
/// # Errors
/// [`Failure::Usage`] when of a certificate and its key one is missing.
pub fn server(
    value: &dyn Fn(&str) -> String,
    tls: (Option<PathBuf>, Option<PathBuf>),
) -> Result<ServerConfig> {
    let number = |key: &str| value(key).parse::<u64>().unwrap_or_default();
    let size = |key: &str| usize::try_from(number(key)).unwrap_or(usize::MAX);
    let some = |key: &str| Some(number(key)).filter(|most| *most > 0);
    let rates = |whose: &str| Rates {
        requests_per_s: some(&format!("limits.{whose}_requests_per_s")),
        events_per_s: some(&format!("limits.{whose}_events_per_s")),
        bytes_per_s: some(&format!("limits.{whose}_bytes_per_s")),
    };
    let time = |key: &str| Duration::from_millis(number(key));
    let listen = value("server.listen").parse();
    let tls = match tls {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => {
            let text = "server.tls.certificate and server.tls.key belong together: one is not set";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    Ok(ServerConfig {
        tls,
        cors_origins: origins(&value("server.cors_origins")).map_err(Failure::Usage)?,
        frame_ancestors: origins(&value("server.frame_ancestors")).map_err(Failure::Usage)?,
        listen: listen.unwrap_or_else(|_| Listen::Address(([127, 0, 0, 1], 8080).into())),
        connections_max: size("server.connections_max"),
        in_flight_bytes_max: size("server.in_flight_bytes_max"),
        limits: LimitSettings {
            key: rates("key"),
            tenant: rates("tenant"),
            burst: Duration::from_secs(number("limits.burst_s")),
            events_per_day: some("limits.tenant_events_per_day"),
            bytes_per_day: some("limits.tenant_bytes_per_day"),
        },
        header_timeout: time("server.header_timeout_ms"),
        body_timeout: time("server.body_timeout_ms"),
        stop_timeout: time("server.stop_timeout_ms"),
        telemetry: value("server.telemetry").parse().ok(),
    })
}
