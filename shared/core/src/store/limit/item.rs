//! The state of a rate limit's key as an item, written whole with compare and swap.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `v` | version | | `nc` | nonce of the last write |
//! | `li` `ov` | limits last applied, override: JSON | | `ho` | jobs that hold a slot: JSON |
//! | `ws` `wc` | window: start, ms, and starts in it | | `ls` `bl` | last start, blocked until, ms |
//! | `pn` | when jobs were noted as parked, ms | | `dup` `dus` | due index: when a tick is to look at these |
//! | `ttl` | when it matters no more, s | | `lp` | listing index; never changes, so that a start writes nothing there |

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures::FutureExt;

use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{Item, b, get_n, get_u64, n, s};
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
    /// Somebody else was faster: the state as it is, if there is any.
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
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(key, new, nonce, now_ms, self.shards)?))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match old {
            Some(old) => put.condition_expression("v = :old").expression_attribute_values(":old", n(old.version)),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        let failure = match put.send().boxed().await {
            Ok(_) => return Ok(LimitWritten::Done),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let PutItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            let Some(item) = &refused.item else { return Ok(LimitWritten::Refused(None)) };
            if get_u64(item, "nc") == Some(nonce) {
                return Ok(LimitWritten::Done);
            }
            return Ok(LimitWritten::Refused(Some(Box::new(state_of(item)?))));
        }
        Err(service_error(Service::DynamoDb, "PutItem", &failure))
    }
}

fn item_of(key: &str, state: &LimitState, nonce: u64, now_ms: i64, shards: u32) -> Result<Item> {
    let mut item = keys::limit(key);
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("lp", s(keys::limits(keys::limit_list_shard(key))));
    put("lo", b(key));
    put("v", n(state.version));
    put("nc", n(nonce));
    put("li", s(serde_json::to_string(&state.limits).map_err(Error::internal)?));
    for (name, at) in [("ws", state.window_start_ms), ("ls", state.last_start_ms), ("bl", state.blocked_until_ms)] {
        if let Some(at) = at {
            put(name, n(at));
        }
    }
    if state.window_count > 0 {
        put("wc", n(state.window_count));
    }
    if !state.holders.is_empty() {
        put("ho", s(serde_json::to_string(&state.holders).map_err(Error::internal)?));
    }
    if let Some(over) = &state.override_ {
        put("ov", s(serde_json::to_string(&over.limits).map_err(Error::internal)?));
        if let Some(at) = over.expires_at {
            put("ox", n(at));
        }
    }
    if let Some(parking) = state.parking {
        put("pn", n(parking.noted_at_ms));
        put("dup", s(keys::unfinished(keys::limit_shard(key, shards))));
        put("dus", n(parking.look_at_ms));
    }
    let idle_at = state.idle_at_ms();
    if idle_at < i64::MAX {
        // DynamoDB takes a time of years ago for a mistake.
        put("ttl", n(idle_at.max(now_ms) / 1_000 + KEPT_S));
    }
    Ok(item)
}

pub(in crate::store) fn state_of(item: &Item) -> Result<LimitState> {
    let broken =
        |name: &str| Error::internal(format_args!("a rate limit's attribute '{name}' is missing or unreadable"));
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let limits = |name: &str| -> Result<Option<Limits>> {
        let Some(text) = text(name) else { return Ok(None) };
        let mut fields = Fields::from_member(name, &raw(text.clone())?)?;
        Limits::take(&mut fields).map(Some).map_err(|_| broken(name))
    };
    let holders = match text("ho") {
        Some(text) => serde_json::from_str(text).map_err(|_| broken("ho"))?,
        None => Default::default(),
    };
    Ok(LimitState {
        version: get_u64(item, "v").ok_or_else(|| broken("v"))?,
        limits: limits("li")?.unwrap_or_default(),
        window_start_ms: get_n(item, "ws"),
        window_count: get_n(item, "wc").and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        last_start_ms: get_n(item, "ls"),
        holders,
        blocked_until_ms: get_n(item, "bl"),
        override_: limits("ov")?.map(|limits| Override { limits, expires_at: get_n(item, "ox") }),
        parking: get_n(item, "pn")
            .map(|noted_at_ms| Parking { noted_at_ms, look_at_ms: get_n(item, "dus").unwrap_or(noted_at_ms) }),
    })
}
