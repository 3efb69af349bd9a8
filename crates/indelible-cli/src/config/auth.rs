//! Who else than a key says who somebody is: the settings `auth.*`, read and held against each
//! other. Nothing here fetches anything (`crate::key_set`).

use std::path::PathBuf;
use std::time::Duration;

use indelible_api::Role;
use indelible_server::access::{Algorithm, Names, Network, RoleNames, TrustedProxy};

use crate::exit::{Failure, Result};

const ISSUER: &str = "auth.jwt.issuer";
const AUDIENCE: &str = "auth.jwt.audience";
const KEY_SET: &str = "auth.jwt.jwks";

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetAt {
    /// In this file.
    File(PathBuf),
    /// At this address.
    Url(String),
}

/// An issuer whose tokens are taken.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must have.
    pub audience: String,
    /// Where its keys are.
    pub key_set: KeySetAt,
    /// The algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the tenants.
    pub tenants_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
    /// How roles are called there.
    pub roles: RoleNames,
    /// The claim that has a query.
    pub query_claim: Option<String>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How often the keys are fetched.
    pub refresh: Duration,
}

/// What the configuration says of those who are no keys.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The issuer of tokens, if one is trusted.
    pub jwt: Option<JwtConfig>,
    /// The proxy that is trusted, if there is one.
    pub proxy: Option<TrustedProxy>,
    /// What somebody is called in records.
    pub names: Names,
}

/// Decides; every value was checked, or is its default.
///
/// # Errors
/// [`Failure::Usage`] when of settings that belong together some are missing.
pub fn auth(value: &dyn Fn(&str) -> String) -> Result<AuthConfig> {
    let names = match value("auth.names").as_str() {
        "clear" => Names::Clear,
        _ => Names::Hidden,
    };
    Ok(AuthConfig {
        jwt: jwt(value)?,
        proxy: proxy(value, names)?,
        names,
    })
}

fn jwt(value: &dyn Fn(&str) -> String) -> Result<Option<JwtConfig>> {
    let needed = [ISSUER, AUDIENCE, KEY_SET];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|key| value(key).is_empty())
        .collect();
    if missing.len() == needed.len() {
        return Ok(None);
    }
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return Err(Failure::Usage(format!(
            "{ISSUER}, {AUDIENCE} and {KEY_SET} belong together: {missing} is not set"
        )));
    }
    let seconds = |key: &str| Duration::from_secs(value(key).parse().unwrap_or_default());
    let wrong = |key: &str, why: String| Failure::Usage(format!("{key} {why}"));
    Ok(Some(JwtConfig {
        issuer: value(ISSUER),
        audience: value(AUDIENCE),
        key_set: key_set(&value(KEY_SET)).map_err(|why| wrong(KEY_SET, why))?,
        algorithms: algorithms(&value("auth.jwt.algorithms"))
            .map_err(|why| wrong("auth.jwt.algorithms", why))?,
        tenants_claim: value("auth.jwt.tenants_claim"),
        role_claim: value("auth.jwt.role_claim"),
        roles: roles(&value("auth.jwt.roles")).map_err(|why| wrong("auth.jwt.roles", why))?,
        query_claim: Some(value("auth.jwt.query_claim")).filter(|claim| !claim.is_empty()),
        leeway: seconds("auth.jwt.leeway_s"),
        refresh: seconds("auth.jwt.refresh_s"),
    }))
}

