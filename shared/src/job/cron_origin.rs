use serde::{Deserialize, Serialize};

/// Which occurrence of which cron job made a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronOrigin {
    /// The cron job's name.
    #[serde(rename = "n")]
    pub name: String,
    /// Its expression at the time.
    #[serde(rename = "x")]
    pub expression: String,
    /// The occurrence, ms since the Unix epoch.
    #[serde(rename = "t")]
    pub at_ms: i64,
}
