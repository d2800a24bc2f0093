//! What stands still is found and moved on: by what comes across it, and by a slow walk through the table.

mod position;
mod resend;
mod walk;

pub(super) use resend::{LONG_MS, Resends};
pub use walk::Audited;
