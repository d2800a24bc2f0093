use serde::ser::{Serialize, SerializeMap, Serializer};

use super::State;
use crate::error::{Error, Result};
use crate::json::{Fields, Json};
use crate::time::format_duration;
use crate::time::parse_duration;

/// Longest retention, s: a hundred years.
const MAX_S: i64 = 36_500 * 86_400;

/// How long a queue's jobs are kept once they have ended, s; as the server says where `None` (queue configuration section
/// 6.3). A job takes it with its claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueRetention {
    /// Completed jobs.
    pub completed_s: Option<i64>,
    /// Cancelled jobs.
    pub cancelled_s: Option<i64>,
    /// Discarded jobs, dead letters among them.
    pub discarded_s: Option<i64>,
}

impl QueueRetention {
    /// Reads the object at `field`.
    ///
    /// # Errors
    /// `invalid_request` for an unknown member, or a duration that is none, or is longer than a hundred years.
    pub fn parse(field: &str, value: &Json) -> Result<Self> {
        let mut fields = Fields::from_member(field, value)?;
        let mut seconds = |name: &str| -> Result<Option<i64>> {
            let Some(text) = fields.take_string(name)? else { return Ok(None) };
            let seconds = parse_duration(&text).map(|ms| ms / 1_000).filter(|s| (0..=MAX_S).contains(s));
            let problem = "must be an ISO 8601 duration of at most 100 years, such as 'P7D'";
            seconds.map(Some).ok_or_else(|| Error::field(&fields.name(name), problem))
        };
        let retention = Self {
            completed_s: seconds("completed")?,
            cancelled_s: seconds("cancelled")?,
            discarded_s: seconds("discarded")?,
        };
        match fields.rest().into_keys().next() {
            Some(unknown) => {
                let unknown: String = unknown.chars().take(64).collect();
                Err(Error::field(&format!("{field}.{unknown}"), "must be 'completed', 'cancelled' or 'discarded'"))
            }
            None => Ok(retention),
        }
    }

    /// How long a job in this state is kept, s.
    #[must_use]
    pub fn of(&self, state: State) -> Option<i64> {
        match state {
            State::Completed => self.completed_s,
            State::Cancelled => self.cancelled_s,
            State::Discarded => self.discarded_s,
            _ => None,
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for QueueRetention {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, seconds) in
            [("completed", self.completed_s), ("cancelled", self.cancelled_s), ("discarded", self.discarded_s)]
        {
            if let Some(seconds) = seconds {
                map.serialize_entry(name, &format_duration(seconds.saturating_mul(1_000)))?;
            }
        }
        map.end()
    }
}
