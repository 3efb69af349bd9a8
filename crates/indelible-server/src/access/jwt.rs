//! Who a token of a trusted issuer stands for (JWT, RFC 7519), by the rules of the configuration.
//!
//! What it says is checked as what a key is made with: a token can be nothing that no key can be.
//! Why a token is not taken is told to who has one that the issuer signed, and to nobody else. Not
//! here: signatures (`super::jws`), and where the issuer's keys come from (`super::issuer`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use indelible_api::{CreateKey, Role};
use indelible_event::ids::Micros;
use serde_json::{Map, Value};

use super::NotInForce;
use super::jws::Algorithm;
use super::named::{Claimed, Names, SUBJECT_BYTES_MAX, of_names};
use super::principal::{Principal, Who};

/// Stands for no query where a claim has one; as a query it would be wrong.
const ALL_RECORDS: &str = "*";
const MICROS: i64 = 1_000_000;
/// The last second that a moment can have here.
const SECONDS_MAX: i64 = Micros::MAX.0 / MICROS;

/// How roles are called elsewhere; what is not named there is no role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleNames(pub Vec<(String, Role)>);

impl RoleNames {
    /// The role that has this name; without any mapping, the names are ours.
    fn role(&self, name: &str) -> Option<Role> {
        if self.0.is_empty() {
            return Role::ALL.into_iter().find(|role| role.word() == name);
        }
        let found = self.0.iter().find(|(theirs, _)| theirs == name);
        found.map(|(_, role)| *role)
    }

    /// The one role that all of these come to: the greatest of those who read, and no mixture of
    /// reading and sending but an admin's.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn of(&self, names: &[String]) -> Result<Role, &'static str> {
        let roles: Vec<Role> = names.iter().filter_map(|name| self.role(name)).collect();
        let greatest = Role::ALL.into_iter().rfind(|role| roles.contains(role));
        let role = greatest.ok_or("no role that this server knows")?;
        if !role.may_emit() && roles.contains(&Role::Emitter) {
            return Err("both the role emitter and one that reads: no role is both but admin");
        }
        Ok(role)
    }
}

/// An issuer whose tokens are taken.
#[derive(Clone)]
pub struct TrustedIssuer {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must have.
    pub audience: String,
    /// The algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the tenants; `"*"` for all.
    pub tenants_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
    /// How roles are called there.
    pub roles: RoleNames,
    /// The claim that has a query of the bearer's own, if tokens have one: then a reader's must.
    pub query_claim: Option<String>,
    /// How far its clock and ours may be apart.
    pub leeway: Duration,
    /// How often its keys are fetched when nothing is missing.
    pub refresh: Duration,
    /// What a subject is called in records.
    pub names: Names,
    /// Fetches the key set (RFC 7517), and says what was wrong. It may wait, and has an end.
    pub fetch: Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>,
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedIssuer")
    }
}

impl TrustedIssuer {
    /// Who the claims of a token make somebody; its signature is known to hold. `name` gives what
    /// a subject is called.
    ///
    /// # Errors
    /// Why nobody.
    pub(super) fn principal(
        &self,
        claims: &Map<String, Value>,
        now: Micros,
        name: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Principal, NotInForce> {
        self.in_force(claims, now)?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(unfit("is of another issuer (`iss`)"));
        }
        let audience = claims.get("aud").map(words_whole);
        let is_ours = |names: &Vec<String>| names.contains(&self.audience);
        if !audience.flatten().as_ref().is_some_and(is_ours) {
            return Err(unfit("is for another audience (`aud`)"));
        }
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject
            .filter(|text| (1..=SUBJECT_BYTES_MAX).contains(&text.len()))
            .ok_or_else(|| unfit("has no subject (`sub`) of 1 to 256 bytes"))?;
        let role = names_of(claims, &self.role_claim, words)?;
        let role = self.roles.of(&role).map_err(|why| {
            let claim = &self.role_claim;
            unfit(&format!("has in the claim `{claim}` {why}"))
        })?;
        let tenants = names_of(claims, &self.tenants_claim, words_whole)?;
        let claimed = Claimed {
            who: Who::Token(name(subject).ok_or(NotInForce::Unknown)?.into()),
            wanted: CreateKey {
                role,
                tenants: of_names(tenants),
                name: None,
                query: self.query(claims, role)?,
                expires: None,
                limits: None,
            },
        };
        claimed
            .principal(now)
            .map_err(|why| unfit(&format!("is not taken: {why}")))
    }

