//! `/ojs/v1/workflows` (HTTP binding section 14).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ojs_model::time::format_ms;
use ojs_model::workflow::Shown;
use ojs_model::{Error, JobId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::extract::{JsonBody, Params, PathId, idempotency_key, job_id, page};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

const KIND: &str = "workflows";

/// `{"workflow": {...}}`
#[derive(Serialize)]
struct WorkflowReply<'a> {
    workflow: &'a Shown,
}

pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let (shown, replayed) = match idempotency_key(&headers)? {
        Some(key) => api.engine.create_workflow_keyed(request, &key).await?,
        None => (api.engine.create_workflow(request).await?, false),
    };
    let mut response = reply::json(StatusCode::CREATED, &WorkflowReply { workflow: &shown });
    reply::mark_replayed(&mut response, replayed);
    reply::set_location(&mut response, &format!("/ojs/v1/workflows/{}", shown.workflow.id));
    Ok(response)
}

pub(crate) async fn show(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let shown = api.engine.get_workflow(&job_id("workflow", &id)?).await?;
    Ok(reply::ok(&WorkflowReply { workflow: &shown }))
}

pub(crate) async fn cancel(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let shown = api.engine.cancel_workflow(&job_id("workflow", &id)?).await?;
    Ok(reply::ok(&WorkflowReply { workflow: &shown }))
}

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let page::Start { place: after, seen } = page::start::<String>(KIND, &params)?;
    let after = match after {
        Some(id) => Some(JobId::parse(&id).ok_or_else(|| Error::field("cursor", "is not one of ours"))?),
        None => None,
    };
    let page = api.engine.list_workflows(after.as_ref(), limit).await?;
    let workflows: Vec<Value> = page
        .workflows
        .iter()
        .map(|workflow| {
            json!({
                "id": workflow.id.as_str(), "type": workflow.kind.as_str(), "name": workflow.name,
                "state": workflow.state.as_str(), "steps_total": workflow.steps.len(),
                "created_at": format_ms(workflow.created_at), "ended_at": workflow.ended_at.map(format_ms),
            })
        })
        .collect();
    let pagination = page::pagination(KIND, limit, seen, workflows.len(), page.next.as_ref().map(JobId::as_str));
    Ok(reply::ok(&json!({"workflows": workflows, "pagination": pagination})))
}
