//! Reading the layers and deciding.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::auth::auth;
use super::parts::parts;
use super::server::server;
use super::settings::{DIRECTORY, SETTINGS, Setting};
use super::{Config, PostgresConfig, Resolved, Source};
use crate::args::{Color, Global, Switch};
use crate::exit::{Failure, OrCould, Result};
use crate::output::Show;

/// Variables that start with `INDELIBLE_` and are no settings: tests and builds read them.
const OTHER_VARIABLES: [&str; 11] = [
    "INDELIBLE_API_KEY",
    "INDELIBLE_CONFIG",
    "INDELIBLE_KILL_ROUNDS",
    "INDELIBLE_LONG",
    "INDELIBLE_REQUIRE_ALL",
    "INDELIBLE_SEED",
    "INDELIBLE_SKIPPED_TESTS",
    "INDELIBLE_TAMPER_CASES",
    "INDELIBLE_UPDATE_DOCS",
    "INDELIBLE_OUTBOX",
    "INDELIBLE_URL",
];

/// The address of a database as other audit services name it.
const AUDIT_DB_URL: &str = "AUDIT_DB_URL";

/// What of the process's surroundings decides about settings.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The variables.
    pub variables: BTreeMap<String, String>,
    /// Variables of ours whose values are no UTF-8, as a path may be.
    pub not_text: BTreeMap<String, PathBuf>,
    /// The working directory's configuration file, if it is there.
    pub local_file: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let mut variables = BTreeMap::new();
        let mut not_text = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => {
                    variables.insert(name, value);
                }
                (Ok(name), Err(value)) if name.starts_with("INDELIBLE_") => {
                    not_text.insert(name, PathBuf::from(value));
                }
                _ => {}
            }
        }
        let local = PathBuf::from("indelible.toml");
        let local_file = local.is_file().then_some(local);
        Self {
            variables,
            not_text,
            local_file,
        }
    }

    /// The user's configuration directory, `$XDG_CONFIG_HOME` or `~/.config`.
    pub fn user_directory(&self) -> Option<PathBuf> {
        let set = |name: &str| self.variables.get(name).filter(|v| !v.is_empty());
        set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(home).join(".config")))
    }
}

/// The values of each layer, by key.
#[derive(Debug, Default)]
pub struct Layers {
    /// From the command line.
    pub flags: BTreeMap<&'static str, String>,
    /// From the environment: value and variable.
    pub environment: BTreeMap<&'static str, (String, String)>,
    /// From the file.
    pub file: BTreeMap<&'static str, String>,
    /// The file.
    pub path: Option<PathBuf>,
}

impl Layers {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    /// [`Failure::Usage`] naming every unknown key and every value that does not fit.
    pub fn read(global: &Global, environment: &Environment) -> Result<Self> {
        let mut problems = Vec::new();
        let mut layers = Self {
            flags: flags(global),
            ..Self::default()
        };
        for (key, value) in &layers.flags {
            let setting = SETTINGS.iter().find(|s| s.key == *key);
            if let Some(problem) = setting.and_then(|setting| setting.problem(value)) {
                problems.push(format!("command line: --{key} {problem}"));
            }
        }
        layers.environment = from_environment(environment, &mut problems);
        layers.path = file_to_read(global, environment);
        if let Some(path) = &layers.path {
            let text = fs::read_to_string(path).or_could(format_args!("read {}", path.shown()))?;
            match text.parse::<toml::Table>() {
                Ok(table) => flatten("", &table, &mut |key, value| {
                    if let Some((setting, value)) = check_file(path, key, value, &mut problems) {
                        layers.file.insert(setting.key, value);
                    }
                }),
                Err(error) => problems.push(format!("{}: {error}", path.shown())),
            }
        }
        if problems.is_empty() {
            Ok(layers)
        } else {
            Err(Failure::Usage(problems.join("\n")))
        }
    }
}

