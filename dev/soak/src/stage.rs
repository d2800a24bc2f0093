//! The emulators, which survive, and what the programs are told of them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use ojs_emulators::{DynamoDbFaults, DynamoDbOptions, LocalAws, LocalAwsOptions, SqsFaults, SqsOptions};
use ojs_local::Chaos;

use crate::{Args, Mode, Outcome};

/// The table's name.
pub(crate) const TABLE: &str = "ojs-soak";

/// The emulators of one run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) aws: LocalAws,
    /// Where the API serves, also after it was killed.
    pub(crate) port: u16,
    fifo: bool,
}

impl Stage {
    pub(crate) async fn start(args: &Args, mode: Mode, seed: u64) -> Outcome<Self> {
        let (sqs_faults, dynamodb_faults) = match mode {
            Mode::Plain => (SqsFaults::default(), DynamoDbFaults::default()),
            Mode::Hard => Chaos::Hard.faults(seed),
        };
        let aws = LocalAws::start(LocalAwsOptions {
            sqs: SqsOptions { faults: sqs_faults, ..SqsOptions::default() },
            dynamodb: DynamoDbOptions {
                faults: dynamodb_faults,
                ttl_sweep: Some(Duration::from_secs(60)),
                ..DynamoDbOptions::default()
            },
        })
        .await?;
        // Free now; the programs bind it again and again.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Ok(Self { aws, port, fifo: args.fifo })
    }

    /// Base URL of the API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment of the API, the scheduler and the cron function.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.aws.dynamodb.url().to_owned()),
            ("AWS_ENDPOINT_URL_SQS", self.aws.sqs.url().to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("DYNAMODB_TABLE", TABLE.to_owned()),
            ("OJS_HOST", "127.0.0.1".to_owned()),
            ("OJS_PORT", self.port.to_string()),
            ("OJS_ALLOW_INSECURE_NO_AUTH", "true".to_owned()),
            ("OJS_CREATE_TABLE", "true".to_owned()),
            ("OJS_STATS_MAX_JOBS", "10000".to_owned()),
            ("OJS_AUDIT_PERIOD_SECONDS", "60".to_owned()),
            ("SQS_USE_FIFO", self.fifo.to_string()),
            ("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// A program of this workspace, beside this one.
pub(crate) fn program(name: &str) -> Outcome<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not built: run `make soak`, or cargo build --bin {name}", path.display()).into())
}
