//! The embedded DynamoDB: `dynoxide` behind a port of its own, plus the TTL sweep it does not do
//! by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::StartError;
use crate::sqs::base_url;

/// How long [`DynamoDb::shutdown`] lets open connections finish: the engine waits for clients that
/// have sent half a request, so the wait needs an end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// What to start and where. The default is in memory on a free loopback port.
#[derive(Debug, Clone)]
pub struct DynamoDbOptions {
    /// Address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Database file; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// How often items past their TTL are removed; `None` leaves it to [`DynamoDb::sweep_ttl`].
    pub ttl_sweep: Option<Duration>,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self { addr: ([127, 0, 0, 1], 0).into(), path: None, ttl_sweep: None }
    }
}

/// A running DynamoDB.
pub struct DynamoDb {
    url: String,
    database: Database,
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<(), String>>,
    sweeper: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoDb").field("url", &self.url).finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Opens the database and returns once it listens.
    ///
    /// # Errors
    /// [`StartError`] when the port cannot be bound or the file cannot be opened.
    pub async fn start(options: DynamoDbOptions) -> Result<Self, StartError> {
        let addr = options.addr;
        let bind_error = |source| StartError::Bind { addr, source };
        let database = open(options.path).await?;
        let listener = TcpListener::bind(addr).await.map_err(bind_error)?;
        let url = base_url(listener.local_addr().map_err(bind_error)?);

        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let signal = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), signal));
        let sweeper = options.ttl_sweep.map(|every| tokio::spawn(sweep(database.clone(), every)));
        tracing::info!(%url, "DynamoDB listens");
        Ok(Self { url, database, stop, server, sweeper })
    }

    /// Base URL (`http://127.0.0.1:PORT`), to be given to an SDK as its endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Removes the items past their TTL now; returns how many. Blocks while it works.
    pub fn sweep_ttl(&self) -> usize {
        sweep_once(&self.database)
    }

    /// Stops serving and waits for the requests under way.
    pub async fn shutdown(mut self) {
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.abort();
        }
        self.stop.send_replace(true);
        if tokio::time::timeout(SHUTDOWN_PATIENCE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(sweeper) = &self.sweeper {
            sweeper.abort();
        }
    }
}

async fn open(path: Option<PathBuf>) -> Result<Database, StartError> {
    let opened = tokio::task::spawn_blocking(move || match path {
        None => Database::memory().map_err(|error| error.to_string()),
        Some(path) => {
            let path = path.to_str().ok_or("the path is not UTF-8")?;
            Database::new(path).map_err(|error| error.to_string())
        }
    });
    opened.await.map_err(|error| StartError::Database(error.to_string()))?.map_err(StartError::Database)
}

async fn sweep(database: Database, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let database = database.clone();
        // The sweep takes the engine's lock: not on a runtime thread.
        let _ = tokio::task::spawn_blocking(move || sweep_once(&database)).await;
    }
}

fn sweep_once(database: &Database) -> usize {
    database.sweep_ttl().unwrap_or_else(|error| {
        tracing::warn!(%error, "the TTL sweep failed");
        0
    })
}
