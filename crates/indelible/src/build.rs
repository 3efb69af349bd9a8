//! What can be said before an audit trail is opened or connected to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indelible_disk::RealDisk;
use indelible_emit::http::{AddressError, Http, HttpOptions};
use indelible_emit::{
    Bounds, Emitter, Options, Policy, Preset, Retry, SpoolBounds, SpoolOptions, StartError,
    Transport,
};
use indelible_log::policy::SealingPolicy;

use crate::audit::Audit;
use crate::embedded::Embedded;
use crate::environment::{self, Standing};
use crate::error::{Error, Result};
use crate::process::Process;

/// The key that is sent when the program names none.
const API_KEY: &str = "INDELIBLE_API_KEY";
/// The directory of keys when the program names none.
const KEYS: &str = "INDELIBLE_KEYS";
/// The directory of all ledgers' keys, in the user's configuration directory.
const KEYS_BELOW: &str = "indelible";

/// An audit trail that is not open yet: [`ToServer`] or [`ToDirectory`].
///
/// What only one of them can be told does not compile with the other:
///
/// ```compile_fail,E0599
/// let audit = indelible::Audit::embedded("./audit").api_key("ind_1_secret");
/// ```
#[derive(Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct AuditBuilder<To> {
    to: To,
    options: Options,
    standing: Standing,
}

/// Behind a server; see [`Audit::connect`].
#[derive(Debug)]
pub struct ToServer {
    address: String,
    http: HttpOptions,
}

/// In a directory; see [`Audit::embedded`].
#[derive(Debug)]
pub struct ToDirectory {
    path: PathBuf,
    keys: Option<PathBuf>,
    sealing_policy: Option<String>,
}

impl AuditBuilder<ToDirectory> {
    pub(crate) fn embedded(path: &Path) -> Self {
        let path = path.to_path_buf();
        Self {
            to: ToDirectory {
                path,
                keys: None,
                sealing_policy: None,
            },
            options: Options::default(),
            standing: Standing::default(),
        }
    }

    /// The directory that holds the keys of ledgers, instead of that in `INDELIBLE_KEYS` or
    /// `indelible` in the user's configuration directory.
    pub fn keys(mut self, directory: impl Into<PathBuf>) -> Self {
        self.to.keys = Some(directory.into());
        self
    }

    /// The policy that says what of an event is personal and sealed, instead of the default one:
    /// JSON as in `spec/sealing.md` §6, with a number from 2 on.
    pub fn sealing_policy(mut self, json: impl Into<String>) -> Self {
        self.to.sealing_policy = Some(json.into());
        self
    }

    /// Opens the audit trail and starts its worker.
    ///
    /// # Errors
    /// [`Error`] says what to do; nothing is left running.
    pub fn build(self) -> Result<Audit> {
        let options = checked(self.options, &self.standing)?;
        let keys = self.to.keys.or_else(key_directory);
        let keys = keys.ok_or(Error::NoKeyDirectory)?;
        let sealing = match self.to.sealing_policy {
            Some(json) => SealingPolicy::from_json(json.as_bytes())
                .map_err(|error| Error::SealingPolicy(error.to_string()))?,
            None => SealingPolicy::default(),
        };
        let embedded = Embedded::open(&self.to.path, &keys, sealing)?;
        #[cfg(feature = "relay")]
        let way = embedded.way();
        let emitter = start(embedded, options, &self.standing)?;
        Ok(Audit {
            emitter,
            #[cfg(feature = "relay")]
            way,
        })
    }
}

impl AuditBuilder<ToServer> {
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let http = HttpOptions::default();
        Http::new(address, http.clone())?;
        let address = address.to_owned();
        Ok(Self {
            to: ToServer { address, http },
            options: Options::default(),
            standing: Standing::default(),
        })
    }

    /// The key to send to the server, instead of that in `INDELIBLE_API_KEY`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.to.http.api_key = Some(key.into());
        self
    }

    /// How long one request to the server may take; 30 s if nothing is said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.to.http.timeout = timeout;
        self
    }

    /// Starts the worker of the audit trail; nothing is connected before there is an event.
    ///
    /// # Errors
    /// [`Error`] says what to do; nothing is left running.
    pub fn build(self) -> Result<Audit> {
        let options = checked(self.options, &self.standing)?;
        let mut to = self.to;
        let transport = to.open(std::env::var_os(API_KEY))?;
        let emitter = start(transport, options, &self.standing)?;
        Ok(Audit {
            emitter,
            #[cfg(feature = "relay")]
            way: crate::relay::Way::new(move || Ok(Http::new(&to.address, to.http.clone())?)),
        })
    }
}

impl ToServer {
    /// The transport, with the key of the variable where the program named none.
    fn open(&mut self, key: Option<OsString>) -> Result<Http> {
        let named = self.http.api_key.is_some();
        if !named {
            self.http.api_key = text(API_KEY, key)?;
        }
        Http::new(&self.address, self.http.clone()).map_err(|error| match error {
            AddressError::Key if !named => Error::Variable(API_KEY.to_owned(), error.to_string()),
            error => error.into(),
        })
    }
}

