//! Receipt handles: which queue, which message in it, which delivery of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::sqs::http::errors::{ErrorKind, SqsError};

const MAGIC: [u8; 4] = *b"AQEB";
const BYTES: usize = MAGIC.len() + 8 + 8 + 8;

/// A receipt handle, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiptHandle {
    /// Which queue; a queue that is created again gets a new number.
    pub(crate) queue: u64,
    /// Which message: its number in the queue.
    pub(crate) sequence: u64,
    /// Which delivery: every receive makes the handles before it stale.
    pub(crate) delivery: u64,
}

impl ReceiptHandle {
    pub(crate) fn encode(self) -> String {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.queue.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[20..].copy_from_slice(&self.delivery.to_be_bytes());
        BASE64.encode(bytes)
    }

    /// Decodes a handle that queue number `queue` gave out.
    pub(crate) fn decode(text: &str, queue: u64) -> Result<Self, SqsError> {
        Self::decode_any(text).filter(|handle| handle.queue == queue).ok_or_else(|| {
            let message = format!("The input receipt handle \"{text}\" is not a valid receipt handle.");
            SqsError::new(ErrorKind::ReceiptHandleIsInvalid, message)
        })
    }

    fn decode_any(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = BASE64.decode(text).ok()?.try_into().ok()?;
        let rest = bytes.strip_prefix(&MAGIC)?;
        let mut numbers =
            rest.chunks_exact(8).map(|chunk| chunk.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)));
        Some(Self { queue: numbers.next()?, sequence: numbers.next()?, delivery: numbers.next()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn handles_survive_the_round_trip_and_garbage_does_not() {
        let handle = ReceiptHandle { queue: 7, sequence: u64::MAX, delivery: 3 };
        assert_eq!(ReceiptHandle::decode(&handle.encode(), 7).unwrap(), handle);
        assert!(ReceiptHandle::decode(&handle.encode(), 8).is_err());
        for garbage in ["", "garbage", "AQEB", "ÄÖÜ", &"A".repeat(10_000)] {
            assert!(ReceiptHandle::decode(garbage, 7).is_err(), "{garbage}");
        }
    }
}
