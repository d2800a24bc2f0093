//! Keys in AWS Secrets Manager.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use futures::future::BoxFuture;
use ojs_api::auth::keyring::Source;
use ojs_core::aws::{https_client, load};

/// Where keys come from: the current version of a secret in AWS Secrets Manager.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    client: Client,
    id: String,
}

impl Secret {
    /// The secret with this name or ARN. Region, endpoint and credentials come from the environment.
    pub(crate) async fn new(id: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(5))
            .build();
        let loader =
            aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).http_client(https_client());
        let config = load(loader).await;
        Self { client: Client::new(&config), id }
    }
}

impl Source for Secret {
    fn read(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async {
            let answer = self.client.get_secret_value().secret_id(&self.id).send().await;
            let answer = answer.map_err(|error| {
                // Names the secret and the reason; the value is only in an answer.
                aws_sdk_secretsmanager::error::DisplayErrorContext(&error).to_string()
            })?;
            answer.secret_string.ok_or_else(|| "the secret has no text".to_owned())
        })
    }
}
