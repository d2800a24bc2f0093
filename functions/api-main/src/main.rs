//! The API function: Lambda where `AWS_LAMBDA_RUNTIME_API` is set, else an HTTP server on `OJS_PORT`.

mod lambda;
mod secret;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use ojs_api::auth::Keyring;
use ojs_api::{Api, Config, Running, cors, router, serve};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::{Clock, Engine, SystemClock};
use ojs_telemetry::Telemetry;

use crate::secret::Secret;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long the calls that warm connections may take: a service that is away must not keep the function from answering that.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long requests may take to end once the process is told to stop: less than the 30 s after which ECS and Kubernetes kill it.
const SHUTDOWN: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Telemetry::start("api", Some(ojs_otlp::exporter)) {
        Ok(telemetry) => {
            let ended = run(&telemetry).await;
            telemetry.stop();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the API stops");
            ExitCode::FAILURE
        }
    }
}

async fn run(telemetry: &Telemetry) -> Outcome<()> {
    let config = Config::from_env()?;
    let in_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // In init, outside the handler: connections are kept from one request to the next.
    let clients = Clients::connect(&config.settings, ConnectOptions::default()).await;
    let engine = Arc::new(Engine::new(clients, config.settings.clone(), Arc::clone(&clock)));
    if config.create_table {
        engine.store().create_table().await?;
    }
    let (keys, ()) = tokio::join!(keys(&config, clock), async {
        if in_lambda {
            warm_up(&engine).await;
        }
    });
    let (keys, max_body_bytes) = (Arc::new(keys?), config.max_body_bytes);
    if keys.is_open() {
        tracing::warn!("OJS_ALLOW_INSECURE_NO_AUTH is set: this API needs no key");
    }
    let (running, started) = (Running::default(), Instant::now());
    let api = Api { engine, keys, max_body_bytes, telemetry: telemetry.clone(), started, running: running.clone() };
    let app = cors::allow(router(api, Router::new()), config.cors_origins);
    if in_lambda {
        lambda::serve(app, telemetry.clone()).await
    } else {
        let listener = tokio::net::TcpListener::bind(config.addr).await?;
        tracing::info!(addr = %listener.local_addr()?, "serving");
        Ok(serve(listener, app, &running, stopped(), SHUTDOWN).await?)
    }
}

async fn keys(config: &Config, clock: Arc<dyn Clock>) -> Outcome<Keyring> {
    match &config.key_secret {
        Some(id) => Ok(Keyring::read(Secret::new(id.clone()).await, clock)
            .await
            .map_err(|problem| format!("OJS_API_KEY_SECRET: {problem}"))?),
        None => Ok(Keyring::fixed(config.keys.clone())),
    }
}

/// Connects to DynamoDB and SQS: TLS and credentials are then done when the first request comes.
async fn warm_up(engine: &Engine) {
    match tokio::time::timeout(WARM_UP, engine.health()).await {
        Ok(health) if health.is_ok() => {}
        Ok(_) => tracing::warn!("DynamoDB or SQS refused the first call; health says which"),
        Err(_) => tracing::warn!("DynamoDB or SQS did not answer the first call in time"),
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
