//! Times and durations on the wire (OJS JSON format section 5.3, OJS retry section 14).

mod duration;
mod format_duration;
mod moment;
mod timestamp;

pub use duration::parse_duration;
pub use format_duration::format_duration;
pub use moment::Moment;
pub use timestamp::{format_ms, parse_rfc3339, parse_when};
