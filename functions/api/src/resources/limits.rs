//! `/ojs/v1/rate-limits` (rate limiting section 10).

use axum::extract::State;
use axum::response::Response;
use ojs_model::Error;
use ojs_model::json::Fields;
use ojs_model::limit::{LimitKey, LimitState, Limits, Override};
use ojs_model::time::parse_when;
use serde_json::json;

use crate::extract::{JsonBody, Params, PathId, page};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

const KIND: &str = "rate-limits";

/// The key in a path. One that cannot be a key names no rate limit.
fn path_key(text: &str) -> Result<LimitKey, Error> {
    LimitKey::parse(text).ok_or_else(|| Error::not_found("rate limit", &text.chars().take(64).collect::<String>()))
}

async fn reply_limit(api: &Api, key: &LimitKey, state: &LimitState) -> Result<Response, Problem> {
    let (waiting, is_more) = api.engine.waiting_count(key.as_str(), state).await?;
    Ok(reply::ok(&state.shown(key.as_str(), api.engine.now_ms()).with_waiting(waiting, !is_more)))
}

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let page::Start { place: after, seen } = page::start::<String>(KIND, &params)?;
    // DynamoDB refuses keys that are empty or too long.
    if after.as_ref().is_some_and(|key| key.is_empty() || key.len() > 1_024) {
        return Err(Error::field("cursor", "is not one of ours").into());
    }
    let page = api.engine.list_limits(after.as_deref(), limit).await?;
    let now = api.engine.now_ms();
    let items: Vec<_> = page.limits.iter().map(|(key, state)| state.shown(key, now)).collect();
    let pagination = page::pagination(KIND, limit, seen, items.len(), page.next.as_ref());
    Ok(reply::ok(&json!({"items": items, "pagination": pagination})))
}

pub(crate) async fn show(State(api): State<Api>, PathId(key): PathId) -> Result<Response, Problem> {
    let key = path_key(&key)?;
    let state = api.engine.get_limit(&key).await?;
    reply_limit(&api, &key, &state).await
}

/// Overrides a key's limits, until `expires_at` if it is given.
pub(crate) async fn put(
    State(api): State<Api>,
    PathId(key): PathId,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let key = path_key(&key)?;
    let over = read_override(request, api.engine.now_ms())?;
    let state = api.engine.set_limit_override(&key, Some(over)).await?;
    reply_limit(&api, &key, &state).await
}

/// Ends an override.
pub(crate) async fn delete(State(api): State<Api>, PathId(key): PathId) -> Result<Response, Problem> {
    let key = path_key(&key)?;
    let state = api.engine.set_limit_override(&key, None).await?;
    reply_limit(&api, &key, &state).await
}

fn read_override(mut request: Fields, now_ms: i64) -> Result<Override, Error> {
    let expires_at = match request.take_string("expires_at")? {
        Some(text) => {
            let at = parse_when(&text, now_ms).map(|at| at.at_ms).filter(|at| *at > now_ms);
            Some(
                at.ok_or_else(|| Error::field("expires_at", "must be a time to come, such as '2026-02-13T13:00:00Z'"))?,
            )
        }
        None => None,
    };
    let limits = Limits::take(&mut request)?;
    if limits.is_empty() {
        return Err(Error::field("$", "must have 'concurrency', 'rate', 'throttle' or 'max_per_second'"));
    }
    if let Some(unknown) = request.rest().into_keys().next() {
        let unknown: String = unknown.chars().take(64).collect();
        return Err(Error::field(&unknown, "is not a member of an override"));
    }
    Ok(Override { limits, expires_at })
}
