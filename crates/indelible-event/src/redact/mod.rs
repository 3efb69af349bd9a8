//! Secrets in events: which keys and values are secret, and what stands in their place.
pub mod secret_key;
