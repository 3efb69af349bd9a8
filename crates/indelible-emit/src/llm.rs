//! What a language model was asked, as far as an audit needs it: names, figures and hashes.
//!
//! Not here: prompts and answers themselves.

use std::time::Duration;

use indelible_event::Event;
use indelible_event::canonical::Number;
use indelible_event::event::Ai;

/// A call of a language model; it stands in the event under `ai`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LlmContext {
    provider: String,
    model_id: String,
    tier: Option<String>,
    tokens: Option<[u64; 2]>,
    cache_tokens: Option<[u64; 2]>,
    cost_usd: Option<f64>,
    latency_ms: Option<f64>,
    prompt_hash: Option<String>,
    response_hash: Option<String>,
}

impl LlmContext {
    /// A call of a provider's model.
    pub fn new(provider: impl Into<String>, model_id: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            model_id: model_id.into(),
            ..Self::default()
        }
    }

    /// The same call in a tier, such as `tier_1`.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// The same call with the tokens that went in and came out.
    #[must_use]
    pub fn tokens(mut self, input: u64, output: u64) -> Self {
        self.tokens = Some([input, output]);
        self
    }

    /// The same call with the tokens that were read from a cache and written to it.
    #[must_use]
    pub fn cache_tokens(mut self, read: u64, write: u64) -> Self {
        self.cache_tokens = Some([read, write]);
        self
    }

    /// The same call with its price in US dollars; a price that is no number is left out.
    #[must_use]
    pub fn cost_usd(mut self, cost: f64) -> Self {
        self.cost_usd = Some(cost);
        self
    }

    /// The same call with how long it took.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency_ms = Some(latency.as_secs_f64() * 1e3);
        self
    }

    /// The same call with the hash of its system prompt.
    #[must_use]
    pub fn prompt_hash(mut self, hash: impl Into<String>) -> Self {
        self.prompt_hash = Some(hash.into());
        self
    }

    /// The same call with the hash of its raw answer.
    #[must_use]
    pub fn response_hash(mut self, hash: impl Into<String>) -> Self {
        self.response_hash = Some(hash.into());
        self
    }

    pub(crate) fn weight(&self) -> usize {
        let texts = [&self.tier, &self.prompt_hash, &self.response_hash];
        let texts = texts.into_iter().flatten().map(String::len);
        let names = self.provider.len() + self.model_id.len();
        size_of::<Self>() + names + texts.sum::<usize>()
    }

    /// Puts each part in its place.
    pub(crate) fn tell(self, event: &mut Event) {
        let count = |tokens: u64| Number::parse(&tokens.to_string());
        let ai: &mut Ai = event.ai.get_or_insert_default();
        ai.provider = Some(self.provider);
        ai.model = Some(self.model_id);
        ai.tier = self.tier.or(ai.tier.take());
        if let Some([input, output]) = self.tokens {
            ai.prompt_tokens = count(input);
            ai.completion_tokens = count(output);
        }
        if let Some([read, write]) = self.cache_tokens {
            ai.cache_read_tokens = count(read);
            ai.cache_write_tokens = count(write);
        }
        if let Some(cost) = self.cost_usd.and_then(Number::from_f64) {
            ai.cost_usd = Some(cost);
        }
        if let Some(latency) = self.latency_ms.and_then(Number::from_f64) {
            ai.latency_ms = Some(latency);
        }
        let hashes = [
            ("system_prompt_hash", self.prompt_hash),
            ("raw_response_hash", self.response_hash),
        ];
        for (key, hash) in hashes {
            if let Some(hash) = hash {
                ai.more.insert(key, hash);
            }
        }
    }
}
