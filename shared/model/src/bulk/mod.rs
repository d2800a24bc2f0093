//! Bulk operations (OJS bulk operations): what a request asks for, and how its answer looks. Pure.

mod answer;
mod filter;
mod key;
mod request;

pub use answer::{Answer, Changed, Item, Outcome, change_answer, enqueue_answer, made_answer};
pub use filter::Filter;
pub use key::{IdempotencyKey, MAX_KEY_CHARS};
pub use request::{MAX_BULK_JOBS, Operation, Selection, parse_selection, take_atomic};