impl<To> AuditBuilder<To> {
    /// The emitting system's name, for `source.service` of every event that says none.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.options.service = Some(name.into());
        self
    }

    /// What the variables `INDELIBLE_EMIT_*` say; what is said after this goes before it.
    ///
    /// # Errors
    /// [`Error::Variable`] names one that is unknown or makes no sense.
    pub fn environment(self) -> Result<Self> {
        self.said_by(std::env::vars_os())
    }

    fn said_by(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self> {
        let text = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().ok()))
        };
        self.standing =
            environment::apply(&mut self.options, variables.into_iter().filter_map(text))?;
        Ok(self)
    }

    /// What another system's service runs with.
    pub fn preset(mut self, preset: Preset) -> Self {
        preset.apply(&mut self.options);
        self
    }

    /// Has the worker write a line of `tracing` for every event, with the target
    /// `indelible::audit`; without names, addresses or secrets.
    #[cfg(feature = "tracing")]
    pub fn log_events(mut self) -> Self {
        self.options.log_events = true;
        self
    }

    /// How much may wait in memory on its way out: 30,000 events and 32 MiB if nothing is said, for
    /// those on their way to the spool and for best effort each. What comes beyond it is dropped
    /// and declared.
    pub fn queue(mut self, events_max: usize, bytes_max: usize) -> Self {
        let bounds = Bounds {
            items_max: events_max,
            bytes_max,
        };
        self.options.room.best_effort = bounds;
        self.options.room.spooled = bounds;
        self
    }

    /// A directory for the spool: events are on disk within milliseconds, and in the ledger sooner
    /// or later, whatever dies. It may be shared with other processes of this machine.
    pub fn spool(self, directory: impl AsRef<Path>) -> Self {
        self.spool_within(directory, SpoolBounds::default())
    }

    /// As [`AuditBuilder::spool`], with bounds of its own; 1 GiB if nothing is said.
    pub fn spool_within(mut self, directory: impl AsRef<Path>, bounds: SpoolBounds) -> Self {
        self.standing.overruled(&["SPOOL"]);
        self.options.spool = Some(SpoolOptions {
            disk: Arc::new(RealDisk::new(directory.as_ref())),
            bounds,
        });
        self
    }

    /// A directory for dead letters: events that are refused for good or given up, kept with the
    /// reason for `indelible dead-letters --spool DIRECTORY`. With a spool they are kept beside it,
    /// if nothing is said.
    pub fn dead_letters(mut self, directory: impl AsRef<Path>) -> Self {
        self.standing.overruled(&["DEAD_LETTERS"]);
        let disk = RealDisk::new(directory.as_ref());
        self.options.dead_letters.disk = Some(Arc::new(disk));
        self
    }

    /// How many bytes dead letters may have in all; 64 MiB if nothing is said. What comes beyond it
    /// is counted and not kept.
    pub fn dead_letters_within(mut self, bytes_max: u64) -> Self {
        self.standing.overruled(&["DEAD_LETTERS_BYTES_MAX"]);
        self.options.dead_letters.bytes_max = bytes_max;
        self
    }

    /// Which events are of which delivery class.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.standing.overruled(&["CLASS"]);
        self.options.policy = policy;
        self
    }

    /// The name of the stream under which the ledger counts these events; no other emitter may have
    /// it at the same time. Letters, digits and `.`, `_`, `-`, `:`, `/`: it stands in every record.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.options.stream = Some(name.into());
        self
    }

    /// When events are sent: as soon as so many wait, or after this long; 1,000 and a second if
    /// nothing is said.
    pub fn batches(mut self, events_max: usize, interval: Duration) -> Self {
        self.options.batching.items_max = events_max;
        self.options.batching.interval = interval;
        self
    }

    /// How often and how soon a delivery is tried again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }

    /// How long dropping the audit trail may take to deliver what waits; 2 s if nothing is said.
    pub fn drop_deadline(mut self, deadline: Duration) -> Self {
        self.options.drop_deadline.0 = deadline;
        self
    }
}

/// The options, if they can be kept. A batch is never more than the queue, whichever was said.
fn checked(options: Options, standing: &Standing) -> Result<Options> {
    let options = within(options);
    let checked = options.check().map_err(StartError::from);
    checked.map_err(|error| standing.told(error))?;
    Ok(options)
}

/// The options with batches that are no larger than the queue.
pub(crate) fn within(mut options: Options) -> Options {
    let (bounds, batching) = (options.room.best_effort, &mut options.batching);
    // A queue of nothing is told as that, and not as a batch of nothing.
    batching.items_max = batching.items_max.min(bounds.items_max.max(1));
    batching.bytes_max = batching.bytes_max.min(bounds.bytes_max.max(1));
    options
}

