//! The actions of the SQS API, and who works on them.

use std::sync::Arc;

use super::actions;
use super::errors::SqsError;
use super::service::Service;

macro_rules! action_names {
    ($($name:ident),* $(,)?) => {
        /// An action of the SQS API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Action { $($name),* }

        impl Action {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name on the wire.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            pub(crate) fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

action_names!(
    CancelMessageMoveTask,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    CreateQueue,
    DeleteMessage,
    DeleteMessageBatch,
    DeleteQueue,
    GetQueueAttributes,
    GetQueueUrl,
    ListDeadLetterSourceQueues,
    ListMessageMoveTasks,
    ListQueueTags,
    ListQueues,
    PurgeQueue,
    ReceiveMessage,
    SendMessage,
    SendMessageBatch,
    SetQueueAttributes,
    StartMessageMoveTask,
    TagQueue,
    UntagQueue,
);

/// Works on a request; returns the body of the answer.
pub(crate) async fn run(service: &Arc<Service>, action: Action, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    match action {
        Action::CancelMessageMoveTask => actions::cancel_message_move_task::run(service, body),
        Action::ChangeMessageVisibility => actions::change_message_visibility::run(service, body),
        Action::ChangeMessageVisibilityBatch => actions::change_message_visibility_batch::run(service, body),
        Action::CreateQueue => actions::create_queue::run(service, body),
        Action::DeleteMessage => actions::delete_message::run(service, body),
        Action::DeleteMessageBatch => actions::delete_message_batch::run(service, body),
        Action::DeleteQueue => actions::delete_queue::run(service, body),
        Action::GetQueueAttributes => actions::get_queue_attributes::run(service, body),
        Action::GetQueueUrl => actions::get_queue_url::run(service, body),
        Action::ListDeadLetterSourceQueues => actions::list_dead_letter_source_queues::run(service, body),
        Action::ListMessageMoveTasks => actions::list_message_move_tasks::run(service, body),
        Action::ListQueueTags => actions::list_queue_tags::run(service, body),
        Action::ListQueues => actions::list_queues::run(service, body),
        Action::PurgeQueue => actions::purge_queue::run(service, body),
        Action::ReceiveMessage => actions::receive_message::run(service, body).await,
        Action::SendMessage => actions::send_message::run(service, body),
        Action::SendMessageBatch => actions::send_message_batch::run(service, body),
        Action::SetQueueAttributes => actions::set_queue_attributes::run(service, body),
        Action::StartMessageMoveTask => actions::start_message_move_task::run(service, body),
        Action::TagQueue => actions::tag_queue::run(service, body),
        Action::UntagQueue => actions::untag_queue::run(service, body),
    }
}
