//! What only the local process offers.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use ojs_api::Api;
use ojs_api::problem::Problem;
use ojs_emulators::LocalAws;
use serde_json::{Value, json};

/// `POST /ojs/v1/admin/reset`: empties the queues and the table. All is gone when it answers.
pub(crate) fn routes(aws: Arc<LocalAws>) -> Router<Api> {
    Router::new().route("/ojs/v1/admin/reset", post(move |state| reset(state, aws)))
}

async fn reset(State(api): State<Api>, aws: Arc<LocalAws>) -> Result<Json<Value>, Problem> {
    let store = api.engine.store();
    store.drop_table().await?;
    aws.sqs.reset();
    api.engine.forget_queues();
    store.create_table().await?;
    Ok(Json(json!({"reset": true})))
}
