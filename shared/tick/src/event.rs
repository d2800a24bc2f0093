//! EventBridge's scheduled event.

use ojs_model::time::parse_rfc3339;
use serde::Deserialize;
use serde_json::Value;

/// A scheduled event of an EventBridge rule, as far as it is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Event {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    time: Option<String>,
}

/// What the function was called with. EventBridge Scheduler can be told to send anything, so anything is a tick.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum TickEvent {
    /// A rule's scheduled event.
    Scheduled(Event),
    /// Anything else.
    Other(Value),
}

impl TickEvent {
    /// The event's id, for the log.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Scheduled(event) => event.id.as_deref(),
            Self::Other(_) => None,
        }
    }

    /// How long ago the tick was meant, ms; `None` when the event does not say.
    #[must_use]
    pub fn late_ms(&self, now_ms: i64) -> Option<i64> {
        let Self::Scheduled(Event { time: Some(time), .. }) = self else { return None };
        parse_rfc3339(time).map(|meant_ms| now_ms - meant_ms)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn anything_is_a_tick() {
        let read = |text: &str| serde_json::from_str::<TickEvent>(text).unwrap();
        let scheduled = read(r#"{"id":"x","detail-type":"Scheduled Event","time":"2026-11-24T09:00:00Z","detail":{}}"#);
        assert_eq!((scheduled.id(), scheduled.late_ms(1_795_510_800_500)), (Some("x"), Some(500)));
        for other in ["{}", "null", "[]", "5", r#""tick""#, r#"{"time":7}"#, r#"{"time":"soon"}"#] {
            assert_eq!((read(other).id(), read(other).late_ms(0)), (None, None), "{other}");
        }
    }
}
