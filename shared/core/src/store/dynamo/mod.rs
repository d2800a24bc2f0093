//! Calls of DynamoDB that know nothing of jobs.

pub(super) mod attributes;
pub(super) mod batch_get;
pub(super) mod batch_write;
pub(super) mod delete_item;
pub(super) mod expression;
pub(super) mod get_item;
pub(super) mod put_item;
pub(super) mod query;
pub(super) mod transact;
pub(super) mod unconditional;
pub(super) mod update_item;
pub(super) mod written;
