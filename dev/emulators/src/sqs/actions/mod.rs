//! One file per action.

pub(crate) mod messages;
pub(crate) mod moves;
pub(crate) mod queues;

/// The request of actions that take a queue and nothing else.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct QueueOnly {
    pub(crate) queue_url: Option<String>,
}
