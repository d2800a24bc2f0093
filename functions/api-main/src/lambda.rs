//! The router as a Lambda function.

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use lambda_http::lambda_runtime::Runtime;
use lambda_http::lambda_runtime::layers::{OpenTelemetryFaasTrigger, OpenTelemetryLayer};
use lambda_http::{Adapter, Context, Error};
use ojs_api::Invocation;
use ojs_telemetry::Telemetry;

/// Serves invocations until the sandbox ends.
pub(crate) async fn serve(app: Router, telemetry: Telemetry) -> Result<(), Error> {
    // Once the answer is posted and before the sandbox is frozen.
    let flush = OpenTelemetryLayer::new(move || telemetry.flush()).with_trigger(OpenTelemetryFaasTrigger::Http);
    Runtime::new(Adapter::from(with_invocation(app))).layer(flush).run().await
}

/// Tells the router of each request's invocation.
fn with_invocation(app: Router) -> Router {
    app.layer(map_request(async |mut request: Request| {
        let invocation = request.extensions().get::<Context>().map(|context| Invocation {
            request_id: context.request_id.clone(),
            deadline_ms: i64::try_from(context.deadline).ok().filter(|at| *at > 0),
        });
        if let Some(invocation) = invocation {
            request.extensions_mut().insert(invocation);
        }
        request
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::Extension;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn told(context: Option<Context>) -> Option<Invocation> {
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let handler = async move |invocation: Option<Extension<Invocation>>| {
            tell.send(invocation.map(|Extension(invocation)| invocation)).await.unwrap();
        };
        let app = with_invocation(Router::new().route("/", get(handler)));
        let mut request = Request::new(Body::empty());
        if let Some(context) = context {
            request.extensions_mut().insert(context);
        }
        app.oneshot(request).await.unwrap();
        told.recv().await.unwrap()
    }

    #[tokio::test]
    async fn the_router_is_told_of_the_invocation() {
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        context.deadline = 1_700_000_000_000;
        let invocation = told(Some(context)).await.unwrap();
        assert_eq!((invocation.request_id.as_str(), invocation.deadline_ms), ("r-1", Some(1_700_000_000_000)));
        assert_eq!(told(Some(Context::default())).await.unwrap().deadline_ms, None);
        assert_eq!(told(None).await, None);
    }
}
