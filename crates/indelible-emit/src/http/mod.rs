//! Delivery over HTTP: `POST /v1/events:batch`, one event per line, zstd; what stands beside events
//! by `PUT /v1/attachments/{digest}` before them.
//!
//! A batch whose outcome is unknown is sent again with the same ids, which the ledger answers with
//! the receipts it gave before; so a broken connection is no failure. Not here: when to try again
//! (`retry`). TLS is rustls with ring, and trusts what the operating system trusts. Redirects are
//! not followed: the key is for the server that was named. Source: `docs/sdk.md`, "Over HTTP".

mod answer;

use std::sync::Arc;
use std::time::Duration;

use indelible_event::TenantId;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::attachment::Attached;
use crate::transport::{Outgoing, Transport, Verdict, at_once};

const BATCH: &str = "/v1/events:batch";
const ATTACHMENTS: &str = "/v1/attachments";
/// Below this many bytes a body is sent as it is.
const COMPRESS_BYTES_MIN: usize = 1_024;
/// The fastest level; it takes a fifth of the time that a server needs for an event.
const COMPRESS_LEVEL: i32 = 1;
/// What a line carries at least, in bytes per second: a long attachment has more time.
const SLOW_BYTES_S: usize = 256 << 10;
/// About what a line has beside its event.
const CLAIM_BYTES: usize = 96;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What a connection can be told.
#[derive(Clone)]
pub struct HttpOptions {
    /// The key that is sent as a bearer token.
    pub api_key: Option<String>,
    /// How long one request may take, from connecting to the last byte of the answer; an attachment
    /// has a second more for each 256 KiB.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not say how the server is spoken to.
    #[error("`{0}` names no scheme: say http://{0}, or https://{0} where the server has TLS")]
    Scheme(String),
    /// It is no address of a server.
    #[error("`{0}` is no address like http://127.0.0.1:8080")]
    Address(String),
    /// It has a name or a password in it, which would be sent to nobody.
    #[error("the address has a name or a password in it: say the api key apart from it")]
    Credentials,
    /// No request could be answered in time.
    #[error("the time that a request may take must be more than 0")]
    NoTime,
    /// The key cannot be sent.
    #[error("the api key has characters that cannot be sent")]
    Key,
    /// This machine trusts no certificates, so no server can prove to be the one that is meant.
    #[error("no trusted certificates were found; install them, or name a file in SSL_CERT_FILE")]
    NothingTrusted,
}

