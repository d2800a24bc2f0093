//! Actions on dead-letter queues and moves out of them.

pub(crate) mod cancel_message_move_task;
pub(crate) mod list_dead_letter_source_queues;
pub(crate) mod list_message_move_tasks;
pub(crate) mod start_message_move_task;
