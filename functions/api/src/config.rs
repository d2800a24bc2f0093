//! What the API process is told by its environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ojs_core::Settings;
use ojs_core::settings::{SettingsError, parse_flag};

use crate::auth::ApiKeys;
use crate::layers::cors::Origins;

/// Largest request body by default, bytes. Lambda takes 6,291,456 bytes of an event, in which the body is base64 (4 bytes for 3) or
/// a string of JSON; the rest is for headers and context. What is larger, API Gateway refuses itself, without our error.
pub const MAX_BODY_BYTES: usize = 4_500_000;

/// The API process's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the engine is told.
    pub settings: Settings,
    /// Who may call, where no secret says so.
    pub keys: ApiKeys,
    /// `OJS_API_KEY_SECRET`: name or ARN of the secret that holds the keys, in the forms of `OJS_API_KEY`.
    pub key_secret: Option<String>,
    /// `OJS_HOST` (default 0.0.0.0) and `OJS_PORT` (default 8080), outside Lambda.
    pub addr: SocketAddr,
    /// `OJS_MAX_BODY_BYTES`: largest request body, 1,024 to 10,485,760 bytes.
    pub max_body_bytes: usize,
    /// `OJS_CORS_ALLOW_ORIGINS`: origins whose pages may call the API from a browser, separated by commas.
    pub cors_origins: Origins,
    /// `OJS_CREATE_TABLE`: create the table at start if it is missing. For development.
    pub create_table: bool,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables through `lookup`.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let text = |name: &str| lookup(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let host = match text("OJS_HOST") {
            Some(host) => host.parse::<IpAddr>().map_err(|_| problem("OJS_HOST", "must be an IP address"))?,
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let port = match text("OJS_PORT") {
            Some(port) => port.parse::<u16>().map_err(|_| problem("OJS_PORT", "must be a port, 0 to 65535"))?,
            None => 8080,
        };
        let max_body_bytes = match text("OJS_MAX_BODY_BYTES") {
            Some(bytes) => bytes
                .parse::<usize>()
                .ok()
                .filter(|bytes| (1_024..=10_485_760).contains(bytes))
                .ok_or_else(|| problem("OJS_MAX_BODY_BYTES", "must be an integer from 1024 to 10485760"))?,
            None => MAX_BODY_BYTES,
        };
        let key_secret = text("OJS_API_KEY_SECRET");
        if key_secret.is_some() && text("OJS_API_KEY").is_some() {
            return Err(problem("OJS_API_KEY", "and OJS_API_KEY_SECRET are both set; set one"));
        }
        let keys = if key_secret.is_some() { ApiKeys::open() } else { ApiKeys::from_lookup(&lookup)? };
        Ok(Self {
            settings: Settings::from_lookup(&lookup)?,
            keys,
            key_secret,
            addr: SocketAddr::new(host, port),
            max_body_bytes,
            cors_origins: Origins::from_lookup(&lookup)?,
            create_table: parse_flag("OJS_CREATE_TABLE", text("OJS_CREATE_TABLE").as_deref(), false)?,
        })
    }
}

fn problem(variable: &'static str, problem: &str) -> SettingsError {
    SettingsError { variable, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, SettingsError> {
        let pairs: Vec<_> = pairs.iter().chain(&[("OJS_API_KEY", "a-test-key")]).copied().collect();
        Config::from_lookup(move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn defaults() {
        let config = with(&[]).unwrap();
        assert_eq!(config.addr, ([0, 0, 0, 0], 8080).into());
        assert_eq!((config.max_body_bytes, config.create_table), (MAX_BODY_BYTES, false));
        assert_eq!(config.cors_origins, Origins::default());
    }

    #[test]
    fn keys_come_from_one_place() {
        assert_eq!(with(&[("OJS_API_KEY_SECRET", "ojs/api-key")]).unwrap_err().variable, "OJS_API_KEY");
        let secret =
            Config::from_lookup(|name| (name == "OJS_API_KEY_SECRET").then(|| "ojs/api-key".to_owned())).unwrap();
        assert_eq!(secret.key_secret.as_deref(), Some("ojs/api-key"));
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (name, value) in [
            ("OJS_PORT", "http"),
            ("OJS_HOST", "localhost"),
            ("OJS_MAX_BODY_BYTES", "1"),
            ("OJS_CREATE_TABLE", "y?"),
            ("OJS_CORS_ALLOW_ORIGINS", "a.example.com"),
        ] {
            assert_eq!(with(&[(name, value)]).unwrap_err().variable, name);
        }
    }
}
