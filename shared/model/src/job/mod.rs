//! A job, purely: what it is, what may happen to it, and what the clock makes of it.

mod as_of;
mod cron_origin;
mod envelope;
mod group;
mod history;
mod lapsed;
mod limited;
mod member;
mod parents;
mod parse;
mod retention;
mod retry;
mod state;
pub mod step;
pub mod unique;
mod waiting;

pub use cron_origin::CronOrigin;
pub use envelope::{Brief, DeadLetter, Job, Lease, NewJob, Parked, Receipt, Retention, Shown};
pub use group::{MAX_GROUP_CHARS, is_group};
pub use history::{Failure, JobError, MAX_ENTRY_BYTES, MAX_HISTORY};
pub use lapsed::Lapsed;
pub use member::{MemberOf, MemberRole};
pub use parents::{Inside, Keep, Parents, Source};
pub use parse::{
    MAX_ENVELOPE_BYTES, MAX_ID_AHEAD_MS, MAX_META_BYTES, MAX_QUEUE_CHARS, MAX_TYPE_CHARS, MAX_VISIBILITY_MS,
    MIN_VISIBILITY_MS, is_queue_name, message_group, parse_enqueue, queue_name,
};
pub use retention::QueueRetention;
pub use retry::{Backoff, OnExhaustion, RetryPolicy};
pub use state::State;
pub use step::{Change, Event, Holder, Refusal, step};
pub use waiting::may_send_again;
