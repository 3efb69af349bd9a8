//! An issuer of tokens in this process: its keys, its tokens, and how it answers when asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_server::access::{Algorithm, Names, RoleNames, TrustedIssuer};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256,
};
use serde_json::{Value, json};

pub const NAME: &str = "https://id.example.com/";
/// For tests alone: made by `openssl genpkey`, and nobody's.
const RSA_KEY: &[u8] = include_bytes!("rsa_key.der");

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key.
pub enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Pair {
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(RSA_KEY).unwrap())
    }

    pub fn ec() -> Self {
        let (way, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(way, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(way, key.as_ref(), &random).unwrap())
    }

    pub fn ed() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    /// The public key as an issuer shows it.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encoded(n), "e": encoded(e)})
            }
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (encoded(x), encoded(y));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
            }
            Self::Ed(pair) => {
                let x = encoded(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
            }
        }
    }

    /// The algorithm that is used when none is named.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// A token with this header and these claims, signed as the header says, or as the key can.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same, letter by letter.
    pub fn sign_text(&self, head: &str, claims: &str) -> String {
        let header: Value = serde_json::from_str(head).unwrap();
        let message = format!("{}.{}", encoded(head), encoded(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let way: &dyn ring::signature::RsaEncoding = match header["alg"].as_str() {
                    Some("PS256") => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(way, &random, message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(pair) => pair
                .sign(&random, message.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encoded(signature))
    }

    /// A token by this key under this name.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "kid": kid, "typ": "JWT"});
        self.sign(&header, claims)
    }
}

/// Claims of a token that is good for an hour, with these changed; null takes one away.
pub fn claims(change: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut claims = json!({
        "iss": NAME,
        "aud": "indelible",
        "sub": "dana.geheim@example.com",
        "iat": now.as_secs(),
        "exp": now.as_secs() + 3_600,
        "tenants": ["acme"],
        "roles": ["reader"],
        "query": "*",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

/// What the issuer answers when it is asked for its keys.
#[derive(Clone, Default)]
pub struct Issuer {
    keys: Arc<Mutex<Vec<Value>>>,
    /// Asked so often.
    pub asked: Arc<AtomicU64>,
    /// Whether it does not answer well.
    pub away: Arc<Mutex<bool>>,
    /// Held while it is not to answer at all.
    pub busy: Arc<Mutex<()>>,
}

impl Issuer {
    pub fn of(keys: &[Value]) -> Self {
        let issuer = Self::default();
        issuer.shows(keys);
        issuer
    }

    /// From now on it has these keys.
    pub fn shows(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = keys.to_vec();
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn answer(&self) -> Result<Vec<u8>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        drop(self.busy.lock().unwrap());
        if *self.away.lock().unwrap() {
            return Err("away".to_owned());
        }
        let keys = self.keys.lock().unwrap().clone();
        Ok(json!({"keys": keys}).to_string().into_bytes())
    }

    pub fn trusted(&self) -> TrustedIssuer {
        let issuer = self.clone();
        TrustedIssuer {
            issuer: NAME.to_owned(),
            audience: "indelible".to_owned(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            tenants_claim: "tenants".to_owned(),
            role_claim: "roles".to_owned(),
            roles: RoleNames::default(),
            query_claim: Some("query".to_owned()),
            leeway: Duration::from_secs(30),
            refresh: Duration::from_hours(1),
            names: Names::Hidden,
            fetch: Arc::new(move || issuer.answer()),
        }
    }
}