/// Reads all layers and decides.
///
/// # Errors
/// As [`Layers::read`].
pub fn load(global: &Global, environment: &Environment) -> Result<Config> {
    let layers = Layers::read(global, environment)?;
    let resolved: Vec<Resolved> = SETTINGS.iter().map(|s| resolve(s, &layers)).collect();
    parts(&resolved)?;
    let value = |key: &str| {
        resolved
            .iter()
            .find(|r| r.key == key)
            .and_then(|r| r.value.clone())
            .unwrap_or_default()
    };
    let set = |key: &str| Some(value(key)).filter(|v| !v.is_empty());
    // A path may be no text: what was resolved is for showing.
    let path = |key: &str, flag: &Option<PathBuf>| {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let not_text = setting.and_then(|s| environment.not_text.get(&s.variable()));
        let path = flag.as_ref().or(not_text).cloned();
        path.or_else(|| set(key).map(PathBuf::from))
    };
    let certificate = path("server.tls.certificate", &None);
    let tls = (certificate, path("server.tls.key", &None));
    Ok(Config {
        data: path("data", &global.data).unwrap_or_default(),
        database: set("ledger").filter(|ledger| ledger != DIRECTORY),
        keys: path("keys", &global.keys).or_else(|| {
            environment
                .user_directory()
                .map(|dir| dir.join("indelible"))
        }),
        tenant: set("tenant"),
        origin: set("origin"),
        sealing: if value("sealing") == "off" {
            Switch::Off
        } else {
            Switch::On
        },
        sealing_policy: path("sealing_policy", &None),
        import_batch_records: value("import.batch_records").parse().unwrap_or(1000),
        server: server(&value, tls)?,
        auth: auth(&value)?,
        postgres: postgres(&value),
        utc: value("output.utc") == "true",
        color: match value("output.color").as_str() {
            "always" => Color::Always,
            "never" => Color::Never,
            _ => Color::Auto,
        },
        file: layers.path,
        resolved,
    })
}

/// The connections to a database. Where only their maximum was said, the minimum that nobody said
/// is no more than it.
fn postgres(value: &dyn Fn(&str) -> String) -> PostgresConfig {
    let number = |key: &str| value(key).parse::<u64>().unwrap_or_default();
    let size = |key: &str| usize::try_from(number(key)).unwrap_or(usize::MAX);
    let time = |key: &str| Duration::from_millis(number(key));
    let max = size("postgres.connections_max");
    PostgresConfig {
        connections_min: size("postgres.connections_min").min(max),
        connections_max: max,
        connect_timeout: time("postgres.connect_timeout_ms"),
        statement_timeout: time("postgres.statement_timeout_ms"),
        lock_timeout: time("postgres.lock_timeout_ms"),
    }
}

fn resolve(setting: &Setting, layers: &Layers) -> Resolved {
    let key = setting.key;
    let (value, source) = if let Some(value) = layers.flags.get(key) {
        (Some(value.clone()), Source::Flag)
    } else if let Some((value, variable)) = layers.environment.get(key) {
        (Some(value.clone()), Source::Environment(variable.clone()))
    } else if let Some(value) = layers.file.get(key) {
        (
            Some(value.clone()),
            Source::File(layers.path.clone().unwrap_or_default()),
        )
    } else {
        (setting.default.map(str::to_owned), Source::Default)
    };
    Resolved { key, value, source }
}

fn flags(global: &Global) -> BTreeMap<&'static str, String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    let color = global.color.map(|color| match color {
        Color::Auto => "auto",
        Color::Always => "always",
        Color::Never => "never",
    });
    let pairs = [
        ("data", path(&global.data)),
        ("ledger", global.ledger.clone()),
        ("keys", path(&global.keys)),
        ("output.utc", global.utc.then(|| "true".to_owned())),
        ("output.color", color.map(str::to_owned)),
    ];
    pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn file_to_read(global: &Global, environment: &Environment) -> Option<PathBuf> {
    let named = environment
        .variables
        .get("INDELIBLE_CONFIG")
        .map(PathBuf::from);
    global
        .config
        .clone()
        .or(named)
        .or_else(|| environment.local_file.clone())
        .or_else(|| {
            let user = environment
                .user_directory()
                .map(|dir| dir.join("indelible/indelible.toml"));
            let system = Some(PathBuf::from("/etc/indelible/indelible.toml"));
            [user, system]
                .into_iter()
                .flatten()
                .find(|path| path.is_file())
        })
}

