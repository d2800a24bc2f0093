use std::sync::Arc;
use std::time::Instant;

use ojs_api::auth::{ApiKeys, Keyring};
use ojs_api::{Api, Running, router};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::engine::{Ack, Fetch};
use ojs_core::{Engine, Settings};
use ojs_emulators::{
    DynamoDbFaults, DynamoDbOptions, EmulatorClock, LocalAws, LocalAwsOptions, ManualClock, SqsFaults, SqsOptions,
};
use ojs_fault_injection::Wire;
use ojs_model::JobId;
use ojs_model::cron::Cron;
use ojs_model::job::{Holder, Job};
use ojs_model::json::Fields;
use serde_json::Value;

use crate::http::Http;
use crate::{START_MS, SkewedClock, TestClock};

/// A stack of a test's own.
#[derive(Debug)]
pub struct TestStack {
    /// The emulators.
    pub aws: LocalAws,
    /// The clock of everything.
    pub clock: TestClock,
    /// What engines are told.
    pub settings: Settings,
    /// An undisturbed instance.
    pub engine: Arc<Engine>,
}

impl TestStack {
    /// A stack with the default settings.
    pub async fn start() -> Self {
        Self::start_with(Settings::default(), SqsFaults::default()).await
    }

    /// A stack whose engine is told `settings` and whose SQS misbehaves by `faults`.
    ///
    /// # Panics
    /// When the emulators do not start.
    pub async fn start_with(settings: Settings, faults: SqsFaults) -> Self {
        Self::start_disturbed(settings, faults, DynamoDbFaults::default()).await
    }

    /// The same, and DynamoDB misbehaves by `dynamodb_faults`; the lag of indexes follows the test's clock.
    ///
    /// # Panics
    /// When the emulators do not start.
    pub async fn start_disturbed(settings: Settings, faults: SqsFaults, dynamodb_faults: DynamoDbFaults) -> Self {
        let manual = ManualClock::new(START_MS);
        let aws = LocalAws::start(LocalAwsOptions {
            sqs: SqsOptions { clock: EmulatorClock::Manual(Arc::clone(&manual)), faults, ..SqsOptions::default() },
            dynamodb: DynamoDbOptions {
                faults: dynamodb_faults,
                clock: EmulatorClock::Manual(Arc::clone(&manual)),
                ..DynamoDbOptions::default()
            },
        })
        .await
        .expect("emulators start");
        let clock = TestClock(manual);
        let clients = connect(&aws, &settings, None).await;
        let engine = Arc::new(Engine::new(clients, settings.clone(), Arc::new(clock.clone())));
        engine.store().create_table().await.expect("the table is made");
        Self { aws, clock, settings, engine }
    }

    /// Another instance, whose AWS calls go over a wire of their own; each call is tried `attempts` times.
    pub async fn instance(&self, attempts: u32) -> (Arc<Engine>, Wire) {
        let wire = Wire::new();
        let settings = Settings { aws_max_attempts: attempts, ..self.settings.clone() };
        let clients = connect(&self.aws, &settings, Some(&wire)).await;
        (Arc::new(Engine::new(clients, settings, Arc::new(self.clock.clone()))), wire)
    }

    /// Another instance, whose clock is `skew_ms` ahead (or, if negative, behind).
    pub async fn skewed(&self, skew_ms: i64) -> Arc<Engine> {
        let clients = connect(&self.aws, &self.settings, None).await;
        Arc::new(Engine::new(clients, self.settings.clone(), Arc::new(SkewedClock(self.clock.clone(), skew_ms))))
    }

    /// The HTTP API on the undisturbed instance, without a key.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http_on(&self.engine, ApiKeys::open())
    }

    /// The HTTP API on an instance, behind `keys`.
    #[must_use]
    pub fn http_on(&self, engine: &Arc<Engine>, keys: ApiKeys) -> Http {
        let api = Api {
            engine: Arc::clone(engine),
            keys: Arc::new(Keyring::fixed(keys)),
            max_body_bytes: ojs_api::config::MAX_BODY_BYTES,
            telemetry: ojs_telemetry::Telemetry::default(),
            started: Instant::now(),
            running: Running::default(),
        };
        Http::new(router(api, axum::Router::new()))
    }

    /// Enqueues a job of type `test` with these options.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn enqueue(&self, options: Value) -> Job {
        let request = serde_json::json!({"type": "test", "args": [1], "options": options});
        self.engine.enqueue(fields(&request)).await.expect("enqueued").job
    }

    /// Registers a cron job whose jobs of type `test` go to queue `default`; `more` are further fields.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn register(&self, name: &str, expression: &str, more: Value) -> Cron {
        let mut request = serde_json::json!({"name": name, "expression": expression, "type": "test"});
        if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
            request.extend(more);
        }
        self.engine.register_cron(fields(&request)).await.expect("registered").cron
    }

    /// Moves the clock to `at_ms`, which must not have passed.
    ///
    /// # Panics
    /// When it has.
    pub fn go_to(&self, at_ms: i64) {
        let wait = at_ms - self.engine.now_ms();
        self.clock.advance_ms(u64::try_from(wait).expect("a time to come"));
    }

    /// Fetches up to `count` jobs of queue `default` for a worker.
    ///
    /// # Panics
    /// When the engine fails.
    pub async fn fetch(&self, worker: &str, count: usize) -> Vec<Job> {
        self.engine.fetch(self.fetch_request(worker, count)).await.expect("fetched")
    }

    /// The request of [`Self::fetch`], with a lease of 30 s.
    #[must_use]
    pub fn fetch_request(&self, worker: &str, count: usize) -> Fetch {
        Fetch {
            queues: vec!["default".to_owned()],
            count,
            worker_id: Some(worker.to_owned()),
            visibility_ms: Some(30_000),
        }
    }

    /// Acks a job with nothing but its id.
    ///
    /// # Errors
    /// The engine's.
    pub async fn ack(&self, id: &JobId) -> ojs_model::Result<()> {
        self.engine.ack(Ack { id: id.clone(), holder: Holder::default(), result: None }).await.map(|_| ())
    }

    /// Acks a job that was fetched, with its lease token: also after another worker's lease has lapsed.
    ///
    /// # Errors
    /// The engine's.
    pub async fn ack_with_token(&self, job: &Job) -> ojs_model::Result<()> {
        let holder = Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) };
        self.engine.ack(Ack { id: job.id.clone(), holder, result: None }).await.map(|_| ())
    }

    /// A job as of now.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get(&self, id: &JobId) -> Job {
        self.engine.get(id).await.expect("the job is there")
    }

    /// SQS, to be spoken to behind the engine's back.
    pub async fn sqs(&self) -> aws_sdk_sqs::Client {
        connect(&self.aws, &self.settings, None).await.sqs
    }

    /// Stops the emulators.
    pub async fn stop(self) {
        self.aws.shutdown().await;
    }
}

async fn connect(aws: &LocalAws, settings: &Settings, wire: Option<&Wire>) -> Clients {
    let connect = ConnectOptions {
        dynamodb_url: Some(aws.dynamodb.url().to_owned()),
        sqs_url: Some(aws.sqs.url().to_owned()),
        http_client: wire.map(Wire::http_client),
    };
    Clients::connect(settings, connect).await
}

/// A request body as the engine reads it.
///
/// # Panics
/// When `value` is not an object.
#[must_use]
pub fn fields(value: &Value) -> Fields {
    Fields::from_body(value.to_string().as_bytes()).expect("an object")
}
