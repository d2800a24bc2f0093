//! A message as it was sent: everything about it that never changes.

pub(crate) mod attributes;
pub(crate) mod contents;
pub(crate) mod deduplication;
pub(crate) mod delivery;
pub(crate) mod fifo_order;
pub(crate) mod md5;
pub(crate) mod outgoing;
pub(crate) mod receipt_handle;
pub(crate) mod settlement;
pub(crate) mod standard_order;
pub(crate) mod store;
#[cfg(test)]
mod store_invariants;
pub(crate) mod system_attributes;

use std::sync::Arc;

use uuid::Builder;

/// A message as it was sent. Shared between the queue and the answers that carry it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) body_md5: String,
    /// Sorted by name, as the digest wants them.
    pub(crate) attributes: Vec<MessageAttribute>,
    /// X-Ray header, the only system attribute a sender may set.
    pub(crate) trace_header: Option<String>,
    pub(crate) group_id: Option<Arc<str>>,
    pub(crate) deduplication_id: Option<String>,
}

/// A custom attribute of a message.
#[derive(Debug, Clone)]
pub(crate) struct MessageAttribute {
    pub(crate) name: String,
    /// `String`, `Number` or `Binary`, with an optional `.label`.
    pub(crate) data_type: String,
    pub(crate) data: AttributeData,
}

/// The value of a message attribute.
#[derive(Debug, Clone)]
pub(crate) enum AttributeData {
    Text(String),
    Binary(Vec<u8>),
}

impl AttributeData {
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// A random (version 4) UUID.
pub(crate) fn random_id() -> String {
    Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid().to_string()
}