fn from_environment(
    environment: &Environment,
    problems: &mut Vec<String>,
) -> BTreeMap<&'static str, (String, String)> {
    let mut found = BTreeMap::new();
    for (name, value) in &environment.not_text {
        match SETTINGS.iter().find(|s| s.variable() == *name) {
            Some(setting) if setting.is_path() => {
                found.insert(setting.key, (value.display().to_string(), name.clone()));
            }
            // Left out, the default would be taken in silence.
            _ => problems.push(format!("environment: {name} is not UTF-8")),
        }
    }
    // Where people have the address of such a database already; ours comes after and wins.
    if let Some(url) = environment.variables.get(AUDIT_DB_URL)
        && !environment.variables.contains_key("INDELIBLE_LEDGER")
        && let Some(setting) = SETTINGS.iter().find(|s| s.key == "ledger")
    {
        match setting.problem(url) {
            Some(problem) => problems.push(format!("environment: {AUDIT_DB_URL} {problem}")),
            None => drop(found.insert(setting.key, (url.clone(), AUDIT_DB_URL.to_owned()))),
        }
    }
    for (name, value) in &environment.variables {
        if !name.starts_with("INDELIBLE_")
            || name.starts_with("INDELIBLE_TEST_")
            || OTHER_VARIABLES.contains(&name.as_str())
        {
            continue;
        }
        match SETTINGS.iter().find(|s| s.variable() == *name) {
            None => {
                let names = SETTINGS.iter().map(Setting::variable);
                let hint = suggestion(name, names);
                problems.push(format!("environment: unknown setting {name}{hint}"));
            }
            Some(setting) => match setting.problem(value) {
                Some(problem) => problems.push(format!("environment: {name} {problem}")),
                None => {
                    found.insert(setting.key, (value.clone(), name.clone()));
                }
            },
        }
    }
    found
}

/// Calls `visit` with every leaf of the table and its dotted key.
fn flatten(prefix: &str, table: &toml::Table, visit: &mut impl FnMut(&str, &toml::Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, visit),
            other => visit(&key, other),
        }
    }
}

fn check_file(
    path: &Path,
    key: &str,
    value: &toml::Value,
    problems: &mut Vec<String>,
) -> Option<(&'static Setting, String)> {
    let path = path.shown();
    let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
        let hint = suggestion(key, SETTINGS.iter().map(|s| s.key.to_owned()));
        problems.push(format!("{path}: unknown setting `{key}`{hint}"));
        return None;
    };
    if let Some(problem) = setting.takes.problem_of_kind(value) {
        problems.push(format!("{path}: `{key}` {problem}"));
        return None;
    }
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(all) => {
            let words = all
                .iter()
                .map(|one| one.as_str().map_or(one.to_string(), str::to_owned));
            words.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    if let Some(problem) = setting.problem(&text) {
        problems.push(format!("{path}: `{key}` {problem}"));
        return None;
    }
    Some((setting, text))
}

