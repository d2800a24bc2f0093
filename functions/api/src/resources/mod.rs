//! The resources of the API, one a file.

pub(crate) mod batch;
pub(crate) mod bulk;
pub(crate) mod cron;
pub(crate) mod dead_letter;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod manifest;
pub(crate) mod metrics;
pub(crate) mod queues;
pub(crate) mod workflows;
