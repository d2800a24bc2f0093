use super::QueueConfig;

/// What fetches have to know of a queue. Times are ms since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueState {
    /// When it was paused; `None` while it is not.
    pub paused_at: Option<i64>,
    /// When it was paused last.
    pub last_paused_at: Option<i64>,
    /// When it was resumed last.
    pub resumed_at: Option<i64>,
    /// Priorities that have an SQS queue of their own, 0 excepted; in no order.
    pub tiers: Vec<i64>,
    /// What an operator has configured.
    pub config: QueueConfig,
}

impl QueueState {
    /// `paused` or `active`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.paused_at.is_some() { "paused" } else { "active" }
    }

    /// All tiers, 0 included, the highest first.
    #[must_use]
    pub fn tiers_down(&self) -> Vec<i64> {
        let mut tiers = self.tiers.clone();
        tiers.push(0);
        tiers.sort_unstable_by(|a, b| b.cmp(a));
        tiers.dedup();
        tiers
    }
}
