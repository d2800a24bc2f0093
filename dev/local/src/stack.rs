use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ojs_api::auth::Keyring;
use ojs_api::cors::{self, Origins};
use ojs_api::{Api, Running, router, serve};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::{Engine, Settings, SystemClock};
use ojs_emulators::{DynamoDbFaults, DynamoDbOptions, LocalAws, LocalAwsOptions, SqsFaults, SqsOptions};
use ojs_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{admin, tick};

/// How often the database drops items past their TTL.
const TTL_SWEEP: Duration = Duration::from_secs(60);
/// How long requests may take to end once the stack is told to stop.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Here reads cost nothing, so stats are exact: `OJS_STATS_MAX_JOBS` where it is not set.
pub const STATS_MAX_JOBS: usize = 10_000;

/// What to start and where. The default is an in-memory stack on free loopback ports.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Address of the API; port 0 picks a free one.
    pub api_addr: SocketAddr,
    /// Address of DynamoDB.
    pub dynamodb_addr: SocketAddr,
    /// Address of SQS.
    pub sqs_addr: SocketAddr,
    /// Database file; `None` keeps everything in memory.
    pub db: Option<PathBuf>,
    /// What the engine is told.
    pub settings: Settings,
    /// How SQS misbehaves.
    pub faults: SqsFaults,
    /// How DynamoDB misbehaves.
    pub dynamodb_faults: DynamoDbFaults,
    /// Origins whose pages may call the API.
    pub cors_origins: Origins,
    /// Where numbers and traces go.
    pub telemetry: Telemetry,
    /// Whether the scheduler and the cron jobs tick in this process, once a second.
    pub ticks: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            api_addr: any,
            dynamodb_addr: any,
            sqs_addr: any,
            db: None,
            settings: Settings { stats_max_jobs: STATS_MAX_JOBS, test_directives: true, ..Settings::default() },
            faults: SqsFaults::default(),
            dynamodb_faults: DynamoDbFaults::default(),
            cors_origins: Origins::default(),
            telemetry: Telemetry::default(),
            ticks: true,
        }
    }
}

/// Why the stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An emulator did not start.
    #[error(transparent)]
    Emulator(#[from] ojs_emulators::StartError),
    /// The API's address cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The table could not be made, or its jobs not be sent again.
    #[error("cannot prepare the table: {0}")]
    Table(ojs_model::Error),
}

/// A running local stack.
#[derive(Debug)]
pub struct Stack {
    url: String,
    aws: Arc<LocalAws>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Stack {
    /// Starts everything and returns once the API answers.
    ///
    /// # Errors
    /// [`StartError`] when a port cannot be bound or the database cannot be opened.
    pub async fn start(options: StackOptions) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { addr: options.api_addr, source };
        let listener = TcpListener::bind(options.api_addr).await.map_err(listen)?;
        let url = format!("http://{}", listener.local_addr().map_err(listen)?);
        let aws = LocalAws::start(LocalAwsOptions {
            sqs: SqsOptions { addr: options.sqs_addr, faults: options.faults.clone(), ..SqsOptions::default() },
            dynamodb: DynamoDbOptions {
                addr: options.dynamodb_addr,
                path: options.db.clone(),
                ttl_sweep: Some(TTL_SWEEP),
                faults: options.dynamodb_faults.clone(),
                ..DynamoDbOptions::default()
            },
        })
        .await?;
        let connect = ConnectOptions {
            dynamodb_url: Some(aws.dynamodb.url().to_owned()),
            sqs_url: Some(aws.sqs.url().to_owned()),
            http_client: None,
        };
        let clients = Clients::connect(&options.settings, connect).await;
        let engine = Arc::new(Engine::new(clients, options.settings, Arc::new(SystemClock)));
        engine.store().create_table().await.map_err(StartError::Table)?;
        if options.db.is_some() {
            // The emulated queues begin empty.
            let done = engine.recover().await.map_err(StartError::Table)?;
            tracing::info!(
                sent = done.resent,
                workflows = done.workflows,
                "messages of the jobs in the database sent again"
            );
        }
        let aws = Arc::new(aws);
        let running = Running::default();
        let api = Api {
            engine: Arc::clone(&engine),
            keys: Arc::new(Keyring::open()),
            max_body_bytes: ojs_api::config::MAX_BODY_BYTES,
            telemetry: options.telemetry,
            started: Instant::now(),
            running: running.clone(),
        };
        let app = cors::allow(router(api, admin::routes(Arc::clone(&aws))), options.cors_origins);
        let (stop, stopped) = watch::channel(false);
        let stopping = ended(stopped.clone());
        let mut tasks = vec![tokio::spawn(async move {
            if let Err(error) = serve(listener, app, &running, stopping, SHUTDOWN).await {
                tracing::error!(%error, "the API stopped");
            }
        })];
        if options.ticks {
            tasks.push(tokio::spawn(tick::every_second(engine, stopped)));
        }
        Ok(Self { url, aws, stop, tasks })
    }

    /// Base URL of the API, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The emulators behind it.
    #[must_use]
    pub fn aws(&self) -> &LocalAws {
        &self.aws
    }

    /// Stops every part and waits for it.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            // A panic in a task has been reported where it happened.
            let _ = task.await;
        }
        // The router, which held the other reference, is gone with its task.
        if let Some(aws) = Arc::into_inner(self.aws) {
            aws.shutdown().await;
        }
    }
}

async fn ended(mut stop: watch::Receiver<bool>) {
    // Fails when the stack is dropped, which ends it too.
    let _ = stop.wait_for(|stop| *stop).await;
}
