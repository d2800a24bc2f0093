//! `/ojs/v1/workers` (HTTP binding section 10): what workers call.

pub(crate) mod ack;
pub(crate) mod fetch;
pub(crate) mod heartbeat;
pub(crate) mod nack;
