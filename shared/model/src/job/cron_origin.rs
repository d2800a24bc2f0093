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
    /// Its time zone at the time.
    #[serde(rename = "z")]
    pub timezone: String,
    /// The occurrence, ms since the Unix epoch.
    #[serde(rename = "t")]
    pub at_ms: i64,
    /// How many jobs the cron job had made with this one.
    #[serde(rename = "c")]
    pub run: u64,
}