/// The transport to a server.
pub struct Http {
    agent: Agent,
    url: String,
    authorization: Option<String>,
    timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            api_key: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for HttpOptions {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOptions")
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Http {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// A transport to the server at `address`, like `http://127.0.0.1:8080`; nothing is connected
    /// yet.
    ///
    /// # Errors
    /// [`AddressError`] when the address or the key is none.
    pub fn new(address: &str, options: HttpOptions) -> Result<Self, AddressError> {
        let wrong = || AddressError::Address(address.to_owned());
        let uri: ureq::http::Uri = address.parse().map_err(|_| wrong())?;
        if uri.scheme().is_none() && uri.authority().is_some() {
            return Err(AddressError::Scheme(address.to_owned()));
        }
        let scheme = uri.scheme_str();
        if !matches!(scheme, Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(AddressError::Credentials);
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let has_port = port.is_some_and(|port| !port.ends_with(']'));
        // What stands behind a `#` is passed over where an address is read.
        let more = uri.query().is_some() || address.contains('#');
        if more || (has_port && uri.port_u16().is_none()) {
            return Err(wrong());
        }
        if options.timeout.is_zero() || options.connect_timeout.is_zero() {
            return Err(AddressError::NoTime);
        }
        let authorization = match options.api_key {
            Some(key) if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err(AddressError::Key);
            }
            key => key.map(|key| format!("Bearer {key}")),
        };
        let roots = match scheme {
            Some("https") => trusted().ok_or(AddressError::NothingTrusted)?,
            _ => RootCerts::new_with_certs(&[]),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(options.timeout))
            .timeout_connect(Some(options.connect_timeout))
            .user_agent(concat!("indelible-emit/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            url: address.trim_end_matches('/').to_owned(),
            authorization,
            timeout: options.timeout,
        })
    }

    /// One request; `Err` says that the batch is to be halved.
    fn post(&self, batch: &[Outgoing]) -> Result<Vec<Verdict>, TooLarge> {
        let (body, encoding) = body(batch);
        let mut request = self.agent.post(format!("{}{BATCH}", self.url));
        request = request.header("content-type", indelible_api::NDJSON);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        match self.send(request, &body) {
            Ok(answer) if answer.status == 413 => Err(TooLarge),
            Ok(Answer {
                status,
                after,
                text,
            }) => Ok(answer::verdicts(status, after, &text, batch)),
            Err(verdict) => Ok(vec![verdict; batch.len()]),
        }
    }

    /// Stores one attachment.
    fn put(&self, tenant: &TenantId, attached: &Attached) -> Result<(), Verdict> {
        let Attached {
            digest,
            media_type,
            bytes,
        } = attached;
        // A tenant's name has no character that means something in a query.
        let url = format!("{}{ATTACHMENTS}/{digest}?tenant={tenant}", self.url);
        let slow = Duration::from_secs((bytes.len() / SLOW_BYTES_S) as u64);
        let request = self.agent.put(url).header("content-type", media_type);
        let request = request.config().timeout_global(Some(self.timeout + slow));
        let request = request.build();
        let answer = self.send(request, bytes)?;
        answer::stored(answer.status, answer.after, &answer.text)
    }

    /// Sends a request and reads the answer.
    fn send(&self, mut request: Request, body: &[u8]) -> Result<Answer, Verdict> {
        request = request.header("accept", indelible_api::JSON);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).map_err(|error| match error {
            // It could not be put together, and never will be.
            ureq::Error::Http(error) => Verdict::Failed(error.to_string().into()),
            error => Verdict::Again {
                after: None,
                reached: reached(&error),
                reason: error.to_string().into(),
            },
        })?;
        let header = |name| response.headers().get(name)?.to_str().ok();
        let after = header("retry-after");
        let after = after.and_then(|value| answer::retry_after(value, header("date")));
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = text.read_to_vec().map_err(|error| Verdict::Again {
            after,
            reached: true,
            reason: error.to_string().into(),
        })?;
        Ok(Answer {
            status,
            after,
            text,
        })
    }
}

type Request = ureq::RequestBuilder<ureq::typestate::WithBody>;

/// What a server answered.
struct Answer {
    status: u16,
    after: Option<Duration>,
    text: Vec<u8>,
}

/// The server, or something before it, takes less at once.
struct TooLarge;

impl Transport for Http {
    fn names_tenant(&self) -> bool {
        true
    }

    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        at_once(attached, |attached| self.put(tenant, attached))
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        match self.post(batch) {
            Ok(verdicts) => verdicts,
            Err(TooLarge) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                let mut verdicts = self.deliver(first);
                verdicts.extend(self.deliver(second));
                verdicts
            }
            Err(TooLarge) => vec![Verdict::Failed(
                "the server takes no event this long".into(),
            )],
        }
    }
}

/// The certificates that this machine trusts (on Linux also those named by `SSL_CERT_FILE`); `None`
/// when there are none.
fn trusted() -> Option<RootCerts> {
    let found = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    (!roots.is_empty()).then(|| RootCerts::new_with_certs(&roots))
}

fn body(batch: &[Outgoing]) -> (Vec<u8>, Option<&'static str>) {
    let bytes = |outgoing: &Outgoing| outgoing.event.len() + CLAIM_BYTES;
    let bytes = batch.iter().map(bytes).sum();
    let mut body = Vec::with_capacity(bytes);
    for outgoing in batch {
        write_line(outgoing, &mut body);
    }
    if body.len() >= COMPRESS_BYTES_MIN {
        // It cannot fail in memory; if it did, the plain body would do.
        if let Ok(compressed) = zstd::bulk::compress(&body, COMPRESS_LEVEL) {
            return (compressed, Some("zstd"));
        }
    }
    (body, None)
}

/// The event with its claim as the first member, `_stream`, which the server takes out again.
fn write_line(outgoing: &Outgoing, body: &mut Vec<u8>) {
    let members = outgoing.event.strip_prefix(b"{");
    match (&outgoing.stream, members) {
        (Some(claim), Some(members)) => {
            body.extend_from_slice(b"{\"_stream\":");
            claim.write(body);
            if members != b"}" {
                body.push(b',');
            }
            body.extend_from_slice(members);
        }
        _ => body.extend_from_slice(&outgoing.event),
    }
    body.push(b'\n');
}

/// Whether a request that failed so may have reached the server.
fn reached(error: &ureq::Error) -> bool {
    use std::io::ErrorKind;
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => false,
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        ),
        ureq::Error::Timeout(timeout) => {
            !matches!(timeout, ureq::Timeout::Resolve | ureq::Timeout::Connect)
        }
        _ => true,
    }
}

fn again(events: usize, after: Option<Duration>, reached: bool, reason: &str) -> Vec<Verdict> {
    let verdict = Verdict::Again {
        after,
        reached,
        reason: reason.into(),
    };
    vec![verdict; events]
}
