//! What a fetch does before and after it looks at the messages of one receive, for all of them together.

mod returned;
mod unsettled;

pub(super) use returned::Returned;
pub(super) use unsettled::Unsettled;
