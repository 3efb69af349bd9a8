//! TLS as this command speaks it: rustls with ring, trusting what the operating system trusts (on
//! Linux also what `SSL_CERT_FILE` names); and the certificate that the server shows.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_server::{Pem, PemSource};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A certificate or a key, in bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// How a client speaks it.
pub fn client() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build()
}

/// The certificate and the key in these files, as they are when asked.
pub fn source((certificate, key): (PathBuf, PathBuf)) -> PemSource {
    Arc::new(move || {
        Ok(Pem {
            certificate: read("server.tls.certificate", &certificate)?,
            key: read("server.tls.key", &key)?,
        })
    })
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| format!("the file of {setting}: {error}"))?;
    Ok(bytes)
}
