//! Cron jobs: registered, listed, fired when their time has come.

pub(super) mod delete;
pub(super) mod fire;
pub(super) mod get;
pub(super) mod list;
pub(super) mod register;
pub(super) mod tick;
pub(super) mod toggle;
