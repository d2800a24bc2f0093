//! The emulators, and engines on them.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::{Clock, Engine, Settings};
use ojs_emulators::{LocalAws, LocalAwsOptions};

use crate::Outcome;

/// The local AWS, in memory, on loopback.
pub(crate) struct Stage {
    pub(crate) aws: LocalAws,
}

impl Stage {
    pub(crate) async fn start() -> Outcome<Self> {
        Ok(Self { aws: LocalAws::start(LocalAwsOptions::default()).await? })
    }

    /// Clients as the API connects them; `http` carries their requests if given.
    pub(crate) async fn clients(&self, settings: &Settings, http: Option<SharedHttpClient>) -> Clients {
        let connect = ConnectOptions {
            dynamodb_url: Some(self.aws.dynamodb.url().to_owned()),
            sqs_url: Some(self.aws.sqs.url().to_owned()),
            http_client: http,
        };
        Clients::connect(settings, connect).await
    }

    /// An engine with its table made.
    pub(crate) async fn engine(
        &self,
        settings: &Settings,
        http: Option<SharedHttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Outcome<Engine> {
        let engine = Engine::new(self.clients(settings, http).await, settings.clone(), clock);
        engine.store().create_table().await?;
        Ok(engine)
    }

    pub(crate) async fn stop(self) {
        self.aws.shutdown().await;
    }
}
