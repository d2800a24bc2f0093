//! Sending: from the request's fields to a message, checked as AWS checks it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::attributes::{WireAttributes, read_attributes, read_trace_header};
use super::contents::check_characters;
use super::deduplication::DeduplicationKey;
use super::md5::{hex, md5_of_attributes, md5_of_body};
use super::store::SendReceipt;
use super::{AttributeData, Message, random_id};
use crate::sqs::http::errors::SqsError;
use crate::sqs::queue::Queue;
use crate::sqs::queue::names::check_fifo_id;
use crate::sqs::queue::settings::Settings;

/// The fields of SendMessage and of an entry of SendMessageBatch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SendFields {
    /// Of SendMessage only.
    pub(crate) queue_url: Option<String>,
    /// Of batch entries only.
    pub(crate) id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    message_attributes: Option<WireAttributes>,
    message_system_attributes: Option<WireAttributes>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

/// A checked message, ready to be filed.
#[derive(Debug)]
pub(crate) struct Outgoing {
    message: Message,
    delay_ms: i64,
    key: Option<DeduplicationKey>,
    digests: Digests,
}

/// The digests a sender verifies.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Digests {
    #[serde(rename = "MD5OfMessageBody")]
    body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    system_attributes: Option<String>,
}

/// What a sender is told about a message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Sent {
    message_id: String,
    #[serde(flatten)]
    digests: Digests,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

impl SendFields {
    /// Size of what was sent, as the limits count it: the body, and name, type and value of every
    /// attribute (bytes).
    pub(crate) fn size_bytes(&self) -> usize {
        let attributes = self.message_attributes.iter().flatten().map(|(name, attribute)| {
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let binary = attribute.binary_value.as_deref().map_or(0, decoded_bytes);
            name.len() + length(&attribute.data_type) + length(&attribute.string_value) + binary
        });
        self.message_body.as_ref().map_or(0, String::len) + attributes.sum::<usize>()
    }

    /// Checks everything and makes the message.
    pub(crate) fn check(self, settings: &Settings) -> Result<Outgoing, SqsError> {
        let size_bytes = self.size_bytes();
        let body = self.message_body.filter(|body| !body.is_empty()).ok_or_else(|| SqsError::missing("MessageBody"))?;
        if size_bytes > settings.max_message_bytes {
            return Err(SqsError::invalid_parameter(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                settings.max_message_bytes
            )));
        }
        check_characters(&body, "message body")?;
        let delay_ms = check_delay(self.delay_seconds, settings)?;
        let attributes = read_attributes(self.message_attributes.unwrap_or_default())?;
        let trace = read_trace_header(self.message_system_attributes.unwrap_or_default())?;
        if let Some(group) = &self.message_group_id {
            check_fifo_id(group, "MessageGroupId")?;
        }
        let deduplication_id =
            check_deduplication(self.message_deduplication_id, self.message_group_id.is_some(), &body, settings)?;
        let key = deduplication_id.clone().map(|id| {
            let group = self.message_group_id.clone().filter(|_| settings.deduplication_per_group);
            (group, id)
        });
        let digests = Digests {
            body: md5_of_body(&body),
            attributes: md5_of_attributes(&attributes),
            system_attributes: md5_of_attributes(&trace),
        };
        let message = Message {
            id: random_id(),
            body_md5: digests.body.clone(),
            body,
            attributes,
            trace_header: trace.and_then(|header| match header.data {
                AttributeData::Text(text) => Some(text),
                AttributeData::Binary(_) => None,
            }),
            group_id: self.message_group_id.map(Into::into),
            deduplication_id,
        };
        Ok(Outgoing { message, delay_ms, key, digests })
    }
}

impl Outgoing {
    /// Files the message in its queue.
    pub(crate) fn send(self, queue: &Queue, now_ms: i64) -> Sent {
        let Self { message, delay_ms, key, digests } = self;
        let SendReceipt { message_id, sequence_number } =
            queue.with_and_wake(now_ms, |store| store.send(now_ms, message, delay_ms, key));
        tracing::debug!(queue = %queue.identity.name, %message_id, "sent");
        Sent { message_id, digests, sequence_number }
    }
}

/// Length of what Base64 text stands for: three bytes for four characters, padding aside.
fn decoded_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn check_delay(delay_s: Option<i64>, settings: &Settings) -> Result<i64, SqsError> {
    let delay_s = match delay_s {
        Some(delay_s) if !(0..=900).contains(&delay_s) => {
            let reason = "DelaySeconds must be >= 0 and <= 900.";
            return Err(SqsError::invalid_value(delay_s, "DelaySeconds", reason));
        }
        Some(delay_s) if settings.fifo && delay_s > 0 => {
            let reason = "The request include parameter that is not valid for this queue type.";
            return Err(SqsError::invalid_value(delay_s, "DelaySeconds", reason));
        }
        // FIFO queues know the queue's delay only.
        Some(delay_s) if !settings.fifo => delay_s,
        _ => settings.delay_s,
    };
    Ok(delay_s * 1_000)
}

/// The id duplicates are recognised by; `None` for standard queues.
fn check_deduplication(
    id: Option<String>,
    has_group: bool,
    body: &str,
    settings: &Settings,
) -> Result<Option<String>, SqsError> {
    if let Some(id) = &id {
        check_fifo_id(id, "MessageDeduplicationId")?;
    }
    match (settings.fifo, id) {
        (false, None) => Ok(None),
        (false, Some(id)) => Err(SqsError::invalid_value(
            id,
            "MessageDeduplicationId",
            "The request include parameter that is not valid for this queue type.",
        )),
        (true, _) if !has_group => Err(SqsError::missing("MessageGroupId")),
        (true, Some(id)) => Ok(Some(id)),
        (true, None) if settings.content_based_deduplication => Ok(Some(hex(&Sha256::digest(body)))),
        (true, None) => Err(SqsError::invalid_parameter(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        )),
    }
}
