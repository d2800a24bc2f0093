//! The embedded DynamoDB: `dynoxide` behind a port of its own, plus the TTL sweep it does not do
//! by itself. With faults, a proxy stands before it.

mod faults;
mod item_locks;
mod partial;
mod proxy;
mod replica;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::faults::Dice;
use self::item_locks::ItemLocks;
use self::proxy::{Lagging, Proxy};
use self::replica::Replica;
use self::upstream::Upstream;
use crate::sqs::base_url;
use crate::{EmulatorClock, StartError};

pub use self::faults::DynamoDbFaults;

/// How long [`DynamoDb::shutdown`] lets open connections finish: the engine waits for clients that
/// have sent half a request, so the wait needs an end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// Any free port on loopback.
const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// What to start and where. The default is in memory on a free loopback port.
#[derive(Debug, Clone)]
pub struct DynamoDbOptions {
    /// Address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Database file; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// How often items past their TTL are removed; `None` leaves it to [`DynamoDb::sweep_ttl`].
    pub ttl_sweep: Option<Duration>,
    /// How it misbehaves.
    pub faults: DynamoDbFaults,
    /// Where the lag of indexes takes the time from.
    pub clock: EmulatorClock,
}

impl Default for DynamoDbOptions {
    fn default() -> Self {
        Self {
            addr: LOOPBACK.into(),
            path: None,
            ttl_sweep: None,
            faults: DynamoDbFaults::default(),
            clock: EmulatorClock::default(),
        }
    }
}

/// A running DynamoDB.
pub struct DynamoDb {
    url: String,
    database: Database,
    /// What indexes are read from while they lag.
    replica: Option<Database>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
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
        let kept = options.path.is_some();
        let database = open(options.path).await?;
        let mut started = Self {
            url: String::new(),
            database: database.clone(),
            replica: None,
            stop: watch::Sender::new(false),
            servers: vec![],
            sweeper: None,
        };
        if options.faults.any() {
            let database = Upstream::new(started.serve(LOOPBACK.into(), database).await?);
            let lagging = started.lag(&options.faults, options.clock, kept).await?;
            let proxy = Arc::new(Proxy { database, dice: Dice::new(options.faults), lagging });
            let (listener, url) = bind(options.addr).await?;
            started.servers.push(tokio::spawn(proxy::serve(listener, proxy, started.stop.subscribe())));
            started.url = url;
        } else {
            started.url = started.serve(options.addr, database).await?;
        }
        let databases = started.databases();
        started.sweeper = options.ttl_sweep.map(|every| tokio::spawn(sweep(databases, every)));
        tracing::info!(url = started.url, "DynamoDB listens");
        Ok(started)
    }

    /// Serves a database; its URL.
    async fn serve(&mut self, addr: SocketAddr, database: Database) -> Result<String, StartError> {
        let (listener, url) = bind(addr).await?;
        let mut stopped = self.stop.subscribe();
        let signal = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        self.servers.push(tokio::spawn(async move {
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, signal).await {
                tracing::error!(%error, "DynamoDB stopped");
            }
        }));
        Ok(url)
    }

    /// What lagging indexes are read from. It begins with what a `kept` database holds.
    async fn lag(
        &mut self,
        faults: &DynamoDbFaults,
        clock: EmulatorClock,
        kept: bool,
    ) -> Result<Option<Lagging>, StartError> {
        if faults.index_lag.is_zero() {
            return Ok(None);
        }
        let target = open(None).await?;
        if kept {
            let (from, to) = (self.database.clone(), target.clone());
            let copied = tokio::task::spawn_blocking(move || copy(&from, &to)).await;
            copied.map_err(|error| StartError::Database(error.to_string()))??;
        }
        self.replica = Some(target.clone());
        let upstream = Upstream::new(self.serve(LOOPBACK.into(), target.clone()).await?);
        let lag_ms = i64::try_from(faults.index_lag.as_millis()).unwrap_or(i64::MAX);
        let replica = Replica::new(self.database.clone(), target, clock, lag_ms);
        Ok(Some(Lagging { replica, upstream, locks: ItemLocks::default() }))
    }

    fn databases(&self) -> Vec<Database> {
        std::iter::once(&self.database).chain(&self.replica).cloned().collect()
    }

    /// Base URL (`http://127.0.0.1:PORT`), to be given to an SDK as its endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Removes the items past their TTL now; returns how many. Blocks while it works.
    pub fn sweep_ttl(&self) -> usize {
        sweep_once(&self.databases())
    }

    /// Stops serving and waits for the requests under way.
    pub async fn shutdown(mut self) {
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.abort();
        }
        self.stop.send_replace(true);
        let patience = tokio::time::Instant::now() + SHUTDOWN_PATIENCE;
        for server in &mut self.servers {
            if tokio::time::timeout_at(patience, &mut *server).await.is_err() {
                server.abort();
            }
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

async fn bind(addr: SocketAddr) -> Result<(TcpListener, String), StartError> {
    let bind_error = |source| StartError::Bind { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(bind_error)?;
    let url = base_url(listener.local_addr().map_err(bind_error)?);
    Ok((listener, url))
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

/// Makes `to` hold what `from` holds.
fn copy(from: &Database, to: &Database) -> Result<(), StartError> {
    let snapshot = std::env::temp_dir().join(format!("ojs-dynamodb-{}.db", uuid::Uuid::new_v4()));
    let path = snapshot.to_string_lossy();
    let copied = from.vacuum_into(&path).and_then(|()| to.restore_from(&path));
    if let Err(error) = std::fs::remove_file(&snapshot) {
        tracing::warn!(%error, path = %path, "the snapshot for lagging indexes is not removed");
    }
    copied.map_err(|error| StartError::Database(error.to_string()))
}

async fn sweep(databases: Vec<Database>, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let databases = databases.clone();
        // The sweep takes the engine's lock: not on a runtime thread.
        let _ = tokio::task::spawn_blocking(move || sweep_once(&databases)).await;
    }
}

/// How many items the first of them, which holds what is true, has lost.
fn sweep_once(databases: &[Database]) -> usize {
    let swept: Vec<usize> = databases
        .iter()
        .map(|database| {
            database.sweep_ttl().unwrap_or_else(|error| {
                tracing::warn!(%error, "the TTL sweep failed");
                0
            })
        })
        .collect();
    swept.first().copied().unwrap_or_default()
}
