//! A server that is asked in the place of a data directory: `--url`, else `INDELIBLE_URL`, with the
//! key in `INDELIBLE_API_KEY`.
//!
//! What it answers is believed no further than it can be checked here: an answer of another form is
//! an error, and `lists` reads what comes in pages.
//!
//! Redirects are not followed and no proxy is
//! asked: the key is for the server that was named. Nothing is tried again: what was done and not
//! answered is for a person to look at.

mod listen;
mod lists;
mod load;
mod unreadable;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use indelible_api::{JSON, Problem, ProblemKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::tls::TlsConfig;

use crate::args::Through;
use crate::config::{Config, Source};
use crate::exit::{Failure, Result};
use crate::output::{Output, Show};
use crate::tls;

pub use listen::{Asking, Heard};
pub use lists::{Asked, Checked, Pages, Purpose};
pub use load::Sent;
pub use unreadable::Unreadable;

pub const URL: &str = "INDELIBLE_URL";
const API_KEY: &str = "INDELIBLE_API_KEY";
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A server.
pub struct Remote {
    agent: Agent,
    url: String,
    key: Option<String>,
}

impl Remote {
    /// The server that is meant; `None` when it is a data directory.
    ///
    /// # Errors
    /// [`Failure::Usage`] when both are, or the address is none.
    pub fn meant(through: &Through, config: &Config, output: &Output) -> Result<Option<Self>> {
        let data = config.resolved.iter().find(|found| found.key == "data");
        let data = data.map_or(&Source::Default, |data| &data.source);
        let url = match (&through.url, data) {
            (Some(_), Source::Flag) => return Err(both("--url", "--data")),
            (Some(url), _) => url.clone(),
            // A flag beats the environment.
            (None, Source::Flag) => return Ok(None),
            (None, data) => match (variable(URL)?, data) {
                (None, _) => return Ok(None),
                (Some(_), Source::Environment(name)) => return Err(both(URL, name)),
                (Some(url), _) => url,
            },
        };
        let remote = Self::new(&url, variable(API_KEY)?)?;
        remote.warn_of_the_key(output);
        Ok(Some(remote))
    }

    fn warn_of_the_key(&self, output: &Output) {
        if self.key.is_some() && self.url.starts_with("http://") && !is_here(&self.url) {
            let url = &self.url;
            output.warn(format_args!("the key travels to {url} unencrypted"));
        }
    }

    fn new(url: &str, key: Option<String>) -> Result<Self> {
        let wrong = |why: &str| Failure::Usage(format!("`{}` {why}", url.shown()));
        let example = "is no address of a server, like http://127.0.0.1:8080";
        if url.contains('@') {
            // Not repeated: there may be a password in it.
            let text = format!(
                "an address of a server has no user and no password: say http://HOST:PORT, and \
                 the key in {API_KEY}"
            );
            return Err(Failure::Usage(text));
        }
        let uri: Uri = url.parse().map_err(|_| wrong(example))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(wrong(example)),
        }
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(wrong(example));
        }
        if key.as_ref().is_some_and(|key| !is_sendable(key)) {
            let text = format!("{API_KEY} has characters that no key has");
            return Err(Failure::Usage(text));
        }
        let tls = if uri.scheme_str() == Some("https") {
            tls::client()
        } else {
            TlsConfig::default()
        };
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("indelible/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            url: url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is at a path, asked with these parameters.
    ///
    /// # Errors
    /// As [`Remote::post`].
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.query_pairs(query.iter().copied());
        Ok(self.answer(self.signed(request).call())?.1)
    }

    /// Sends JSON; the status, and what came with it.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what the server cannot take, [`Failure::Could`] for all else, with
    /// what to do about it.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<(u16, T)> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::Could(format!("cannot write the request: {error}")))?;
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("content-type", JSON);
        self.answer(self.signed(request).send(&body[..]))
    }

    /// Deletes what is at a path.
    ///
    /// # Errors
    /// As [`Remote::post`].
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        Ok(self.answer(self.signed(request).call())?.1)
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("accept", JSON);
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        answer: std::result::Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<(u16, T)> {
        let mut answer = answer.map_err(|error| self.failed(&error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(|error| self.failed(&error))?;
        if (200..300).contains(&status) {
            let value = serde_json::from_slice(&body).map_err(|_| self.unknown(status))?;
            return Ok((status, value));
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| self.unknown(status))?;
        Err(self.refused(&problem))
    }

    fn failed(&self, error: &ureq::Error) -> Failure {
        Failure::Could(format!("no answer from {}: {error}", self.url))
    }

    fn unknown(&self, status: u16) -> Failure {
        let url = &self.url;
        Failure::Could(format!(
            "{url} answered {status} with something else than Indelible does: is it the server's \
             address?"
        ))
    }

    /// The failure of an answer that no server of ours gives.
    pub fn strange(&self, what: impl Display) -> Failure {
        Failure::Could(format!(
            "what {} answered cannot be right: {what}",
            self.url
        ))
    }

    fn refused(&self, problem: &Problem) -> Failure {
        let (detail, url) = (&problem.detail, &self.url);
        if problem.kind() == Some(ProblemKind::Ambiguous) {
            return Failure::Usage(format!("{detail}: say --tenant"));
        }
        match problem.status {
            400 | 422 => Failure::Usage(detail.clone()),
            401 => Failure::Could(format!("{url}: {detail}; set {API_KEY} to a key of it")),
            status => Failure::Could(format!("{url}: {detail} ({status}); {}", problem.next)),
        }
    }
}

fn both(one: &str, other: &str) -> Failure {
    let text =
        format!("{one} and {other} are both set: say whether the server or the data is meant");
    Failure::Usage(text)
}

fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::Usage(format!("{name} is not UTF-8")))
        }
    }
}

fn is_sendable(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether what is sent there stays on this machine.
fn is_here(url: &str) -> bool {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
