use crate::engine::Engine;
use ojs_model::error::{Error, Result};
use ojs_model::limit::{LimitKey, LimitState, Override};

/// A page of rate limits by key.
#[derive(Debug, Clone)]
pub struct LimitPage {
    /// Keys and their states.
    pub limits: Vec<(String, LimitState)>,
    /// The key after which the next page starts; `None` on the last.
    pub next: Option<String>,
}

impl Engine {
    /// The state of a rate limit's key (rate limiting section 10.1): one strongly consistent read.
    ///
    /// # Errors
    /// `not_found` for a key under which nothing has happened lately; the AWS error.
    pub async fn get_limit(&self, key: &LimitKey) -> Result<LimitState> {
        let state = self.store.get_limit(key.as_str()).await?;
        state.ok_or_else(|| Error::not_found("rate limit", key.as_str()))
    }

    /// Keys with their states (rate limiting section 10.3): one query per shard of the listing index and one read per 100
    /// states.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_limits(&self, after: Option<&str>, limit: usize) -> Result<LimitPage> {
        let (limits, next) = self.store.list_limits(after, limit).await?;
        Ok(LimitPage { limits, next })
    }

    /// Overrides a key's limits for a while, or with `None` no longer (rate limiting section 10.2); in force on every
    /// instance within a second.
    ///
    /// # Errors
    /// The AWS error; it may be in force. A repetition does no harm.
    pub async fn set_limit_override(&self, key: &LimitKey, over: Option<Override>) -> Result<LimitState> {
        let state = self.override_limit(key.as_str(), over).await?;
        tracing::info!(key = key.as_str(), overridden = over.is_some(), "rate limit changed");
        Ok(state)
    }
}
