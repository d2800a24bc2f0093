//! The actions of the SQS API, and who works on them.

use std::sync::Arc;

use super::errors::SqsError;
use crate::sqs::actions;
use crate::sqs::service::Service;

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
        Action::CancelMessageMoveTask => actions::moves::cancel_message_move_task::run(service, body),
        Action::ChangeMessageVisibility => actions::messages::change_message_visibility::run(service, body),
        Action::ChangeMessageVisibilityBatch => actions::messages::change_message_visibility_batch::run(service, body),
        Action::CreateQueue => actions::queues::create_queue::run(service, body),
        Action::DeleteMessage => actions::messages::delete_message::run(service, body),
        Action::DeleteMessageBatch => actions::messages::delete_message_batch::run(service, body),
        Action::DeleteQueue => actions::queues::delete_queue::run(service, body),
        Action::GetQueueAttributes => actions::queues::get_queue_attributes::run(service, body),
        Action::GetQueueUrl => actions::queues::get_queue_url::run(service, body),
        Action::ListDeadLetterSourceQueues => actions::moves::list_dead_letter_source_queues::run(service, body),
        Action::ListMessageMoveTasks => actions::moves::list_message_move_tasks::run(service, body),
        Action::ListQueueTags => actions::queues::list_queue_tags::run(service, body),
        Action::ListQueues => actions::queues::list_queues::run(service, body),
        Action::PurgeQueue => actions::queues::purge_queue::run(service, body),
        Action::ReceiveMessage => actions::messages::receive_message::run(service, body).await,
        Action::SendMessage => actions::messages::send_message::run(service, body),
        Action::SendMessageBatch => actions::messages::send_message_batch::run(service, body),
        Action::SetQueueAttributes => actions::queues::set_queue_attributes::run(service, body),
        Action::StartMessageMoveTask => actions::moves::start_message_move_task::run(service, body),
        Action::TagQueue => actions::queues::tag_queue::run(service, body),
        Action::UntagQueue => actions::queues::untag_queue::run(service, body),
    }
}
