//! A job, purely: what it is, what may happen to it, and what the clock makes of it.

mod cron_origin;
mod duration;
mod envelope;
pub mod feed;
mod history;
mod limited;
mod retry;
mod settle;
mod state;
pub mod step;
mod time;
pub mod unique;
mod validate;
mod waiting;

pub use cron_origin::CronOrigin;
pub use duration::parse_duration;
pub use envelope::{Brief, DeadLetter, Job, Lease, Moment, NewJob, Parked, Receipt, Retention, Shown};
pub use history::{Failure, JobError, MAX_ENTRY_BYTES, MAX_HISTORY};
pub use retry::{Backoff, OnExhaustion, RetryPolicy};
pub use settle::settle;
pub use state::State;
pub use step::{Change, Event, Holder, Refusal, step};
pub use time::{format_ms, parse_rfc3339, parse_when};
pub(crate) use validate::message_group;
pub use validate::{
    MAX_ENVELOPE_BYTES, MAX_ID_AHEAD_MS, MAX_META_BYTES, MAX_QUEUE_CHARS, MAX_TYPE_CHARS, MAX_VISIBILITY_MS,
    MIN_VISIBILITY_MS, is_queue_name, parse_enqueue, queue_name,
};
pub use waiting::may_send_again;
