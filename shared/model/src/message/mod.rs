//! Messages: what one says ([`JobRef`]), and what it means once it is received ([`disposition`]).

mod disposition;
mod reference;

pub use disposition::{Disposition, MessageFacts, PENDING_HIDE_S, PUT_BACK_S, SOON_MS, disposition, is_young};
pub use reference::{CronTime, JobRef};

/// Longest delay that SQS gives a message, s.
pub const MAX_DELAY_S: i64 = 900;
/// Longest time for which a receive hides a message, s.
pub const MAX_HIDDEN_S: i64 = 43_200;
