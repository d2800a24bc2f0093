//! Dead-letter policies: where a queue's failed messages go, and who may send theirs to it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sqs::http::errors::SqsError;

/// Where messages go that were received too often (`RedrivePolicy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedrivePolicy {
    pub(crate) target_arn: String,
    /// Deliveries before the message moves on (1 to 1,000).
    pub(crate) max_receive_count: u32,
}

/// Who may use a queue as its dead-letter queue (`RedriveAllowPolicy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedriveAllowPolicy {
    AllowAll,
    DenyAll,
    ByQueue(Vec<String>),
}

impl RedrivePolicy {
    pub(crate) fn parse(text: &str) -> Result<Self, SqsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            dead_letter_target_arn: String,
            max_receive_count: Value,
        }
        let wire: Wire = serde_json::from_str(text)
            .map_err(|_| SqsError::invalid_value(text, "RedrivePolicy", "Redrive policy is not a valid JSON map."))?;
        // Older tools send the number as a string.
        let count = match &wire.max_receive_count {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let max_receive_count = count
            .filter(|count| (1..=1_000).contains(count))
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| {
                let reason = "Invalid value for maxReceiveCount. Must be between 1 and 1000.";
                SqsError::invalid_value(text, "RedrivePolicy", reason)
            })?;
        Ok(Self { target_arn: wire.dead_letter_target_arn, max_receive_count })
    }

    pub(crate) fn render(&self) -> String {
        json!({"deadLetterTargetArn": self.target_arn, "maxReceiveCount": self.max_receive_count}).to_string()
    }
}

impl RedriveAllowPolicy {
    pub(crate) fn parse(text: &str) -> Result<Self, SqsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            redrive_permission: String,
            #[serde(default)]
            source_queue_arns: Vec<String>,
        }
        let bad = |reason| SqsError::invalid_value(text, "RedriveAllowPolicy", reason);
        let wire: Wire = serde_json::from_str(text).map_err(|_| bad("It is not a valid JSON map."))?;
        match (wire.redrive_permission.as_str(), wire.source_queue_arns) {
            ("allowAll", arns) if arns.is_empty() => Ok(Self::AllowAll),
            ("denyAll", arns) if arns.is_empty() => Ok(Self::DenyAll),
            ("byQueue", arns) if (1..=10).contains(&arns.len()) => Ok(Self::ByQueue(arns)),
            ("byQueue", _) => Err(bad("sourceQueueArns must hold 1 to 10 queues.")),
            _ => Err(bad("redrivePermission must be allowAll, denyAll or byQueue (with sourceQueueArns).")),
        }
    }

    pub(crate) fn render(&self) -> String {
        match self {
            Self::AllowAll => json!({"redrivePermission": "allowAll"}),
            Self::DenyAll => json!({"redrivePermission": "denyAll"}),
            Self::ByQueue(arns) => {
                json!({"redrivePermission": "byQueue", "sourceQueueArns": arns})
            }
        }
        .to_string()
    }

    pub(crate) fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::ByQueue(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}
