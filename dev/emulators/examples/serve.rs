//! Serves SQS and DynamoDB until Ctrl-C: `serve [SQS_PORT] [DYNAMODB_PORT]` (default 4100 4101).
#![allow(clippy::print_stdout)]

use std::time::Duration;

use ojs_emulators::{DynamoDbOptions, LocalAws, LocalAwsOptions, SqsOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut port = |default: u16| arguments.next().map_or(Ok(default), |port| port.parse());
    let (sqs_port, dynamodb_port) = (port(4100)?, port(4101)?);
    let aws = LocalAws::start(LocalAwsOptions {
        sqs: SqsOptions { addr: ([127, 0, 0, 1], sqs_port).into(), ..SqsOptions::default() },
        dynamodb: DynamoDbOptions {
            addr: ([127, 0, 0, 1], dynamodb_port).into(),
            ttl_sweep: Some(Duration::from_secs(1)),
            ..DynamoDbOptions::default()
        },
    })
    .await?;
    println!("SQS {}  DynamoDB {}", aws.sqs.url(), aws.dynamodb.url());
    tokio::signal::ctrl_c().await?;
    aws.shutdown().await;
    Ok(())
}
