//! `/ojs/v1/cron` (OJS cron section 8; HTTP binding section 13). Answers have the suites' names (`cron`, `crons`) and the
//! specification's (`cron_job`, `cron_jobs`).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ojs_core::engine::CronQuery;
use ojs_model::Error;
use ojs_model::cron::{Cron, Shown, is_cron_name};
use serde::Serialize;
use serde_json::Value;

use crate::extract::{JsonBody, Params, PathId, page};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

const KIND: &str = "cron";
/// Largest `offset`: each cron job passed over is read.
const MAX_OFFSET: usize = 1_000;

#[derive(Serialize)]
struct CronReply<'a> {
    cron: Shown<'a>,
    cron_job: Shown<'a>,
}

#[derive(Serialize)]
struct DeletedReply<'a> {
    deleted: bool,
    name: &'a str,
    cron: Shown<'a>,
}

#[derive(Serialize)]
struct ListReply<'a> {
    crons: &'a [Shown<'a>],
    cron_jobs: &'a [Shown<'a>],
    count: usize,
    pagination: Value,
}

fn cron_reply(status: StatusCode, cron: &Cron) -> Response {
    reply::json(status, &CronReply { cron: cron.shown(), cron_job: cron.shown() })
}

/// The name in a path. One that cannot be a name names no cron job.
fn path_name(text: &str) -> Result<&str, Error> {
    if is_cron_name(text) {
        return Ok(text);
    }
    Err(Error::not_found("cron", &text.chars().take(64).collect::<String>()))
}

pub(crate) async fn register(State(api): State<Api>, JsonBody(request): JsonBody) -> Result<Response, Problem> {
    let registered = api.engine.register_cron(request).await?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = cron_reply(status, &registered.cron);
    if registered.created {
        reply::set_location(&mut response, &format!("/ojs/v1/cron/{}", registered.cron.name()));
    }
    Ok(response)
}

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let page::Start { place: after, seen } = page::start::<String>(KIND, &params)?;
    // DynamoDB refuses keys that are empty or too long.
    if after.as_deref().is_some_and(|name| !is_cron_name(name)) {
        return Err(Error::field("cursor", "is not a cursor of this list").into());
    }
    let enabled = match params.text("enabled") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Error::field("enabled", "must be 'true' or 'false'").into()),
    };
    let offset = params.integer("offset", 0, MAX_OFFSET)?.unwrap_or(0);
    let page = api.engine.list_crons(CronQuery { after, offset, enabled, limit }).await?;
    let crons: Vec<Shown<'_>> = page.crons.iter().map(Cron::shown).collect();
    let pagination = page::pagination(KIND, limit, seen.saturating_add(offset), crons.len(), page.next.as_ref());
    Ok(reply::ok(&ListReply { crons: &crons, cron_jobs: &crons, count: crons.len(), pagination }))
}

pub(crate) async fn show(State(api): State<Api>, PathId(name): PathId) -> Result<Response, Problem> {
    let cron = api.engine.get_cron(path_name(&name)?).await?;
    Ok(cron_reply(StatusCode::OK, &cron))
}

pub(crate) async fn toggle(
    State(api): State<Api>,
    PathId(name): PathId,
    JsonBody(mut request): JsonBody,
) -> Result<Response, Problem> {
    let enabled = request.take_bool("enabled")?.ok_or_else(|| Error::field("enabled", "is required"))?;
    if let Some(other) = request.rest().keys().next() {
        return Err(Error::field(other, "cannot be changed here; register the cron job again with POST").into());
    }
    let cron = api.engine.set_cron_enabled(path_name(&name)?, enabled).await?;
    Ok(cron_reply(StatusCode::OK, &cron))
}

pub(crate) async fn delete(State(api): State<Api>, PathId(name): PathId) -> Result<Response, Problem> {
    let cron = api.engine.delete_cron(path_name(&name)?).await?;
    Ok(reply::ok(&DeletedReply { deleted: true, name: cron.name(), cron: cron.shown() }))
}
