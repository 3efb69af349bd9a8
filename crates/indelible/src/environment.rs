//! What the environment says of an emitter: `INDELIBLE_EMIT_*`.
//!
//! A variable that is there and makes no sense is an error that names it, never passed over.
//! Source: `docs/emitter.md`, "Configuration".

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use indelible_disk::RealDisk;
use indelible_emit::{Class, Options, OptionsError, Preset, SpoolBounds, SpoolOptions, StartError};

use crate::build::within;
use crate::error::{Error, Result};

const PREFIX: &str = "INDELIBLE_EMIT_";
/// What may come behind the prefix.
const NAMES: [&str; 12] = [
    "ATTEMPTS_MAX",
    "BATCH_EVENTS_MAX",
    "BATCH_INTERVAL_MS",
    "CLASS",
    "DEAD_LETTERS",
    "DEAD_LETTERS_BYTES_MAX",
    "PRESET",
    "QUEUE_EVENTS_MAX",
    "SERVICE",
    "SPOOL",
    "SPOOL_BYTES_MAX",
    "STREAM",
];

/// The variables whose word stands: what is wrong with it is told with their name.
#[derive(Debug, Default)]
pub(crate) struct Standing(BTreeSet<String>);

impl Standing {
    /// What a variable said, the program says otherwise.
    pub(crate) fn overruled(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// The error, with the variable that led to it.
    pub(crate) fn told(&self, error: StartError) -> Error {
        let name = match &error {
            StartError::Spool(_) => "SPOOL",
            StartError::DeadLetters(_) => "DEAD_LETTERS",
            StartError::Options(OptionsError::NoSpool) => "CLASS",
            StartError::Options(OptionsError::NoDeadLetters(_)) => "DEAD_LETTERS_BYTES_MAX",
            _ => return error.into(),
        };
        if self.0.contains(name) {
            Error::Variable(format!("{PREFIX}{name}"), error.to_string())
        } else {
            error.into()
        }
    }
}

/// Sets what the variables say; of one that is not UTF-8 there is no value. Gives those that said
/// something.
///
/// # Errors
/// [`Error::Variable`] names the first that is unknown or cannot be kept.
pub(crate) fn apply(
    options: &mut Options,
    variables: impl IntoIterator<Item = (String, Option<String>)>,
) -> Result<Standing> {
    let mut said = Vec::new();
    for (full, value) in variables {
        let Some(name) = full.strip_prefix(PREFIX) else {
            continue;
        };
        match value {
            Some(value) if value.is_empty() => {}
            Some(value) => said.push((name.to_owned(), value)),
            None => return Err(Error::Variable(full, "it is not UTF-8".to_owned())),
        }
    }
    // The preset first: whatever else is said goes before it.
    said.sort_by_key(|(name, _)| (name != "PRESET", name.clone()));
    let mut standing = Standing::default();
    for (name, value) in said {
        let full = format!("{PREFIX}{name}");
        let before = unkept(options);
        let set = set(options, &name, &value).and_then(|()| match unkept(options) {
            why if why == before => Ok(()),
            why => why.map_or(Ok(()), |why| Err(why.to_string())),
        });
        set.map_err(|why| Error::Variable(full, why))?;
        standing.0.insert(name);
    }
    Ok(standing)
}

/// Why the options cannot be kept, so far: a directory may still be named.
fn unkept(options: &Options) -> Option<OptionsError> {
    use OptionsError::{NoDeadLetters, NoSpool};
    let why = within(options.clone()).check().err();
    why.filter(|why| !matches!(why, NoSpool | NoDeadLetters(_)))
}

fn set(options: &mut Options, name: &str, value: &str) -> std::result::Result<(), String> {
    match name {
        "PRESET" => {
            let preset = Preset::named(value).map_err(|error| error.to_string())?;
            preset.apply(options);
        }
        "ATTEMPTS_MAX" => {
            let attempts: u32 = number(value)?;
            options.retry.attempts_max = NonZeroU32::new(attempts);
        }
        "BATCH_EVENTS_MAX" => options.batching.items_max = positive(value)?,
        "BATCH_INTERVAL_MS" => {
            options.batching.interval = Duration::from_millis(positive(value)? as u64);
        }
        "QUEUE_EVENTS_MAX" => {
            let events = positive(value)?;
            options.room.best_effort.items_max = events;
            options.room.spooled.items_max = events;
        }
        "CLASS" => {
            let class = Class::named(value).ok_or_else(|| {
                if value == "in_transaction" {
                    let why = "only an event whose call says `emit_in` is in a transaction";
                    return why.to_owned();
                }
                let words = Class::ALL.map(Class::as_str).join(", ");
                format!("`{value}` is no class; there are {words}")
            })?;
            options.policy = std::mem::take(&mut options.policy).otherwise(class);
        }
        "SERVICE" => options.service = Some(value.to_owned()),
        "STREAM" => options.stream = Some(value.to_owned()),
        "SPOOL" => {
            let bounds = options
                .spool
                .as_ref()
                .map_or_else(SpoolBounds::default, |spool| spool.bounds);
            options.spool = Some(SpoolOptions {
                disk: Arc::new(RealDisk::new(PathBuf::from(value))),
                bounds,
            });
        }
        "DEAD_LETTERS" => {
            let disk = RealDisk::new(PathBuf::from(value));
            options.dead_letters.disk = Some(Arc::new(disk));
        }
        "DEAD_LETTERS_BYTES_MAX" => options.dead_letters.bytes_max = positive(value)? as u64,
        "SPOOL_BYTES_MAX" => {
            let bytes_max: u64 = number(value)?;
            let spool = options.spool.as_mut();
            let spool = spool.ok_or("no directory is named for the spool".to_owned())?;
            spool.bounds.bytes_max = bytes_max;
        }
        _ => return Err(format!("it is unknown; there are {}", NAMES.join(", "))),
    }
    Ok(())
}

fn number<T: FromStr>(value: &str) -> std::result::Result<T, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("`{value}` is no whole number from 0"))
}

