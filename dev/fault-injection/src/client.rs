use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::call::{Call, Service};
use crate::fault::{Fault, Plan};

/// The wire. Clones share everything.
#[derive(Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

/// Sees a call before it leaves.
type OnCall = dyn Fn(&Call) + Send + Sync;

#[derive(Default)]
struct State {
    latency: Duration,
    on_call: Option<Arc<OnCall>>,
    metered: bool,
    plan: Option<Plan>,
    /// Calls under the plan.
    count: usize,
    calls: Vec<Call>,
    logging: bool,
    /// Requests under way that their callers have given up.
    late: Vec<(SharedHttpConnector, HttpRequest)>,
}

impl Wire {
    /// An undisturbed wire over plain HTTP, which neither logs nor meters.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: aws_smithy_http_client::Builder::new().build_http(), state: Arc::default() }
    }

    /// What an SDK configuration takes.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// Delays every call by this.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Shows every call from now on to `see` before it leaves: a test moves its clock with it, as if the calls took time.
    pub fn on_call(&self, see: impl Fn(&Call) + Send + Sync + 'static) {
        self.state().on_call = Some(Arc::new(see));
    }

    /// Asks DynamoDB for the capacity that each call takes, and logs all calls from now on.
    pub fn meter(&self) {
        let mut state = self.state();
        state.metered = true;
        state.logging = true;
    }

    /// Disturbs calls from now on.
    pub fn disturb(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = Some(plan);
        state.count = 0;
    }

    /// Ends the disturbance.
    pub fn calm(&self) {
        self.state().plan = None;
    }

    /// How many calls there were under the last disturbance.
    #[must_use]
    pub fn disturbed_calls(&self) -> usize {
        self.state().count
    }

    /// Takes the log.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// Lets the requests of [`Fault::Late`] arrive, in their order; answers how many.
    pub async fn deliver(&self) -> usize {
        let late = std::mem::take(&mut self.state().late);
        let count = late.len();
        for (connector, request) in late {
            // No client waits for the answer.
            drop(connector.call(request).await);
        }
        count
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says what is to become of it.
    fn next(&self) -> (Option<Fault>, Duration, bool) {
        let mut state = self.state();
        let fault = state.plan.and_then(|plan| plan.fault_of(state.count));
        if state.plan.is_some() {
            state.count += 1;
        }
        (fault, state.latency, state.metered)
    }

    async fn carry(
        self,
        connector: SharedHttpConnector,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let (fault, latency, metered) = self.next();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let mut call = Call::new(&target, request.body().bytes().map_or(0, <[u8]>::len));
        let asked = if metered && call.service == Service::DynamoDb { ask_for_capacity(&mut request) } else { None };
        let on_call = self.state().on_call.clone();
        if let Some(see) = on_call {
            see(&call);
        }
        delay(latency).await;
        let answer = match fault {
            Some(Fault::NotSent) => Err(broken()),
            Some(Fault::Throttled) => Ok(refusal(call.service, 400, "ThrottlingException")),
            Some(Fault::Unavailable) => Ok(refusal(call.service, 503, "ServiceUnavailable")),
            Some(Fault::Late) => {
                self.state().late.push((connector, request));
                Err(broken())
            }
            Some(Fault::LostAnswer) => connector.call(request).await.and_then(|_| Err(broken())),
            None => connector.call(request).await,
        };
        let answer = match answer {
            Ok(answer) if metered => {
                let status = answer.status().as_u16();
                let (body, answer) = read(answer).await?;
                call.answered(asked.as_ref(), status, &body);
                Ok(answer)
            }
            other => other,
        };
        let mut state = self.state();
        if state.logging {
            state.calls.push(call);
        }
        drop(state);
        answer
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { wire: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Connector {
    wire: Wire,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.wire.clone().carry(self.inner.clone(), request))
    }
}

/// Waits as long as it says: the runtime's timer, which counts in ms and rounds up, does all but the end.
async fn delay(latency: Duration) {
    const TIMER: Duration = Duration::from_millis(2);
    if latency.is_zero() {
        return;
    }
    let end = Instant::now() + latency;
    if latency > TIMER {
        tokio::time::sleep(latency - TIMER).await;
    }
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
}

fn broken() -> ConnectorError {
    ConnectorError::io("the wire broke".into())
}

/// Adds `ReturnConsumedCapacity` to a request, and answers its body; the signature no longer fits, which emulators do not
/// mind.
fn ask_for_capacity(request: &mut HttpRequest) -> Option<Value> {
    let mut asked: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
    asked.as_object_mut()?.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
    let body = asked.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    Some(asked)
}

fn refusal(service: Service, status: u16, code: &str) -> HttpResponse {
    let prefix = if service == Service::Sqs { "com.amazonaws.sqs" } else { "com.amazonaws.dynamodb.v20120810" };
    let body = serde_json::json!({"__type": format!("{prefix}#{code}"), "message": "injected"}).to_string();
    // Both codes are valid statuses.
    let status = StatusCode::try_from(status).unwrap_or(StatusCode::try_from(500).expect("500 is a status"));
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

async fn read(mut answer: HttpResponse) -> Result<(Vec<u8>, HttpResponse), ConnectorError> {
    let body = answer.take_body().collect().await.map_err(ConnectorError::io)?.to_bytes().to_vec();
    *answer.body_mut() = SdkBody::from(body.clone());
    Ok((body, answer))
}
