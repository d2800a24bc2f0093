//! An emulator with a clock of its own, and a small HTTP client for it.

use std::sync::Arc;
use std::time::Duration;

use ojs_emulators::{EmulatorClock, ManualClock, QueueDepth, Sqs, SqsFaults, SqsOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where the clock starts (ms).
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// An answer of the emulator.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The header `x-amzn-query-error`.
    pub(crate) query_error: Option<String>,
}

impl Answer {
    /// The body of an answer that must be a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    /// The query-compatible code of an answer that must be an error.
    pub(crate) fn code(&self) -> &str {
        assert_ne!(self.status, 200, "{self:?}");
        self.query_error.as_deref().unwrap().split(';').next().unwrap()
    }
}

/// Posts to an address; `None` when the connection ends without an answer.
pub(crate) async fn post(base_url: &str, headers: &str, body: &[u8]) -> Option<Answer> {
    let addr = base_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    Some(Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
        query_error: header("x-amzn-query-error"),
    })
}

/// An emulator and its clock.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) sqs: Sqs,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_faults(SqsFaults::default()).await
    }

    pub(crate) async fn with_faults(faults: SqsFaults) -> Self {
        let clock = ManualClock::new(START_MS);
        let options = SqsOptions { clock: EmulatorClock::Manual(Arc::clone(&clock)), faults, ..SqsOptions::default() };
        Self { sqs: Sqs::start(options).await.unwrap(), clock }
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// A request; `None` when its answer is lost with the connection.
    pub(crate) async fn try_call(&self, action: &str, body: Value) -> Option<Answer> {
        call(self.sqs.url(), action, &body).await
    }

    pub(crate) async fn call(&self, action: &str, body: Value) -> Answer {
        self.try_call(action, body).await.unwrap()
    }

    /// Creates a queue; returns its URL.
    pub(crate) async fn queue(&self, name: &str, attributes: Value) -> String {
        let body = json!({"QueueName": name, "Attributes": attributes});
        self.call("CreateQueue", body).await.ok()["QueueUrl"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn arn(&self, url: &str) -> String {
        self.attribute(url, "QueueArn").await
    }

    pub(crate) async fn attribute(&self, url: &str, name: &str) -> String {
        let body = json!({"QueueUrl": url, "AttributeNames": [name]});
        let answer = self.call("GetQueueAttributes", body).await.ok();
        answer["Attributes"][name].as_str().unwrap().to_owned()
    }

    /// The counts that clients see: visible, in flight, delayed.
    pub(crate) async fn counts(&self, url: &str) -> [String; 3] {
        let answer = self.call("GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]})).await.ok();
        ["", "NotVisible", "Delayed"]
            .map(|kind| answer["Attributes"][format!("ApproximateNumberOfMessages{kind}")].as_str().unwrap().to_owned())
    }

    pub(crate) async fn send(&self, url: &str, body: &str) -> Value {
        self.call("SendMessage", json!({"QueueUrl": url, "MessageBody": body})).await.ok()
    }

    pub(crate) async fn send_all(&self, url: &str, bodies: impl IntoIterator<Item = String>) {
        for body in bodies {
            self.send(url, &body).await;
        }
    }

    /// A short poll for up to ten messages.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Value> {
        self.receive_with(url, json!({"MaxNumberOfMessages": 10})).await
    }

    pub(crate) async fn receive_with(&self, url: &str, mut body: Value) -> Vec<Value> {
        body["QueueUrl"] = url.into();
        body["MessageSystemAttributeNames"] = json!(["All"]);
        body["MessageAttributeNames"] = json!(["All"]);
        let mut answer = self.call("ReceiveMessage", body).await.ok();
        answer["Messages"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A long poll for one message, started and known to be waiting.
    pub(crate) async fn waiting_poll(&self, url: &str, wait_s: u32) -> tokio::task::JoinHandle<Answer> {
        let before = self.sqs.waiting_polls();
        let (base_url, body) = (self.sqs.url().to_owned(), json!({"QueueUrl": url, "WaitTimeSeconds": wait_s}));
        let poll = tokio::spawn(async move { call(&base_url, "ReceiveMessage", &body).await.unwrap() });
        while self.sqs.waiting_polls() == before {
            tokio::task::yield_now().await;
        }
        poll
    }

    pub(crate) async fn delete(&self, url: &str, message: &Value) -> Answer {
        self.call("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]})).await
    }

    pub(crate) async fn change_visibility(&self, url: &str, message: &Value, timeout_s: i64) -> Answer {
        let body = json!({
            "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": timeout_s,
        });
        self.call("ChangeMessageVisibility", body).await
    }

    /// The exact counts.
    pub(crate) fn depth(&self, name: &str) -> (usize, usize, usize) {
        let QueueDepth { visible, in_flight, delayed } = self.sqs.queue_depth(name).unwrap();
        (visible, in_flight, delayed)
    }
}

pub(crate) async fn call(base_url: &str, action: &str, body: &Value) -> Option<Answer> {
    let headers = format!("content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.{action}\r\n");
    post(base_url, &headers, body.to_string().as_bytes()).await
}

/// The answer of a poll that must end: a lost wake-up fails the test instead of hanging it.
pub(crate) async fn finish(poll: tokio::task::JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(Duration::from_secs(60), poll).await.unwrap().unwrap()
}

/// The bodies of messages.
pub(crate) fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["Body"].as_str().unwrap()).collect()
}