fn positive(value: &str) -> std::result::Result<usize, String> {
    match number(value)? {
        0 => Err("it must be more than 0".to_owned()),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn applied(said: &[(&str, &str)]) -> Result<Options> {
        let mut options = Options::default();
        let said = said
            .iter()
            .map(|(n, v)| (format!("{PREFIX}{n}"), Some((*v).to_owned())));
        apply(&mut options, said)?;
        Ok(options)
    }

    #[test]
    fn what_is_said_goes_before_the_preset_whatever_the_order() {
        let said = [
            ("BATCH_EVENTS_MAX", "7"),
            ("PRESET", "kubernaut-agent"),
            ("SPOOL", "./spool"),
            ("SPOOL_BYTES_MAX", "1000000"),
            ("ATTEMPTS_MAX", "0"),
            ("DEAD_LETTERS", "./letters"),
            ("DEAD_LETTERS_BYTES_MAX", "8192"),
            ("SERVICE", ""),
        ];
        let options = applied(&said).unwrap();
        assert_eq!(options.batching.items_max, 7);
        assert_eq!(options.batching.interval, Duration::from_millis(500));
        assert_eq!(options.room.spooled.items_max, 20_000);
        assert_eq!(options.spool.unwrap().bounds.bytes_max, 1_000_000);
        assert!(options.dead_letters.disk.is_some());
        assert_eq!(options.dead_letters.bytes_max, 8_192);
        assert_eq!((options.retry.attempts_max, options.service), (None, None));
    }

    #[test]
    fn what_is_no_text_is_named_where_it_is_ours() {
        let mut options = Options::default();
        let said = |name: &str| [(name.to_owned(), None)];
        apply(&mut options, said("SOMETHING")).unwrap();
        let name = format!("{PREFIX}SPOOL");
        let error = apply(&mut options, said(&name)).unwrap_err().to_string();
        assert!(
            error.contains(&name) && error.contains("not UTF-8"),
            "{error}"
        );
    }

    #[test]
    fn a_spool_that_is_too_small_is_named_by_its_variable() {
        let said = [("SPOOL", "./spool"), ("SPOOL_BYTES_MAX", "524287")];
        let error = applied(&said).unwrap_err().to_string();
        let told = format!("{PREFIX}SPOOL_BYTES_MAX: the spool may hold 524287 bytes");
        assert!(
            error.starts_with(&told) && error.contains("524288"),
            "{error}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (name, value, word) in [
            ("BATCH_EVENTS_MAX", "many", "no whole number"),
            ("BATCH_EVENTS_MAX", "0", "more than 0"),
            ("QUEUE_EVENTS_MAX", "-1", "no whole number"),
            ("QUEUE_EVENTS_MAX", "+5", "no whole number"),
            ("PRESET", "x", "no preset"),
            (
                "CLASS",
                "fast",
                "fail_closed, confirmed, spooled, best_effort",
            ),
            ("CLASS", "in_transaction", "says `emit_in`"),
            ("QUEUE_EVENTS_MAX", "8388608", "the items of the queue"),
            ("SPOOL_BYTES_MAX", "1", "no directory"),
            ("STREAM", &"x".repeat(101), "1 to 100 letters"),
            ("STREAM", "ops@example.com", "1 to 100 letters"),
            ("SERVICE", &"x".repeat(257), "1 to 256 bytes"),
            ("BATCH_INTERVAL_MS", "3600001", "at most 3600 s"),
            ("DEAD_LETTERS_BYTES_MAX", "0", "more than 0"),
            ("DEAD_LETTERS_BYTES_MAX", "8191", "at least 8192"),
            ("QEUE", "1", "unknown"),
        ] {
            let error = applied(&[(name, value)]).unwrap_err().to_string();
            let full = format!("{PREFIX}{name}");
            assert!(error.contains(&full) && error.contains(word), "{error}");
        }
        for name in NAMES {
            let told = applied(&[(name, "\u{1}")])
                .err()
                .map(|error| error.to_string());
            assert!(
                told.is_none_or(|told| !told.contains("it is unknown")),
                "{name}"
            );
        }
    }
}
