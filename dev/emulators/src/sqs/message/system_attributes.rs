//! What a receiver can be told about a message besides its contents.

use std::collections::BTreeMap;

use super::delivery::Delivered;
use super::store::sequence_number;
use crate::sqs::http::errors::{ErrorKind, SqsError};

const NAMES: [&str; 9] = [
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

/// Which system attributes a receiver asked for: one bit for each of [`NAMES`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemAttributes(u16);

impl SystemAttributes {
    pub(crate) fn parse(wanted: &[String]) -> Result<Self, SqsError> {
        let mut bits = 0;
        for name in wanted {
            if name == "All" {
                bits = u16::MAX;
            } else if let Some(index) = NAMES.iter().position(|known| known == name) {
                bits |= 1 << index;
            } else {
                let message = format!("Unknown Attribute {name}.");
                return Err(SqsError::new(ErrorKind::InvalidAttributeName, message));
            }
        }
        Ok(Self(bits))
    }

    pub(crate) fn render(self, delivered: &Delivered, fifo: bool, sender_id: &str) -> BTreeMap<&'static str, String> {
        let message = &delivered.message;
        let value = |name| match name {
            "AWSTraceHeader" => message.trace_header.clone(),
            "ApproximateFirstReceiveTimestamp" => Some(delivered.first_received_ms.to_string()),
            "ApproximateReceiveCount" => Some(delivered.receive_count.to_string()),
            "DeadLetterQueueSourceArn" => delivered.dead_letter_source.as_ref().map(ToString::to_string),
            "MessageDeduplicationId" => message.deduplication_id.clone(),
            "MessageGroupId" => message.group_id.as_ref().map(ToString::to_string),
            "SenderId" => Some(sender_id.to_owned()),
            "SentTimestamp" => Some(delivered.sent_ms.to_string()),
            "SequenceNumber" => fifo.then(|| sequence_number(delivered.handle.sequence)),
            _ => None,
        };
        let chosen = NAMES.iter().enumerate().filter(|(index, _)| self.0 & (1 << index) != 0);
        chosen.filter_map(|(_, name)| value(*name).map(|value| (*name, value))).collect()
    }
}