/// `, did you mean …?` for the nearest of `names`, or where to look.
fn suggestion(wrong: &str, names: impl Iterator<Item = String>) -> String {
    names
        .map(|name| (strsim::damerau_levenshtein(wrong, &name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .map_or_else(
            || "; `indelible config show` lists them all".to_owned(),
            |(_, name)| format!(", did you mean `{name}`?"),
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn global() -> Global {
        Global {
            ledger: None,
            data: None,
            keys: None,
            config: None,
            json: false,
            utc: false,
            color: None,
            quiet: false,
        }
    }

    fn environment(variables: &[(&str, &str)], file: Option<PathBuf>) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            not_text: BTreeMap::new(),
            local_file: file,
        }
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("indelible.toml");
        fs::write(
            &file,
            "data = \"/file\"\ntenant = \"f\"\n[output]\nutc = true\n",
        )
        .unwrap();
        let env = environment(
            &[
                ("INDELIBLE_DATA", "/env"),
                ("INDELIBLE_OUTPUT__COLOR", "never"),
                ("HOME", "/h"),
            ],
            Some(file.clone()),
        );
        let mut flags = global();
        let config = load(&flags, &env).unwrap();
        assert_eq!(config.data, Path::new("/env"));
        assert_eq!(config.tenant.as_deref(), Some("f"));
        assert_eq!((config.utc, config.color), (true, Color::Never));
        assert_eq!(config.import_batch_records, 1000);
        assert_eq!(
            config.keys.as_deref(),
            Some(Path::new("/h/.config/indelible"))
        );
        flags.data = Some("/flag".into());
        let config = load(&flags, &env).unwrap();
        assert_eq!(config.data, Path::new("/flag"));
        let sources: Vec<_> = config.resolved.iter().map(|r| r.source.clone()).collect();
        assert_eq!(sources[0], Source::Flag);
        assert_eq!(sources[3], Source::File(file));
        assert_eq!(sources[5], Source::Default);
        assert_eq!(
            sources[SETTINGS.len() - 1],
            Source::Environment("INDELIBLE_OUTPUT__COLOR".into())
        );
    }

    #[test]
    fn unknown_keys_and_bad_values_are_all_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("indelible.toml");
        fs::write(
            &file,
            "tenat = \"f\"\n[import]\nbatch_records = 0\n[x]\ny = 1\n",
        )
        .unwrap();
        let env = environment(
            &[
                ("INDELIBLE_DATTA", "/env"),
                ("INDELIBLE_SEALING", "maybe"),
                ("INDELIBLE_TEST_DATA", "/t"),
            ],
            Some(file),
        );
        let Err(Failure::Usage(text)) = load(&global(), &env) else {
            panic!("must be refused")
        };
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(
            text.contains("INDELIBLE_DATTA, did you mean `INDELIBLE_DATA`?"),
            "{text}"
        );
        assert!(text.contains("`tenat`, did you mean `tenant`?"), "{text}");
        assert!(text.contains("must be one of on, off"), "{text}");
        assert!(text.contains("`import.batch_records` is `0`"), "{text}");
        assert!(
            text.contains("unknown setting `x.y`; `indelible config show`"),
            "{text}"
        );
    }

    #[test]
    fn values_that_would_fail_later_are_refused_at_once() {
        let env = |name, value| environment(&[(name, value)], None);
        for (name, value) in [
            ("INDELIBLE_TENANT", "a b"),
            ("INDELIBLE_TENANT", ""),
            ("INDELIBLE_ORIGIN", "a b"),
            ("INDELIBLE_ORIGIN", "a+b"),
            ("INDELIBLE_ORIGIN", ""),
        ] {
            let Err(Failure::Usage(text)) = load(&global(), &env(name, value)) else {
                panic!("{name}={value}")
            };
            assert!(text.contains(name), "{text}");
        }
        let mut not_text = environment(&[], None);
        let name = "INDELIBLE_TENANT".to_owned();
        not_text.not_text.insert(name, PathBuf::from("x"));
        let Err(Failure::Usage(text)) = load(&global(), &not_text) else {
            panic!("the default must not be taken in silence")
        };
        assert!(text.contains("INDELIBLE_TENANT is not UTF-8"), "{text}");
    }

    #[test]
    fn paths_that_are_no_text_stay_whole() {
        use std::os::unix::ffi::OsStrExt;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"/d\xff"));
        let mut flags = global();
        (flags.data, flags.keys) = (Some(path.clone()), Some(path.clone()));
        let config = load(&flags, &environment(&[], None)).unwrap();
        assert_eq!(
            (config.data, config.keys),
            (path.clone(), Some(path.clone()))
        );
        let mut surroundings = environment(&[], None);
        for name in ["INDELIBLE_DATA", "INDELIBLE_KEYS"] {
            surroundings.not_text.insert(name.to_owned(), path.clone());
        }
        let config = load(&global(), &surroundings).unwrap();
        assert_eq!((config.data, config.keys), (path.clone(), Some(path)));
        let source = &config.resolved[0].source;
        assert_eq!(*source, Source::Environment("INDELIBLE_DATA".into()));
        flags.data = Some("/flag".into());
        let config = load(&flags, &surroundings).unwrap();
        assert_eq!(config.data, Path::new("/flag"));
    }

    #[test]
    fn broken_toml_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("indelible.toml");
        fs::write(&file, "data = \"x\"\n[output\n").unwrap();
        let Err(Failure::Usage(text)) = load(&global(), &environment(&[], Some(file))) else {
            panic!("must be refused")
        };
        assert!(text.contains("line 2"), "{text}");
    }

    #[test]
    fn every_default_fits_its_setting() {
        for setting in &SETTINGS {
            if let Some(default) = setting.default {
                assert_eq!(setting.problem(default), None, "{}", setting.key);
            }
        }
    }
}
