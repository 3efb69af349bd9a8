//! Where the keys of a trusted issuer come from: a file, or an address that is asked over HTTP.
//!
//! Redirects are not followed, what is read has an end, and so has the time for it.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use indelible_server::access::{KEY_SET_BYTES_MAX, Names, TrustedIssuer};
use ureq::Agent;

use crate::config::{JwtConfig, KeySetAt};
use crate::tls;

/// How long an issuer may take for its keys.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The issuer that is trusted, with the way to its keys.
pub fn trusted(config: &JwtConfig, names: Names) -> TrustedIssuer {
    let at = config.key_set.clone();
    let agent = agent();
    TrustedIssuer {
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        algorithms: config.algorithms.clone(),
        tenants_claim: config.tenants_claim.clone(),
        role_claim: config.role_claim.clone(),
        roles: config.roles.clone(),
        query_claim: config.query_claim.clone(),
        leeway: config.leeway,
        refresh: config.refresh,
        names,
        fetch: Arc::new(move || match &at {
            KeySetAt::File(path) => File::open(path)
                .and_then(bounded)
                .map_err(|error| format!("the file of auth.jwt.jwks: {error}")),
            KeySetAt::Url(url) => fetched(&agent, url),
        }),
    }
}

fn bounded(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than is taken, so that it is seen where there is more.
    let most = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn fetched(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let answer = agent
        .get(url)
        .header("accept", "application/jwk-set+json, application/json")
        .call()
        .map_err(|error| format!("the address of auth.jwt.jwks: {error}"))?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(format!("the address of auth.jwt.jwks answers {status}"));
    }
    let body = answer.into_body().into_reader();
    bounded(body).map_err(|error| format!("the answer of auth.jwt.jwks: {error}"))
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .tls_config(tls::client())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("indelible/", env!("CARGO_PKG_VERSION")))
        .build();
    Agent::new_with_config(config)
}
