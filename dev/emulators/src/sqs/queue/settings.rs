//! A queue's settings: the attributes that CreateQueue and SetQueueAttributes take.

use std::collections::BTreeMap;

use super::redrive::{RedriveAllowPolicy, RedrivePolicy};
use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::message::contents::MAX_MESSAGE_BYTES;

/// A queue's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) fifo: bool,
    pub(crate) visibility_timeout_s: i64,
    pub(crate) delay_s: i64,
    pub(crate) max_message_bytes: usize,
    pub(crate) retention_s: i64,
    pub(crate) receive_wait_s: i64,
    pub(crate) content_based_deduplication: bool,
    /// Duplicates are looked for in the message group only, not in the whole queue.
    pub(crate) deduplication_per_group: bool,
    /// Answered, but throughput is not limited here.
    pub(crate) throughput_per_group: bool,
    pub(crate) redrive: Option<RedrivePolicy>,
    pub(crate) redrive_allow: Option<RedriveAllowPolicy>,
    /// Kept and answered without effect: access policy and encryption.
    pub(crate) inert: BTreeMap<&'static str, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fifo: false,
            visibility_timeout_s: 30,
            delay_s: 0,
            max_message_bytes: MAX_MESSAGE_BYTES,
            retention_s: 345_600,
            receive_wait_s: 0,
            content_based_deduplication: false,
            deduplication_per_group: false,
            throughput_per_group: false,
            redrive: None,
            redrive_allow: None,
            inert: BTreeMap::from([("SqsManagedSseEnabled", "true".to_owned())]),
        }
    }
}

impl Settings {
    /// These settings with `attributes` over them.
    pub(crate) fn with(&self, attributes: &BTreeMap<String, String>) -> Result<Self, SqsError> {
        let mut settings = self.clone();
        // First, because the FIFO-only attributes look at it.
        if let Some(value) = attributes.get("FifoQueue") {
            settings.set_fifo(value)?;
        }
        for (name, value) in attributes {
            settings.set(name, value)?;
        }
        if settings.throughput_per_group && !settings.deduplication_per_group {
            return Err(bad_value("FifoThroughputLimit"));
        }
        Ok(settings)
    }

    fn set_fifo(&mut self, value: &str) -> Result<(), SqsError> {
        match value {
            "true" => self.fifo = true,
            // A standard queue is made by leaving the attribute out.
            "false" if !self.fifo => {
                return Err(SqsError::new(ErrorKind::InvalidAttributeName, "Unknown Attribute FifoQueue."));
            }
            _ => return Err(bad_value("FifoQueue")),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        match name {
            "FifoQueue" => {}
            "VisibilityTimeout" => self.visibility_timeout_s = number(name, value, 0, 43_200)?,
            "DelaySeconds" => self.delay_s = number(name, value, 0, 900)?,
            "MaximumMessageSize" => {
                let bytes = number(name, value, 1_024, 1_048_576)?;
                self.max_message_bytes = usize::try_from(bytes).map_err(|_| bad_value(name))?;
            }
            "MessageRetentionPeriod" => self.retention_s = number(name, value, 60, 1_209_600)?,
            "ReceiveMessageWaitTimeSeconds" => self.receive_wait_s = number(name, value, 0, 20)?,
            "ContentBasedDeduplication" if self.fifo => {
                self.content_based_deduplication = flag(name, value)?;
            }
            "DeduplicationScope" if self.fifo => {
                self.deduplication_per_group = one_of(name, value, "queue", "messageGroup")?;
            }
            "FifoThroughputLimit" if self.fifo => {
                self.throughput_per_group = one_of(name, value, "perQueue", "perMessageGroupId")?;
            }
            "RedrivePolicy" if value.is_empty() => self.redrive = None,
            "RedrivePolicy" => self.redrive = Some(RedrivePolicy::parse(value)?),
            "RedriveAllowPolicy" if value.is_empty() => self.redrive_allow = None,
            "RedriveAllowPolicy" => self.redrive_allow = Some(RedriveAllowPolicy::parse(value)?),
            "Policy" => {
                if !value.is_empty() && serde_json::from_str::<serde_json::Map<_, _>>(value).is_err() {
                    return Err(bad_value(name));
                }
                self.set_inert("Policy", value);
            }
            "KmsMasterKeyId" => self.set_inert("KmsMasterKeyId", value),
            "KmsDataKeyReusePeriodSeconds" => {
                number(name, value, 60, 86_400)?;
                self.set_inert("KmsDataKeyReusePeriodSeconds", value);
            }
            "SqsManagedSseEnabled" => {
                flag(name, value)?;
                self.set_inert("SqsManagedSseEnabled", value);
            }
            _ => {
                let message = format!("Unknown Attribute {name}.");
                return Err(SqsError::new(ErrorKind::InvalidAttributeName, message));
            }
        }
        Ok(())
    }

    fn set_inert(&mut self, name: &'static str, value: &str) {
        if value.is_empty() {
            self.inert.remove(name);
        } else {
            self.inert.insert(name, value.to_owned());
        }
    }

    /// Every setting as GetQueueAttributes answers it.
    pub(crate) fn render(&self) -> BTreeMap<&'static str, String> {
        let mut all = self.inert.clone();
        all.insert("VisibilityTimeout", self.visibility_timeout_s.to_string());
        all.insert("DelaySeconds", self.delay_s.to_string());
        all.insert("MaximumMessageSize", self.max_message_bytes.to_string());
        all.insert("MessageRetentionPeriod", self.retention_s.to_string());
        all.insert("ReceiveMessageWaitTimeSeconds", self.receive_wait_s.to_string());
        if let Some(policy) = &self.redrive {
            all.insert("RedrivePolicy", policy.render());
        }
        if let Some(policy) = &self.redrive_allow {
            all.insert("RedriveAllowPolicy", policy.render());
        }
        if self.fifo {
            let scope = if self.deduplication_per_group { "messageGroup" } else { "queue" };
            let limit = if self.throughput_per_group { "perMessageGroupId" } else { "perQueue" };
            all.insert("FifoQueue", "true".to_owned());
            all.insert("ContentBasedDeduplication", self.content_based_deduplication.to_string());
            all.insert("DeduplicationScope", scope.to_owned());
            all.insert("FifoThroughputLimit", limit.to_owned());
        }
        all
    }
}

