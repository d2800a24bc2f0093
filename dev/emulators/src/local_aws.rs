//! Both emulators at once.

use crate::{DynamoDb, DynamoDbOptions, Sqs, SqsOptions, StartError};

/// Options of both emulators. The default is in memory on free loopback ports.
#[derive(Debug, Clone, Default)]
pub struct LocalAwsOptions {
    /// The SQS emulator.
    pub sqs: SqsOptions,
    /// The embedded DynamoDB.
    pub dynamodb: DynamoDbOptions,
}

/// SQS and DynamoDB, running.
#[derive(Debug)]
pub struct LocalAws {
    /// The SQS emulator.
    pub sqs: Sqs,
    /// The embedded DynamoDB.
    pub dynamodb: DynamoDb,
}

impl LocalAws {
    /// Starts both and returns once they listen.
    ///
    /// # Errors
    /// [`StartError`] when a port cannot be bound or the database cannot be opened.
    pub async fn start(options: LocalAwsOptions) -> Result<Self, StartError> {
        let sqs = Sqs::start(options.sqs).await?;
        match DynamoDb::start(options.dynamodb).await {
            Ok(dynamodb) => Ok(Self { sqs, dynamodb }),
            Err(error) => {
                sqs.shutdown().await;
                Err(error)
            }
        }
    }

    /// Stops both and waits for them.
    pub async fn shutdown(self) {
        tokio::join!(self.sqs.shutdown(), self.dynamodb.shutdown());
    }
}