    /// Refuses a token whose time is over or has not come; each end is moved by the leeway.
    fn in_force(&self, claims: &Map<String, Value>, now: Micros) -> Result<(), NotInForce> {
        let leeway = i64::try_from(self.leeway.as_micros()).unwrap_or(i64::MAX);
        let moment = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => match seconds(value) {
                Some(seconds) => Ok(Some(Micros(seconds * MICROS))),
                None => Err(unfit(&format!("has no time in `{name}`"))),
            },
        };
        let end = moment("exp")?.ok_or_else(|| unfit("has no end (`exp`)"))?;
        if end.0.saturating_add(leeway) <= now.0 {
            return Err(NotInForce::Expired(end.to_rfc3339()));
        }
        for name in ["nbf", "iat"] {
            if moment(name)?.is_some_and(|start| start.0.saturating_sub(leeway) > now.0) {
                return Err(unfit(&format!("is not in force yet (`{name}`)")));
            }
        }
        Ok(())
    }

    /// What narrows the token, where tokens are narrowed: a reader's that does not say by what is
    /// nobody, since who forgot it would read all.
    fn query(&self, claims: &Map<String, Value>, role: Role) -> Result<Option<String>, NotInForce> {
        let Some(claim) = &self.query_claim else {
            return Ok(None);
        };
        match found(claims, claim) {
            None if role != Role::Reader => Ok(None),
            None => Err(unfit(&format!(
                "has no query in `{claim}`, which a reader's has: `{ALL_RECORDS}` for all records"
            ))),
            Some(Value::String(query)) => {
                Ok(Some(query.clone()).filter(|query| query != ALL_RECORDS))
            }
            Some(_) => Err(unfit(&format!("has a query that is no text in `{claim}`"))),
        }
    }
}

/// The names in a claim, read in this way.
fn names_of(
    claims: &Map<String, Value>,
    claim: &str,
    read: fn(&Value) -> Option<Vec<String>>,
) -> Result<Vec<String>, NotInForce> {
    let names = found(claims, claim).and_then(read);
    names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| unfit(&format!("has no text, and no list of texts, in `{claim}`")))
}

fn unfit(what: &str) -> NotInForce {
    NotInForce::Unfit(format!("the token {what}"))
}

/// The claim of this name, else what this path with dots leads to.
fn found<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    found(claims.get(first)?.as_object()?, rest)
}

/// A text, or each text of a list.
fn words_whole(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(all) => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// As [`words_whole`]; one text is words with blanks between them, as scopes are (RFC 6749 §3.3).
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(text.split_ascii_whitespace().map(str::to_owned).collect()),
        other => words_whole(other),
    }
}

