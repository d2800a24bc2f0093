use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::deadline::{ATTEMPT, KeepDeadline, OPERATION};
use super::https::{https_client, load};
use super::observe::Observe;
use crate::observe::metrics;
use crate::settings::Settings;

/// The two clients the engine stands on.
#[derive(Debug, Clone)]
pub struct Clients {
    /// DynamoDB: what is true.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS: who looks next.
    pub sqs: aws_sdk_sqs::Client,
}

/// Where to connect to, for the local stack, tests and benchmarks. The default is what the environment says.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// DynamoDB's URL, instead of `AWS_ENDPOINT_URL`.
    pub dynamodb_url: Option<String>,
    /// SQS's URL, instead of `AWS_ENDPOINT_URL`.
    pub sqs_url: Option<String>,
    /// Carries the HTTP requests of both, instead of [`https_client`].
    pub http_client: Option<SharedHttpClient>,
}

impl Clients {
    /// Builds both clients. Once per process, in main: connections are pooled in them.
    ///
    /// Region, endpoint and credentials come from the environment as the AWS SDKs read it; the region is
    /// `us-east-1` when none is set. A loopback endpoint without credentials gets dummy ones.
    pub async fn connect(settings: &Settings, options: ConnectOptions) -> Self {
        let emulated = options.dynamodb_url.is_some() || options.sqs_url.is_some();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(settings.aws_max_attempts)
                    // The default of 1 s is longer than a client of ours wants to wait in all.
                    .with_initial_backoff(Duration::from_millis(50))
                    .with_max_backoff(Duration::from_secs(2)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(2))
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            );
        if emulated {
            loader = loader.region(Region::new("us-east-1"));
        }
        if emulated || loopback_without_credentials() {
            loader = loader.credentials_provider(local_credentials());
        }
        let http_client = options.http_client.unwrap_or_else(https_client);
        let config = load(loader.http_client(http_client)).await;
        Self { dynamodb: dynamodb(&config, options.dynamodb_url), sqs: sqs(&config, options.sqs_url) }
    }
}

fn dynamodb(config: &SdkConfig, url: Option<String>) -> aws_sdk_dynamodb::Client {
    let mut builder = aws_sdk_dynamodb::config::Builder::from(config).interceptor(KeepDeadline);
    if metrics::enabled() {
        builder = builder.interceptor(Observe);
    }
    if let Some(url) = url {
        builder = builder.endpoint_url(url);
    }
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

fn sqs(config: &SdkConfig, url: Option<String>) -> aws_sdk_sqs::Client {
    let mut builder = aws_sdk_sqs::config::Builder::from(config).interceptor(KeepDeadline);
    if metrics::enabled() {
        builder = builder.interceptor(Observe);
    }
    if let Some(url) = url {
        builder = builder.endpoint_url(url);
    }
    aws_sdk_sqs::Client::from_conf(builder.build())
}

/// Emulators take any credentials, but the SDK insists on some; asking IMDS for them would take seconds.
fn loopback_without_credentials() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|v| !v.is_empty());
    let loopback = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"].iter().any(|name| {
        std::env::var(name).is_ok_and(|url| {
            let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
        })
    });
    loopback && !set("AWS_ACCESS_KEY_ID") && !set("AWS_PROFILE")
}

fn local_credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "ojs-serverless")
}
