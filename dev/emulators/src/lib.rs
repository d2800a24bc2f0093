//! The local AWS: DynamoDB (the embedded `dynoxide` engine) and an SQS emulator of our own,
//! each on a loopback port of its own, for tests, benchmarks and the development process.
//!
//! It knows nothing of Open Job Spec: it speaks the AWS wire protocols, so any AWS SDK can be
//! pointed at it. What AWS does rarely (duplicates, reordering, throttling, lost answers) can be
//! switched on with [`SqsFaults`] and [`DynamoDbFaults`], and time can be driven by hand with [`ManualClock`].
//!
//! How the SQS emulator decides what AWS leaves open:
//! - Standard queues deliver in the order in which messages first became visible. A message that
//!   comes back (visibility timeout, visibility 0) takes its old place, before younger ones.
//! - Short polls find whatever is visible; counts are exact; deletes, purges and changed attributes
//!   work at once. Fault switches take the first two comforts away.
//! - A stale receipt handle deletes nothing (and is no error, except in FIFO queues) and cannot
//!   change the visibility (`MessageNotInflight`).
//! - Dead letters keep their id and receive count (and their age, unless in FIFO queues); a move
//!   task sends them back as new messages.
//!
//! Not emulated: the query (XML) protocol, signatures and policies, throughput limits,
//! the order of fair queues, `ReceiveRequestAttemptId`, `AddPermission` and `RemovePermission`.

mod clock;
mod dynamodb;
mod error;
mod local_aws;
mod sqs;

pub use clock::{EmulatorClock, ManualClock};
pub use dynamodb::{DynamoDb, DynamoDbFaults, DynamoDbOptions};
pub use error::StartError;
pub use local_aws::{LocalAws, LocalAwsOptions};
pub use sqs::{ActionCounters, Counters, FaultControl, QueueDepth, Sqs, SqsFaults, SqsOptions};
