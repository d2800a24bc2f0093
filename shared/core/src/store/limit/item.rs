//! The state of a rate limit's key as an item, written whole with compare and swap.

use super::attributes as limit;
use crate::store::dynamo::attributes::{Attribute, Item, b, get_n, get_s, get_u64, n, s};
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::json::{Fields, raw};
use ojs_model::limit::{LimitState, Limits, Override, Parking};

/// How long a state is kept after it has ceased to matter, s: clocks differ.
const KEPT_S: i64 = 3_600;

/// How a write of a state ended.
#[derive(Debug)]
pub enum LimitWritten {
    /// Written.
    Done,
    /// Another call was faster: the state as it is, if there is any.
    Refused(Option<Box<LimitState>>),
}

impl Store {
    /// Reads the state of a key, strongly consistent.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_limit(&self, key: &str) -> Result<Option<LimitState>> {
        self.get_item(keys::limit(key)).await?.map(|item| state_of(&item)).transpose()
    }

    /// Writes the state of a key if it still is `old` (`None`: there is none). `nonce` marks this call, so that an SDK retry
    /// of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn put_limit(
        &self,
        key: &str,
        old: Option<&LimitState>,
        new: &LimitState,
        nonce: u64,
        now_ms: i64,
    ) -> Result<LimitWritten> {
        let unchanged = old.map_or_else(item_is_absent, |old| limit::VERSION.is(old.version));
        let item = item_of(key, new, nonce, now_ms, self.shards)?;
        match PutItem::new(item).when(unchanged).showing_refused().put(self).await? {
            Written::Done(_) => Ok(LimitWritten::Done),
            Written::Refused(None) => Ok(LimitWritten::Refused(None)),
            Written::Refused(Some(item)) if get_u64(&item, limit::NONCE) == Some(nonce) => Ok(LimitWritten::Done),
            Written::Refused(Some(item)) => Ok(LimitWritten::Refused(Some(Box::new(state_of(&item)?)))),
        }
    }
}

fn item_of(key: &str, state: &LimitState, nonce: u64, now_ms: i64, shards: u32) -> Result<Item> {
    let mut item = keys::limit(key);
    let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
    put(limit::LISTING_PARTITION, s(keys::limits(keys::limit_list_shard(key))));
    put(limit::LISTING_SORT, b(key));
    put(limit::VERSION, n(state.version));
    put(limit::NONCE, n(nonce));
    put(limit::LIMITS, s(serde_json::to_string(&state.limits).map_err(Error::internal)?));
    for (name, at) in [
        (limit::WINDOW_START, state.window_start_ms),
        (limit::LAST_START, state.last_start_ms),
        (limit::BLOCKED_UNTIL, state.blocked_until_ms),
    ] {
        if let Some(at) = at {
            put(name, n(at));
        }
    }
    if state.window_count > 0 {
        put(limit::WINDOW_COUNT, n(state.window_count));
    }
    if !state.holders.is_empty() {
        put(limit::HOLDERS, s(serde_json::to_string(&state.holders).map_err(Error::internal)?));
    }
    if let Some(over) = &state.override_ {
        put(limit::OVERRIDE, s(serde_json::to_string(&over.limits).map_err(Error::internal)?));
        if let Some(at) = over.expires_at {
            put(limit::OVERRIDE_UNTIL, n(at));
        }
    }
    if let Some(parking) = state.parking {
        put(limit::PARKED_AT, n(parking.noted_at_ms));
        put(limit::DUE_PARTITION, s(keys::unfinished(keys::limit_shard(key, shards))));
        put(limit::DUE_SORT, n(parking.look_at_ms));
    }
    let idle_at = state.idle_at_ms();
    if idle_at < i64::MAX {
        // DynamoDB takes a time of years ago for a mistake.
        put(limit::TTL, n(idle_at.max(now_ms) / 1_000 + KEPT_S));
    }
    Ok(item)
}

pub(in crate::store) fn state_of(item: &Item) -> Result<LimitState> {
    let broken = |attribute: Attribute| {
        let name = attribute.name();
        Error::internal(format_args!("a rate limit's attribute '{name}' is missing or unreadable"))
    };
    let text = |attribute: Attribute| get_s(item, attribute);
    let limits = |attribute: Attribute| -> Result<Option<Limits>> {
        let Some(text) = text(attribute) else { return Ok(None) };
        let mut fields = Fields::from_member(attribute.name(), &raw(text.clone())?)?;
        Limits::take(&mut fields).map(Some).map_err(|_| broken(attribute))
    };
    let holders = match text(limit::HOLDERS) {
        Some(text) => serde_json::from_str(text).map_err(|_| broken(limit::HOLDERS))?,
        None => Default::default(),
    };
    Ok(LimitState {
        version: get_u64(item, limit::VERSION).ok_or_else(|| broken(limit::VERSION))?,
        limits: limits(limit::LIMITS)?.unwrap_or_default(),
        window_start_ms: get_n(item, limit::WINDOW_START),
        window_count: get_n(item, limit::WINDOW_COUNT).and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        last_start_ms: get_n(item, limit::LAST_START),
        holders,
        blocked_until_ms: get_n(item, limit::BLOCKED_UNTIL),
        override_: limits(limit::OVERRIDE)?
            .map(|limits| Override { limits, expires_at: get_n(item, limit::OVERRIDE_UNTIL) }),
        parking: get_n(item, limit::PARKED_AT).map(|noted_at_ms| Parking {
            noted_at_ms,
            look_at_ms: get_n(item, limit::DUE_SORT).unwrap_or(noted_at_ms),
        }),
    })
}
