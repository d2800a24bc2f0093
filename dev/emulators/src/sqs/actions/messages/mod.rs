//! Actions on messages.

pub(crate) mod change_message_visibility;
pub(crate) mod change_message_visibility_batch;
pub(crate) mod delete_message;
pub(crate) mod delete_message_batch;
pub(crate) mod receive_message;
pub(crate) mod send_message;
pub(crate) mod send_message_batch;
