//! The SQS emulator.

mod actions;
mod counters;
mod faults;
mod http;
mod long_poll;
mod message;
mod queue;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use counters::{ActionCounters, Counters};
pub use faults::{FaultControl, SqsFaults};
pub use message::store::QueueDepth;
pub(crate) use queue::names::base_url;

use crate::{EmulatorClock, StartError};
use service::Service;

/// What to start and where. The default is a free loopback port, the system's clock and no faults.
#[derive(Debug, Clone)]
pub struct SqsOptions {
    /// Address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Where the time comes from.
    pub clock: EmulatorClock,
    /// Faults that are on from the start.
    pub faults: SqsFaults,
    /// Region in the ARNs.
    pub region: String,
    /// Account in URLs and ARNs (12 digits).
    pub account_id: String,
}

impl Default for SqsOptions {
    fn default() -> Self {
        Self {
            addr: ([127, 0, 0, 1], 0).into(),
            clock: EmulatorClock::System,
            faults: SqsFaults::default(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        }
    }
}

/// A running SQS emulator. Dropping it stops it, too.
#[derive(Debug)]
pub struct Sqs {
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Sqs {
    /// Starts it and returns once it listens.
    ///
    /// # Errors
    /// [`StartError`] when the port cannot be bound.
    pub async fn start(options: SqsOptions) -> Result<Self, StartError> {
        let addr = options.addr;
        let bind_error = |source| StartError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind_error)?;
        let url = base_url(listener.local_addr().map_err(bind_error)?);
        let stop = watch::Sender::new(false);
        let faults = Arc::new(FaultControl::new(options.faults));
        let account = (options.region, options.account_id);
        tracing::info!(%url, "SQS listens");
        let service = Arc::new(Service::new(options.clock, faults, stop.subscribe(), account, url));
        let server = tokio::spawn(http::server::serve(listener, Arc::clone(&service), stop.subscribe()));
        Ok(Self { service, stop, server })
    }

    /// Base URL (`http://127.0.0.1:PORT`), to be given to an SDK as its endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.service.base_url
    }

    /// The fault switches.
    #[must_use]
    pub fn faults(&self) -> &FaultControl {
        &self.service.faults
    }

    /// What was called so far, and how many bytes went each way.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.service.counters.snapshot()
    }

    /// Drops all queues and messages at once, and the memories of purges and deleted names.
    /// Long polls under way answer `QueueDoesNotExist`. Counters and faults stay.
    pub fn reset(&self) {
        self.service.reset();
    }

    /// How many messages a queue holds, exactly (whatever the faults); `None` when there is no
    /// such queue.
    #[must_use]
    pub fn queue_depth(&self, name: &str) -> Option<QueueDepth> {
        Some(self.service.by_name(name)?.depth(self.service.now_ms()))
    }

    /// How many messages all queues hold, in whatever state.
    #[must_use]
    pub fn message_count(&self) -> usize {
        let now_ms = self.service.now_ms();
        self.service.all().iter().map(|queue| queue.depth(now_ms).total()).sum()
    }

    /// How many long polls wait right now, over all queues.
    #[must_use]
    pub fn waiting_polls(&self) -> usize {
        self.service.all().iter().map(|queue| queue.waiting()).sum()
    }

    /// Stops serving: long polls return empty, other requests under way are answered.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
    }
}

impl Drop for Sqs {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
