//! Actions on queues.

pub(crate) mod create_queue;
pub(crate) mod delete_queue;
pub(crate) mod get_queue_attributes;
pub(crate) mod get_queue_url;
pub(crate) mod list_queue_tags;
pub(crate) mod list_queues;
pub(crate) mod purge_queue;
pub(crate) mod set_queue_attributes;
pub(crate) mod tag_queue;
pub(crate) mod untag_queue;
