//! What the crash suites share.

pub(crate) mod harness;
