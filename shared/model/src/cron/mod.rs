//! A cron job, purely: its schedule, its definition, and what is to happen at one of its times (OJS cron).
//!
//! A cron job is a template and a time, `next_run_at`. When the time has come, a process (a fetch that receives the
//! message sent ahead for it, or the cron tick) *fires* it: in one transaction the next time is set and a job is made
//! whose id follows from name and time. Nothing here knows AWS, async or the clock.

mod definition;
mod every;
mod expression;
mod item;
mod occurrence;
mod overlap;
mod schedule;
mod template;
mod zone;

pub use definition::{Definition, MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, Registration, is_cron_name};
pub use expression::MAX_EXPRESSION_BYTES;
pub use item::{Cron, MAX_SKIPS, Shown, Skip, SkipReason};
pub use occurrence::{Due, Progress, due, job_id};
pub use overlap::{Decision, OverlapPolicy, decide};
pub use schedule::{Next, Schedule};
pub use template::{MAX_TEMPLATE_BYTES, Template};
