//! Where a command brings the events of programs: to a server, or into the ledger here.
//!
//! Not here: what is sent, and what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_directory::delivery;
use indelible_emit::http::{Http, HttpOptions};
use indelible_emit::{Attached, Outgoing, Transport, Verdict};
use indelible_event::catalogue::NATIVE;
use indelible_event::{Mode, TenantId};
use indelible_log::prepare::Admission;

use crate::config::{Config, Source};
use crate::exit::{Failure, Result};
use crate::ledger::{self, Writing};
use crate::output::Output;

/// The shortest time between two publications while events come.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The server to send to: what was said, else what the environment says, unless a ledger here was
/// said.
///
/// # Errors
/// [`Failure::Usage`] when both were.
pub fn server(said: Option<&str>, config: &Config) -> Result<Option<String>> {
    let is_said = |key: &str| {
        let mut settings = config.resolved.iter();
        settings.any(|it| it.key == key && it.source == Source::Flag)
    };
    let here = ["data", "ledger"].into_iter().find(|key| is_said(key));
    if let (Some(here), Some(_)) = (here, said) {
        let text = format!("--url and --{here} name two ledgers: say one of them");
        return Err(Failure::Usage(text));
    }
    let variable = || std::env::var("INDELIBLE_URL").ok();
    let url = said.map(str::to_owned);
    Ok(url.or_else(|| variable().filter(|url| here.is_none() && !url.is_empty())))
}

/// The way to a server, with the key that the environment has.
///
/// # Errors
/// [`Failure::Usage`] when it is no address, or no key.
pub fn http(url: &str) -> Result<Http> {
    let key = std::env::var("INDELIBLE_API_KEY").ok();
    let options = HttpOptions {
        api_key: key.filter(|key| !key.is_empty()),
        ..HttpOptions::default()
    };
    Http::new(url, options).map_err(|error| Failure::Usage(error.to_string()))
}

/// The way into the ledger of the settings.
pub struct Here {
    ledger: Writing,
    admission: Arc<Admission>,
    published: Instant,
    /// Whether something was committed since.
    unpublished: bool,
}

impl Here {
    /// Opens it; it must be there, for nobody wants his events in a new one. `via` stands in the
    /// records.
    ///
    /// # Errors
    /// [`Failure::Could`] when there is none, or it cannot be written to.
    pub fn open(via: &str, config: &Config, output: &Output) -> Result<Self> {
        ledger::locate(config).map_err(|failure| match failure {
            Failure::Could(text) => Failure::Could(format!("{text}; or name a server with --url")),
            failure => failure,
        })?;
        Ok(Self {
            admission: Arc::new(Admission {
                mode: Mode::Strict,
                catalogue: &NATIVE,
                dialect: None,
                submitted_by: None,
                via: Some(via.to_owned()),
                sealing: ledger::sealing(config, None)?,
            }),
            ledger: ledger::write(config, output)?,
            published: Instant::now(),
            unpublished: false,
        })
    }

    /// Publishes all that is durable, and closes.
    ///
    /// # Errors
    /// [`Failure::Could`]: the events are durable, but no checkpoint covers them yet.
    pub fn publish_and_close(self, output: &Output) -> Result {
        self.ledger.publish_and_close(output)
    }

    /// What fails here is tried again with the next publication; what was committed stays so.
    fn publish(&mut self) {
        self.published = Instant::now();
        let log = &self.ledger.log;
        self.unpublished = log.signs() && log.publish().is_err();
    }
}

impl Transport for Here {
    fn attach(
        &mut self,
        tenant: &TenantId,
        attached: &[Attached],
    ) -> std::result::Result<(), (usize, Verdict)> {
        delivery::attach(&self.ledger.log, tenant, attached)
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        self.unpublished = true;
        delivery::deliver(&self.ledger.log, &self.admission, batch)
    }

    fn rest(&mut self) {
        if self.unpublished && self.published.elapsed() >= PUBLISH_INTERVAL {
            self.publish();
        }
    }

    fn finish(&mut self) {
        if self.unpublished {
            self.publish();
        }
    }
}
