use std::time::{Duration, Instant};

use futures::future::join;

use super::Engine;
use ojs_model::error::{Error, Result};

/// Whether the two services answer.
#[derive(Debug, Clone)]
pub struct Health {
    /// DynamoDB's answer and how long it took.
    pub dynamodb: (Option<Error>, Duration),
    /// SQS's answer and how long it took.
    pub sqs: (Option<Error>, Duration),
}

impl Health {
    /// Whether everything answers.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.dynamodb.0.is_none() && self.sqs.0.is_none()
    }
}

impl Engine {
    /// Asks both services, at once: one read of nothing, one queue look-up (HTTP binding section 8).
    pub async fn health(&self) -> Health {
        let (dynamodb, sqs) = join(timed(self.store.ping()), timed(self.transport.ping())).await;
        Health { dynamodb, sqs }
    }
}

async fn timed(ping: impl Future<Output = Result<()>>) -> (Option<Error>, Duration) {
    let start = Instant::now();
    let error = ping.await.err();
    (error, start.elapsed())
}
