//! Unique jobs (OJS unique jobs): which jobs are duplicates of each other, and what becomes of them. Pure.

mod conflict;
mod key;
mod number;
mod policy;

pub use conflict::{Conflict, Lock, conflict};
pub use key::UniqueKey;
pub use policy::{OnConflict, States, UniquePolicy};
