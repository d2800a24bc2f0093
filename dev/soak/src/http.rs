//! A client of the API whose every call is in the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::history::{Call, History};
use crate::time::now_ms;

/// Longer than the API may take.
const TIMEOUT: Duration = Duration::from_secs(35);

/// What clients and workers share.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    history: Arc<History>,
    /// Kills are over: everything is to finish.
    finishing: Arc<AtomicBool>,
    /// The probe is over.
    probed: Arc<AtomicBool>,
}

impl Http {
    pub(crate) fn new(base: String, history: Arc<History>) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { client, base, history, finishing: Arc::default(), probed: Arc::default() })
    }

    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn finishing(&self) -> bool {
        self.finishing.load(Ordering::Relaxed)
    }

    pub(crate) fn probed(&self) {
        self.probed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_probed(&self) -> bool {
        self.probed.load(Ordering::Relaxed)
    }

    /// One request, once.
    pub(crate) async fn once(&self, actor: &str, method: &'static str, path: &str, body: &Value) -> Call {
        self.send(actor, method, path, body, None).await
    }

    /// Repeats a request until it is answered, for `tries` times at most. For what may happen twice.
    pub(crate) async fn repeat(
        &self,
        actor: &str,
        method: &'static str,
        path: &str,
        body: &Value,
        key: Option<&str>,
        tries: u32,
    ) -> Call {
        let mut call = self.send(actor, method, path, body, key).await;
        for _ in 1..tries {
            let under_way = call.answer["error"]["details"]["reason"] == "under_way";
            if !call.may_be_repeated() && !under_way {
                break;
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(200..1_000))).await;
            call = self.send(actor, method, path, body, key).await;
        }
        call
    }

    async fn send(&self, actor: &str, method: &'static str, path: &str, body: &Value, key: Option<&str>) -> Call {
        let url = format!("{}/ojs/v1/{path}", self.base);
        let mut request = match method {
            "GET" => self.client.get(url),
            "DELETE" => self.client.delete(url),
            "PUT" => self.client.put(url).json(body),
            _ => self.client.post(url).json(body),
        };
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let sent_ms = now_ms();
        let (mut status, mut answer) = (None, Value::Null);
        if let Ok(response) = request.send().await {
            let answered = response.status().as_u16();
            // An answer that is cut off is none.
            if let Ok(body) = response.json().await {
                (status, answer) = (Some(answered), body);
            }
        }
        let call = Call {
            actor: actor.to_owned(),
            method,
            path: path.to_owned(),
            body: body.clone(),
            key: key.map(str::to_owned),
            sent_ms,
            answered_ms: now_ms(),
            status,
            answer,
        };
        self.history.add(call.clone());
        call
    }
}
