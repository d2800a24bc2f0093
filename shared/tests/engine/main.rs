//! The engine on the embedded stack. One program, because each links the AWS SDK.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod batch;
mod bulk;
mod calls;
mod crash;
mod crashes;
mod crashes_fifo;
mod crashes_idempotency;
mod crashes_limits;
mod crashes_unique;
mod crashes_workflows;
mod cron;
mod deadline;
mod drain;
mod fencing;
mod fifo;
mod limits;
mod listing;
mod messages;
mod model;
mod outage;
mod parking;
mod pause;
mod priority;
mod promote;
mod races;
mod repeats;
mod standing;
mod stats;
mod time;
mod unique;
mod workflows;
mod workflows_nested;
