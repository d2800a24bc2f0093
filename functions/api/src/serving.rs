//! Serving on a port, and an orderly end of it.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// The requests that may write and are at work. They run to their end even if the client closes its connection, so that the end
/// of the last connection is not the end of the last request.
#[derive(Debug, Clone, Default)]
pub struct Running(watch::Sender<usize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtWork(watch::Sender<usize>);

impl Running {
    pub(crate) fn begin(&self) -> AtWork {
        self.0.send_modify(|count| *count += 1);
        AtWork(self.0.clone())
    }

    /// Waits until none is at work.
    pub async fn ended(&self) {
        // Never fails: the sender is ours.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Serves `app` on `listener` until `stop` ends; then accepts nothing more, and waits for open connections and for requests whose
/// clients have gone, for `grace` at most.
///
/// # Errors
/// When the port cannot be served.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    running: &Running,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, told) = oneshot::channel();
    let stop = async move {
        stop.await;
        // Fails when the server has failed meanwhile.
        let _ = stopping.send(());
    };
    let served = async {
        axum::serve(listener, app).with_graceful_shutdown(stop).await?;
        running.ended().await;
        Ok(())
    };
    let too_long = async {
        match told.await {
            Ok(()) => tokio::time::sleep(grace).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = served => served,
        () = too_long => {
            tracing::warn!(requests = *running.0.borrow(), "stopped before all requests and connections had ended");
            Ok(())
        }
    }
}