fn proxy(value: &dyn Fn(&str) -> String, names: Names) -> Result<Option<TrustedProxy>> {
    const NETWORKS: &str = "auth.proxy.networks";
    const ROLES: &str = "auth.proxy.roles";
    let text = value(NETWORKS);
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |key: &str, why: String| Failure::Usage(format!("{key} {why}"));
    let proxy = TrustedProxy {
        networks: networks(&text).map_err(|why| wrong(NETWORKS, why))?,
        user_header: value("auth.proxy.user_header"),
        tenants_header: value("auth.proxy.tenants_header"),
        roles_header: value("auth.proxy.roles_header"),
        roles: roles(&value(ROLES)).map_err(|why| wrong(ROLES, why))?,
        names,
    };
    let headers = [
        &proxy.user_header,
        &proxy.tenants_header,
        &proxy.roles_header,
    ];
    let same = |one: &String, other: &String| one.eq_ignore_ascii_case(other);
    let [user, tenants, roles] = headers;
    if same(user, tenants) || same(user, roles) || same(tenants, roles) {
        let text = "the three headers of auth.proxy must have three names";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(Some(proxy))
}

/// Addresses and networks.
///
/// # Errors
/// What is wrong with them.
pub fn networks(value: &str) -> std::result::Result<Vec<Network>, String> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|wrong| format!("has `{text}`, which {wrong}"))
    };
    let found: Vec<_> = list(value)
        .map(parse)
        .collect::<std::result::Result<_, _>>()?;
    if found.is_empty() {
        return Err("names no address".to_owned());
    }
    Ok(found)
}

/// The name of a header that may say who somebody is.
///
/// # Errors
/// What is wrong with it.
pub fn header(value: &str) -> std::result::Result<(), String> {
    let name: http::HeaderName = value
        .parse()
        .map_err(|_| format!("is `{value}`, which is no name of a header"))?;
    let ours = [http::header::AUTHORIZATION, http::header::HOST];
    if ours.contains(&name) {
        return Err(format!("is `{value}`, which says something else already"));
    }
    Ok(())
}

/// Origins of pages, each as a browser says it.
///
/// # Errors
/// What is wrong with them.
pub fn origins(value: &str) -> std::result::Result<Vec<String>, String> {
    let parse = |text: &str| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
        let is_one = rest.is_some_and(|host| !host.is_empty() && host.chars().all(plain));
        let wrong = || format!("has `{text}`, which is no origin like https://audit.example.com");
        is_one.then(|| text.to_owned()).ok_or_else(wrong)
    };
    list(value).map(parse).collect()
}

/// The words of a list, which commas part.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// Where a key set is; over plain HTTP only on this machine, since whoever stands between could
/// give keys of his own.
///
/// # Errors
/// What is wrong with it.
pub fn key_set(value: &str) -> std::result::Result<KeySetAt, String> {
    let Some((scheme, rest)) = value.split_once("://") else {
        let path = PathBuf::from(value);
        return if value.is_empty() {
            Err("is empty".to_owned())
        } else {
            Ok(KeySetAt::File(path))
        };
    };
    let uri: http::Uri = value
        .parse()
        .map_err(|_| "is no address, like https://id.example.com/jwks".to_owned())?;
    if rest.contains('@') {
        return Err("has a user or a password, and a key set is public".to_owned());
    }
    let host = uri.host().unwrap_or_default();
    let is_here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match scheme {
        "https" => Ok(KeySetAt::Url(value.to_owned())),
        "http" if is_here => Ok(KeySetAt::Url(value.to_owned())),
        "http" => Err(
            "must be https, but on this machine: whoever stands between could give \
                       keys of his own"
                .to_owned(),
        ),
        _ => Err("must be https://…, or the path of a file".to_owned()),
    }
}

/// Algorithms by their names.
///
/// # Errors
/// What is wrong with them.
pub fn algorithms(value: &str) -> std::result::Result<Vec<Algorithm>, String> {
    let known = || Algorithm::ALL.map(Algorithm::name).join(", ");
    let parse = |name: &str| {
        let what = || format!("has `{name}`, which is none of {}", known());
        name.parse().map_err(|()| what())
    };
    let found: Vec<_> = list(value)
        .map(parse)
        .collect::<std::result::Result<_, _>>()?;
    if found.is_empty() {
        return Err(format!("is empty; say some of {}", known()));
    }
    Ok(found)
}

