//! `POST /ojs/v1/workers/ack` (HTTP binding section 10.2).

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ojs_core::engine::Ack;
use ojs_model::job::Holder;
use ojs_model::json::{Fields, check_portable};
use ojs_model::time::format_ms;
use ojs_model::{Error, JobId};
use serde_json::json;

use super::fetch::worker_id;
use crate::extract::{self, JsonBody};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

pub(crate) async fn ack(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(mut request): JsonBody,
) -> Result<Response, Problem> {
    let id = job_id(&mut request)?;
    let holder = holder(&mut request, &headers)?;
    let result = request.take_raw("result");
    if let Some(result) = &result {
        check_portable("result", result)?;
    }
    let ack = Ack { id: id.clone(), holder, result };
    let acked = api.engine.ack(ack).await?;
    Ok(reply::ok(&json!({
        "acknowledged": true,
        "id": id.as_str(),
        "job_id": id.as_str(),
        "state": "completed",
        "completed_at": format_ms(acked.completed_at),
    })))
}

/// The required `job_id`.
pub(crate) fn job_id(fields: &mut Fields) -> Result<JobId, Error> {
    let text = fields.take_string("job_id")?.ok_or_else(|| Error::field("job_id", "is required"))?;
    extract::job_id("job", &text)
}

/// The worker that sends the request: `worker_id` (or the header `X-OJS-Worker-ID`) and `lease_token`, all optional.
pub(crate) fn holder(fields: &mut Fields, headers: &HeaderMap) -> Result<Holder, Error> {
    Ok(Holder { worker: worker_id(fields, headers)?, token: fields.take_string("lease_token")? })
}
