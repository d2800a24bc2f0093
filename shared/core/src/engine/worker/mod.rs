//! What workers ask for: fetch, ack, nack and heartbeat, and what a received message means.

pub(super) mod ack;
mod fencing;
pub(super) mod fetch;
pub(super) mod fetch_plan;
pub(super) mod fetch_undo;
pub(super) mod heartbeat;
pub(super) mod message;
pub(super) mod nack;
pub(super) mod returned;
pub(super) mod unsettled;

pub(super) use returned::Returned;
pub(super) use unsettled::Unsettled;