/// Roles by what they are called elsewhere: `audit-readers=reader, audit-admins=admin`.
///
/// # Errors
/// What is wrong with them.
pub fn roles(value: &str) -> std::result::Result<RoleNames, String> {
    let pair = |pair: &str| {
        let (theirs, ours) = pair.rsplit_once('=')?;
        let role = Role::ALL
            .into_iter()
            .find(|role| role.word() == ours.trim());
        let theirs = theirs.trim();
        (!theirs.is_empty()).then_some((theirs.to_owned(), role?))
    };
    let ours = || Role::ALL.map(Role::word).join(", ");
    list(value)
        .map(|text| {
            let what = || {
                format!(
                    "has `{text}`, and must be THEIRS=OURS, ours one of {}",
                    ours()
                )
            };
            pair(text).ok_or_else(what)
        })
        .collect::<std::result::Result<_, _>>()
        .map(RoleNames)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_key_set_is_fetched_over_tls_or_on_this_machine() {
        for url in [
            "https://id.example.com/k",
            "http://127.0.0.1:1/k",
            "http://[::1]/k",
        ] {
            assert_eq!(key_set(url), Ok(KeySetAt::Url(url.to_owned())));
        }
        assert_eq!(
            key_set("./keys.json"),
            Ok(KeySetAt::File("./keys.json".into()))
        );
        for wrong in [
            "",
            "http://id.example.com/k",
            "http://localhost.example.com/k",
            "https://u:p@id.example.com/k",
            "ftp://id.example.com/k",
            "https://",
        ] {
            assert!(key_set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_are_read_and_what_is_none_of_them_is_named() {
        let found = algorithms("RS256, EdDSA,").unwrap();
        assert_eq!(found, [Algorithm::Rs256, Algorithm::EdDsa]);
        for wrong in ["", ",", "none", "HS256", "RS256,HS256", "rs256"] {
            assert!(algorithms(wrong).is_err(), "{wrong}");
        }
        let found = roles("a=b=reader, ops = admin").unwrap();
        let expected = [
            ("a=b".to_owned(), Role::Reader),
            ("ops".to_owned(), Role::Admin),
        ];
        assert_eq!(found.0, expected);
        assert_eq!(roles(""), Ok(RoleNames::default()));
        for wrong in ["reader", "x=", "=reader", "x=root"] {
            assert!(roles(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proxies_have_addresses_and_headers_of_their_own() {
        assert_eq!(networks("10.0.0.7, fd00::/8").map(|all| all.len()), Ok(2));
        for wrong in ["", ",", "proxy.internal", "10.0.0.1/8", "10.0.0.0/8;::1"] {
            assert!(networks(wrong).is_err(), "{wrong}");
        }
        assert_eq!(header("X-Forwarded-User"), Ok(()));
        for wrong in ["", "x y", "authorization", "Host"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
        let one = |key: &str| match key {
            "auth.proxy.networks" => "::1".to_owned(),
            _ if key.starts_with("auth.proxy") => "x-user".to_owned(),
            _ => String::new(),
        };
        let same = |key: &str| {
            if key == "auth.proxy.roles" {
                String::new()
            } else {
                one(key)
            }
        };
        assert!(auth(&same).is_err(), "one header cannot say two things");
    }

    #[test]
    fn an_origin_is_as_a_browser_says_it() {
        let found = origins("https://a.example.com, http://localhost:3000").unwrap();
        assert_eq!(found, ["https://a.example.com", "http://localhost:3000"]);
        for wrong in [
            "*",
            "null",
            "https://",
            "a.example.com",
            "https://a.example.com/",
            "https://A",
        ] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_belongs_together_is_said_together() {
        let of = |set: &'static [(&str, &str)]| {
            auth(&move |key| {
                let found = set.iter().find(|(name, _)| *name == key);
                let default = crate::config::SETTINGS.iter().find(|s| s.key == key);
                let default = default.and_then(|setting| setting.default);
                let value = found.map(|(_, value)| *value).or(default);
                value.unwrap_or_default().to_owned()
            })
        };
        assert!(of(&[]).unwrap().jwt.is_none());
        let whole = of(&[(ISSUER, "i"), (AUDIENCE, "a"), (KEY_SET, "k.json")]);
        assert_eq!(whole.unwrap().jwt.unwrap().leeway, Duration::from_mins(1));
        match of(&[(ISSUER, "i"), (KEY_SET, "k.json")]) {
            Err(Failure::Usage(text)) => assert!(text.ends_with("auth.jwt.audience is not set")),
            other => panic!("{other:?}"),
        }
    }
}
