use aws_config::{ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// The HTTP client of the AWS SDK with TLS by *ring*: what the SDK makes by itself, but for its cryptography (ADR 0040). It
/// keeps the time-outs of each SDK client, and the proxy that the environment names.
#[must_use]
pub fn https_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// Loads the configuration of AWS clients. The region is what the loader, the environment, the profile or the instance's
/// metadata say, else `us-east-1`.
pub async fn load(loader: ConfigLoader) -> SdkConfig {
    let config = loader.load().await;
    if config.region().is_some() {
        return config;
    }
    config.into_builder().region(Region::new("us-east-1")).build()
}
