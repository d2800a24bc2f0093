//! What the engine tells of itself beside its logs: [numbers](metrics) and [traces](trace). Where they go is the process's affair.

pub mod metrics;
pub mod trace;