fn start(
    transport: impl Transport + 'static,
    options: Options,
    standing: &Standing,
) -> Result<Emitter> {
    let emitter = Emitter::start(transport, options, Arc::new(Process));
    emitter.map_err(|error| standing.told(error))
}

fn key_directory() -> Option<PathBuf> {
    variable(KEYS).or_else(|| {
        let home = || Some(variable("HOME")?.join(".config"));
        let configuration = variable("XDG_CONFIG_HOME").or_else(home);
        configuration.map(|directory| directory.join(KEYS_BELOW))
    })
}

/// The directory that a variable names; names of directories need not be UTF-8.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// What a variable says, if it says something.
fn text(name: &str, value: Option<OsString>) -> Result<Option<String>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let wrong = |_| Error::Variable(name.to_owned(), "it is not UTF-8".to_owned());
    value.into_string().map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_place_for_dead_letters_that_is_none_is_told_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("letters");
        std::fs::write(&file, "a file").unwrap();
        let connect = || AuditBuilder::connect("http://127.0.0.1:1").unwrap();
        let told = connect().dead_letters(&file).build().unwrap_err();
        let told = told.to_string();
        let path = file.display().to_string();
        assert!(
            told.starts_with("dead letters cannot be kept") && told.contains(&path),
            "{told}"
        );
        // Where none are to be kept no place is needed.
        let builder = connect().dead_letters(&file).dead_letters_within(0);
        assert!(builder.build().is_ok());
    }

    #[test]
    fn what_cannot_be_is_told_of_the_field_that_was_said() {
        let connect = || AuditBuilder::connect("http://127.0.0.1:1").unwrap();
        let told = |builder: AuditBuilder<ToServer>| builder.build().unwrap_err().to_string();
        let (few, little) = (
            told(connect().queue(0, 1 << 20)),
            told(connect().queue(10, 0)),
        );
        assert_eq!(few, "spooled: the items of the queue must be more than 0");
        assert_eq!(
            little,
            "spooled: the bytes of the queue must be more than 0"
        );
        let little = told(connect().queue(5, 1));
        assert!(
            little.starts_with("spooled: the bytes of the queue are 1, "),
            "{little}"
        );
        let nowhere = told(connect().dead_letters_within(100_000));
        assert!(nowhere.contains("no directory is named"), "{nowhere}");
    }

    #[test]
    fn what_a_variable_said_and_cannot_be_is_told_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "a file").unwrap();
        let place = file.to_str().unwrap();
        let connect = || AuditBuilder::connect("http://127.0.0.1:1").unwrap();
        let said = |name: &str, value: &str| {
            let name = format!("INDELIBLE_EMIT_{name}");
            connect().said_by([(name.into(), value.into())]).unwrap()
        };
        for (name, value) in [
            ("SPOOL", place),
            ("DEAD_LETTERS", place),
            ("CLASS", "spooled"),
            ("DEAD_LETTERS_BYTES_MAX", "100000"),
        ] {
            let told = said(name, value).build().unwrap_err().to_string();
            assert!(
                told.starts_with(&format!("INDELIBLE_EMIT_{name}: ")),
                "{told}"
            );
        }
        // What the program says goes before it, also in what is told.
        let own = directory.path().join("own");
        assert!(said("SPOOL", place).spool(&own).build().is_ok());
        assert!(said("CLASS", "spooled").spool(&own).build().is_ok());
        assert!(
            said("CLASS", "spooled")
                .policy(Policy::new())
                .build()
                .is_ok()
        );
        assert!(
            said("DEAD_LETTERS_BYTES_MAX", "100000")
                .spool(&own)
                .build()
                .is_ok()
        );
        let told = said("SPOOL", place).spool(&file).build().unwrap_err();
        assert!(
            told.to_string().starts_with("the spool cannot be opened"),
            "{told}"
        );
    }

    #[test]
    fn a_bad_key_of_the_environment_is_no_matter_where_the_program_names_one() {
        let connect = || AuditBuilder::connect("http://127.0.0.1:1").unwrap();
        for bad in [&b"ind 1"[..], b"ind_\xff"] {
            let bad = || Some(OsString::from_vec(bad.to_vec()));
            let told = connect().to.open(bad()).err().unwrap().to_string();
            assert!(told.starts_with("INDELIBLE_API_KEY: "), "{told}");
            assert!(connect().api_key("ind_1_x").to.open(bad()).is_ok());
        }
        assert!(connect().to.open(None).is_ok());
    }

    #[test]
    fn a_key_that_is_no_text_is_told_and_not_passed_over() {
        let told = |bytes: &[u8]| text(API_KEY, Some(OsString::from_vec(bytes.to_vec())));
        assert_eq!(told(b"ind_1_x").unwrap().as_deref(), Some("ind_1_x"));
        assert_eq!(told(b"").unwrap(), None);
        let error = told(b"ind_\xff").unwrap_err().to_string();
        assert_eq!(error, "INDELIBLE_API_KEY: it is not UTF-8");
    }
}
