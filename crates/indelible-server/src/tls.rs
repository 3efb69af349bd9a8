//! TLS by rustls with ring: the certificate in force, and how a new one takes its place.
//!
//! The files are looked at every second. What they hold is taken when it differs from what was
//! looked at last and fits together; else the certificate in force stays, and telemetry says why.
//! Connections keep the certificate that they began with.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use indelible_store::{Error, Kind, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::serve::Stop;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate with those that vouch for it, and its private key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate first, then those that vouch for it.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem")
    }
}

/// Reads the certificate and its key, and says what was wrong.
pub type PemSource = Arc<dyn Fn() -> std::result::Result<Pem, String> + Send + Sync>;

/// The certificate in force.
pub(crate) struct Tls {
    source: PemSource,
    first: Pem,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with what is wrong with it.
    pub(crate) fn load(source: PemSource) -> Result<Self> {
        let invalid = |why: String| Error::new(Kind::Invalid, why);
        let first = source().map_err(invalid)?;
        let config = RwLock::new(Arc::new(config(&first).map_err(invalid)?));
        Ok(Self {
            source,
            first,
            config,
        })
    }

    /// What takes a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config).into()
    }

    /// Takes new certificates until the server stops.
    pub(crate) fn follow(&self, stop: &Stop) {
        let mut last = Ok(self.first.clone());
        while !stop.wait(LOOK_EVERY) {
            let found = (self.source)();
            if found == last {
                continue;
            }
            let new = found.as_ref().map_err(Clone::clone).and_then(config);
            match new {
                Ok(new) => {
                    let new = Arc::new(new);
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
                    tracing::info!("a new certificate is in force");
                }
                Err(why) => {
                    tracing::error!(
                        why,
                        "the new certificate cannot be taken: the old one stays"
                    );
                }
            }
            last = found;
        }
    }
}

fn config(pem: &Pem) -> std::result::Result<ServerConfig, String> {
    let chain = CertificateDer::pem_slice_iter(&pem.certificate)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| format!("server.tls.certificate is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err("server.tls.certificate has no certificate (PEM is meant)".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key)
        .map_err(|_| "server.tls.key has no private key (PEM is meant)".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("server.tls.certificate and server.tls.key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
