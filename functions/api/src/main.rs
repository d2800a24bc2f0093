//! The API function: Lambda where `AWS_LAMBDA_RUNTIME_API` is set, else an HTTP server on `OJS_PORT`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use ojs_api::{Api, Config, router};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::{Engine, SystemClock, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the API stops");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = Config::from_env()?;
    if config.keys.is_open() {
        tracing::warn!("OJS_ALLOW_INSECURE_NO_AUTH is set: anybody who reaches this API may use it");
    }
    // In init, outside the handler: connections are kept from one request to the next.
    let clients = Clients::connect(&config.settings, ConnectOptions::default()).await;
    let engine = Arc::new(Engine::new(clients, config.settings, Arc::new(SystemClock)));
    if config.create_table {
        engine.store().create_table().await?;
    }
    let api =
        Api { engine, keys: Arc::new(config.keys), max_body_bytes: config.max_body_bytes, started: Instant::now() };
    let app = router(api, Router::new());
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        lambda_http::run(app).await
    } else {
        let listener = tokio::net::TcpListener::bind(config.addr).await?;
        tracing::info!(addr = %listener.local_addr()?, "serving");
        axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
        Ok(())
    }
}

/// Ends on SIGINT or SIGTERM.
async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM is not handled");
            let _ = interrupt.await;
            return;
        }
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