/// Whole seconds of a time, which may have a fraction (RFC 7519 §2).
fn seconds(value: &Value) -> Option<i64> {
    let text = value.as_number()?.to_string();
    let whole = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    let is_plain = !text.contains(['e', 'E']);
    let seconds = is_plain.then(|| whole.parse().ok()).flatten();
    seconds.filter(|seconds| (0..=SECONDS_MAX).contains(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    const NOW: Micros = Micros(1_770_000_000_000_000);
    const NOW_S: i64 = NOW.0 / MICROS;

    fn trusted() -> TrustedIssuer {
        TrustedIssuer {
            issuer: "https://id.example.com/".to_owned(),
            audience: "indelible".to_owned(),
            algorithms: vec![Algorithm::Es256],
            tenants_claim: "tenants".to_owned(),
            role_claim: "realm_access.roles".to_owned(),
            roles: RoleNames::default(),
            query_claim: Some("https://example.com/query".to_owned()),
            leeway: Duration::from_mins(1),
            refresh: Duration::from_mins(5),
            names: Names::Hidden,
            fetch: Arc::new(|| Err("never".to_owned())),
        }
    }

    fn claims(change: &Value) -> Map<String, Value> {
        let mut claims = json!({
            "iss": "https://id.example.com/",
            "aud": ["other", "indelible"],
            "sub": "u-1",
            "exp": NOW_S + 300,
            "tenants": ["acme"],
            "realm_access": {"roles": ["offline_access", "reader"]},
            "https://example.com/query": "*",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn taken(change: &Value) -> Result<Principal, NotInForce> {
        trusted().principal(&claims(change), NOW, |subject| Some(subject.to_owned()))
    }

    #[test]
    fn a_token_is_bound_as_a_key_is() {
        let found = taken(&json!({"https://example.com/query": "type:a.b"})).unwrap();
        assert_eq!(found.role(), Role::Reader);
        assert_eq!(found.submitter().unwrap(), "jwt:u-1");
        assert_eq!(found.only_tenant().unwrap().as_str(), "acme");
        assert_eq!(found.queries().collect::<Vec<_>>(), ["type:a.b"]);
        let admin = json!({"tenants": "*", "realm_access": {"roles": "reader admin"}});
        assert!(taken(&admin).unwrap().sees_all());
        // Nobody but a reader can have a query; `*` says that there is none.
        let query = "https://example.com/query";
        for role in ["emitter", "auditor"] {
            taken(&json!({"realm_access": {"roles": role}, query: null})).unwrap();
        }
        assert!(!taken(&json!({})).unwrap().is_narrowed());
        for (refused, why) in [
            (json!({"realm_access": {"roles": ["admin"]}}), "all tenants"),
            (json!({"realm_access": {"roles": []}}), "no text"),
            (json!({"realm_access": {"roles": ["x"]}}), "no role"),
            (json!({"realm_access": {"roles": [["reader"]]}}), "no text"),
            (json!({"realm_access": {"roles": "reader emitter"}}), "both"),
            (json!({"realm_access": null}), "no text"),
            (json!({"tenants": null}), "no text"),
            (json!({"tenants": []}), "no text"),
            (json!({"tenants": ["*", "acme"]}), "`*`"),
            (json!({"tenants": ["_system"]}), "own logs"),
            (json!({"tenants": 7}), "no text"),
            (
                json!({"https://example.com/query": null}),
                "no query in `https://example.com/query`",
            ),
            (json!({"https://example.com/query": ""}), "1 to 4096 bytes"),
            (json!({"https://example.com/query": "type:"}), "query"),
            (json!({"https://example.com/query": ["a"]}), "no text"),
            (json!({"sub": null}), "subject"),
            (json!({"sub": ""}), "subject"),
            (json!({"sub": "x".repeat(257)}), "subject"),
            (json!({"sub": 7}), "subject"),
            (json!({"iss": "https://id.example.com"}), "issuer"),
            (json!({"iss": null}), "issuer"),
            (json!({"iss": ["https://id.example.com/"]}), "issuer"),
            (json!({"aud": "other"}), "audience"),
            (json!({"aud": null}), "audience"),
            (json!({"aud": ["indelible", 7]}), "audience"),
        ] {
            match taken(&refused) {
                Err(NotInForce::Unfit(text)) => assert!(text.contains(why), "{refused}: {text}"),
                other => panic!("{refused}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_token_has_an_end_and_clocks_may_be_apart_so_far_and_no_further() {
        for (change, is_taken) in [
            (json!({"exp": NOW_S - 59}), true),
            (json!({"exp": NOW_S - 60}), false),
            (json!({"exp": null}), false),
            (json!({"exp": "2999-01-01"}), false),
            (json!({"exp": -1}), false),
            (json!({"exp": 1e300}), false),
            (json!({"exp": i64::MAX}), false),
            (json!({"exp": u64::MAX}), false),
            (json!({"exp": 1_770_000_300.5}), true),
            (json!({"nbf": NOW_S + 60}), true),
            (json!({"nbf": NOW_S + 61}), false),
            (json!({"nbf": "now"}), false),
            (json!({"iat": NOW_S + 60}), true),
            (json!({"iat": NOW_S + 61}), false),
        ] {
            assert_eq!(taken(&change).is_ok(), is_taken, "{change}");
        }
        let over = taken(&json!({"exp": NOW_S - 60})).unwrap_err();
        assert!(matches!(over, NotInForce::Expired(_)), "{over:?}");
    }

    #[test]
    fn roles_are_called_as_the_configuration_says() {
        let names = RoleNames(vec![
            ("audit-read".to_owned(), Role::Reader),
            ("audit-all".to_owned(), Role::Auditor),
        ]);
        let of =
            |words: &[&str]| names.of(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["x", "audit-read"]), Ok(Role::Reader));
        assert_eq!(of(&["audit-all", "audit-read"]), Ok(Role::Auditor));
        assert!(
            of(&["admin", "reader"]).is_err(),
            "our words are not theirs"
        );
    }
}