fn bad_value(name: &str) -> SqsError {
    let message = format!("Invalid value for the parameter {name}.");
    SqsError::new(ErrorKind::InvalidAttributeValue, message)
}

fn number(name: &str, value: &str, min: i64, max: i64) -> Result<i64, SqsError> {
    value.parse().ok().filter(|number| (min..=max).contains(number)).ok_or_else(|| bad_value(name))
}

fn flag(name: &str, value: &str) -> Result<bool, SqsError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad_value(name)),
    }
}

/// Whether `value` is `yes`; an error unless it is one of the two.
fn one_of(name: &str, value: &str, no: &str, yes: &str) -> Result<bool, SqsError> {
    if value == yes {
        return Ok(true);
    }
    if value == no { Ok(false) } else { Err(bad_value(name)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings, SqsError> {
        Settings::default().with(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn ranges_hold() {
        for (name, good, bad) in [
            ("VisibilityTimeout", ["0", "43200"], ["-1", "43201"]),
            ("DelaySeconds", ["0", "900"], ["", "901"]),
            ("MaximumMessageSize", ["1024", "1048576"], ["1023", "1048577"]),
            ("MessageRetentionPeriod", ["60", "1209600"], ["59", "1209601"]),
            ("ReceiveMessageWaitTimeSeconds", ["0", "20"], ["1.5", "21"]),
        ] {
            for value in good {
                assert_eq!(with(name, value).unwrap().render()[name], value);
            }
            for value in bad {
                assert_eq!(with(name, value).unwrap_err().kind, ErrorKind::InvalidAttributeValue, "{name}");
            }
        }
        assert_eq!(with("Bogus", "1").unwrap_err().kind, ErrorKind::InvalidAttributeName);
        assert_eq!(with("ContentBasedDeduplication", "true").unwrap_err().kind, ErrorKind::InvalidAttributeName);
    }

    #[test]
    fn policies_are_checked() {
        let good = r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":"3"}"#;
        assert_eq!(with("RedrivePolicy", good).unwrap().redrive.unwrap().max_receive_count, 3);
        for bad in ["x", "{}", r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":0}"#] {
            assert!(with("RedrivePolicy", bad).is_err(), "{bad}");
        }
        assert!(with("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#).is_err());
    }
}
