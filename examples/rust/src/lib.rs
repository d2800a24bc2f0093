//! What the client and the worker share: requests to the API, and a job as it answers.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

/// An error of any kind ends these programs.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The fields of a job that the examples use.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// The job's id.
    pub id: String,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub job_type: String,
    /// The handler's arguments.
    pub args: Vec<Value>,
    /// `available`, `active`, `completed` and so on.
    pub state: String,
    /// What the handler returned, once the job is completed.
    #[serde(default)]
    pub result: Value,
    /// Proves that this worker holds the job. Only a fetch answers it.
    #[serde(default)]
    pub lease_token: String,
}

/// The API of a server.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Api {
    /// Reads `OJS_URL` and `OJS_API_KEY`.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub fn from_env() -> Outcome<Self> {
        // Fails only if it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = std::env::var("OJS_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
        Ok(Self {
            http: reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?,
            url: format!("{url}/ojs/v1"),
            key: std::env::var("OJS_API_KEY").ok(),
        })
    }

    /// A request and its answer, repeated while the server asks to come back later. `None` is a 409: another worker has the job.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the request.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Option<Value>> {
        loop {
            let mut request = self.http.request(method.clone(), format!("{}/{path}", self.url));
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await?;
            match answer.status() {
                StatusCode::CONFLICT => return Ok(None),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let seconds =
                        answer.headers().get(header::RETRY_AFTER).and_then(|text| text.to_str().ok()?.parse().ok());
                    tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(1))).await;
                }
                status if status.is_success() => return Ok(Some(answer.json().await?)),
                status => return Err(format!("{status}: {}", answer.text().await?).into()),
            }
        }
    }
}
