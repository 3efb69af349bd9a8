//! Signatures of tokens (JWS, RFC 7515), checked by the public keys of an issuer (JWK, RFC 7517).
//!
//! Only signatures by public keys: there is no way to write down `none` or a shared secret, so a
//! token cannot choose one. The algorithm is one that the configuration names and that the key is
//! for, so a key is never used in another way than its owner meant. Source: RFC 7518, RFC 8037,
//! RFC 8725. Not here: what a token says, which `super::jwt` reads.

use std::collections::HashMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_api::limits::TOKEN_BYTES_MAX;
use indelible_event::canonical::Json;
use indelible_event::{Problem, ProblemCode};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A key set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 << 10;
/// Keys of a set.
const KEYS_MAX: usize = 200;
/// The name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;
/// The uncompressed form of a point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A way to sign with a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn of_rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

impl FromStr for Algorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        // RFC 9864 has a name for the curve that is meant by `EdDSA` here.
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL
            .into_iter()
            .find(|one| one.name() == name)
            .ok_or(())
    }
}

/// What a public key is.
#[derive(Debug)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A public key of an issuer.
#[derive(Debug)]
struct PublicKey {
    public: Public,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
}

/// The public keys of an issuer, by their names.
#[derive(Debug, Default)]
pub(super) struct KeySet(HashMap<String, PublicKey>);

/// Why a text is no token whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// Whatever is asked for, it is none.
    Never,
    /// It names a key that is not in the set.
    KeyNotThere,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// Reads a key set. Keys that are for something else are passed over, as RFC 7517 §5 asks; of
    /// two with one name the first is taken.
    ///
    /// # Errors
    /// What is wrong with it, without anything of it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(format!(
                "the key set has more than {KEY_SET_BYTES_MAX} bytes"
            ));
        }
        let set: Jwks = serde_json::from_slice(bytes)
            .map_err(|_| "it is no key set: JSON with `keys` is meant (RFC 7517)".to_owned())?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("the key set has more than {KEYS_MAX} keys"));
        }
        let mut keys = HashMap::new();
        for (kid, key) in set.keys.into_iter().filter_map(public_key) {
            keys.entry(kid).or_insert(key);
        }
        if keys.is_empty() {
            return Err("no key of the set is one with a `kid` that signs tokens".to_owned());
        }
        Ok(Self(keys))
    }

    /// What a token says, if its signature is by a key of ours with one of these algorithms.
    pub(super) fn claims(
        &self,
        token: &str,
        allowed: &[Algorithm],
    ) -> Result<Map<String, Value>, Unsigned> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Unsigned::Never);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Unsigned::Never)?;
        let (head, claims) = message.split_once('.').ok_or(Unsigned::Never)?;
        let header: Header = json(head).ok_or(Unsigned::Never)?;
        let algorithm: Algorithm = header.alg.parse().map_err(|()| Unsigned::Never)?;
        let is_fit = allowed.contains(&algorithm)
            && header.crit.is_none()
            && header.typ.as_deref().is_none_or(is_token)
            && header.kid.len() <= KEY_ID_BYTES_MAX;
        if !is_fit {
            return Err(Unsigned::Never);
        }
        let signature = decoded(signature).ok_or(Unsigned::Never)?;
        let key = self.0.get(&header.kid).ok_or(Unsigned::KeyNotThere)?;
        if !key.signed(algorithm, message.as_bytes(), &signature) {
            return Err(Unsigned::Never);
        }
        json(claims).ok_or(Unsigned::Never)
    }
}

impl PublicKey {
    fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.is_some_and(|only| only != algorithm) {
            return false;
        }
        let plain = |way: &'static dyn VerificationAlgorithm, key: &[u8]| {
            let key = UnparsedPublicKey::new(way, key);
            key.verify(message, signature).is_ok()
        };
        match (&self.public, algorithm) {
            (Public::Rsa { n, e }, _) => algorithm.of_rsa().is_some_and(|way| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(way, message, signature).is_ok()
            }),
            (Public::P256(key), Algorithm::Es256) => plain(&ECDSA_P256_SHA256_FIXED, key),
            (Public::P384(key), Algorithm::Es384) => plain(&ECDSA_P384_SHA384_FIXED, key),
            (Public::Ed25519(key), Algorithm::EdDsa) => plain(&ED25519, key),
            _ => false,
        }
    }
}

/// A key of a set with its name; `None` for one that signs no tokens, or not so that we know.
fn public_key(jwk: Value) -> Option<(String, PublicKey)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let is_for_signatures = jwk
        .purpose
        .as_deref()
        .is_none_or(|purpose| purpose == "sig");
    let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
    if !is_for_signatures
        || !jwk.key_ops.as_ref().is_none_or(verifies)
        || jwk.kid.len() > KEY_ID_BYTES_MAX
    {
        return None;
    }
    let algorithm = jwk.alg.as_deref().map(str::parse).transpose().ok()?;
    let member = |text: &Option<String>| text.as_deref().and_then(decoded);
    let point = || Some([vec![UNCOMPRESSED], member(&jwk.x)?, member(&jwk.y)?].concat());
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Public::Rsa {
            n: without_zeros(member(&jwk.n)?),
            e: without_zeros(member(&jwk.e)?),
        },
        ("EC", Some("P-256")) => Public::P256(point()?),
        ("EC", Some("P-384")) => Public::P384(point()?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(member(&jwk.x)?),
        _ => return None,
    };
    Some((jwk.kid, PublicKey { public, algorithm }))
}

/// Whether the type of a token is one that may stand for somebody.
fn is_token(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A part of a token, if nothing in it is said twice: others might take the other of the two
/// (RFC 7519 §4, RFC 8725 §2.8).
fn json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = decoded(text)?;
    let is_twice = |problem: &Problem| problem.code == ProblemCode::DuplicateKey;
    if Json::parse(&bytes).is_err_and(|problems| problems.iter().any(is_twice)) {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}
