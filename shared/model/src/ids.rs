//! Identifiers: job ids (UUIDv7), lease tokens, request and event ids.

use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::{Builder, ContextV7, Timestamp, Uuid};

/// A job id: a lower-case UUIDv7 (OJS core section 5.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Reads a job id.
    ///
    /// Accepts exactly the canonical lower-case form of a version 7, variant 1 UUID; `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == 36
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => *b == b'-',
                14 => *b == b'7',
                19 => matches!(b, b'8' | b'9' | b'a' | b'b'),
                _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            });
        well_formed.then(|| Self(text.to_owned()))
    }

    /// When it was made, ms since the Unix epoch; of a [derived](Self::derived) id what it was told.
    #[must_use]
    pub fn made_at_ms(&self) -> i64 {
        let digits = self.0.get(..8).into_iter().chain(self.0.get(9..13)).collect::<String>();
        i64::from_str_radix(&digits, 16).unwrap_or(0)
    }

    /// Its 16 bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        Uuid::try_parse(&self.0).map(Uuid::into_bytes).unwrap_or_default()
    }

    /// The id as text, 36 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl TryFrom<String> for JobId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a job id")
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JobId {
    /// A UUIDv7 of `at_ms` (ms since the Unix epoch) whose other bits are `bits`, so that every process derives the same.
    #[must_use]
    pub fn derived(at_ms: i64, bits: &[u8; 10]) -> Self {
        Self::from(Builder::from_unix_timestamp_millis(u64::try_from(at_ms).unwrap_or(0), bits).into_uuid())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Uuid> for JobId {
    /// For ids this process makes; `uuid` must be a version 7 UUID.
    fn from(uuid: Uuid) -> Self {
        Self(uuid.hyphenated().to_string())
    }
}

/// Makes ids. Job ids rise strictly within one process, so that jobs made in the same ms keep their order.
#[derive(Debug, Default)]
pub struct Ids {
    context: Mutex<ContextV7>,
}

impl Ids {
    /// A source of its own; one per process is enough.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new job id at `now_ms` (ms since the Unix epoch).
    pub fn job_id(&self, now_ms: i64) -> JobId {
        JobId::from(self.uuid_v7(now_ms))
    }

    /// A new lease token: 32 hexadecimal characters, 122 random bits, not guessable from others.
    #[must_use]
    pub fn lease_token(&self) -> String {
        random_uuid().simple().to_string()
    }

    /// A new request id, `req_<uuidv7>` (HTTP binding section 6.5).
    pub fn request_id(&self, now_ms: i64) -> String {
        format!("req_{}", self.uuid_v7(now_ms).hyphenated())
    }

    /// A number that marks one enqueue call, to tell its own retry from a duplicate.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        random_uuid().as_u64_pair().1
    }

    fn uuid_v7(&self, now_ms: i64) -> Uuid {
        let ms = u64::try_from(now_ms).unwrap_or(0);
        let nanos = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
        // A poisoned lock only means another thread died while counting; the counter is still good.
        let context = self.context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*context, ms / 1000, nanos))
    }
}

fn random_uuid() -> Uuid {
    Uuid::new_v4()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn job_ids_are_canonical_and_rise_within_a_millisecond() {
        let ids = Ids::new();
        let made: Vec<_> = (0..10_000).map(|_| ids.job_id(1_700_000_000_000)).collect();
        assert!(made.windows(2).all(|w| w[0] < w[1]));
        assert!(made.iter().all(|id| JobId::parse(id.as_str()).as_ref() == Some(id)));
    }

    #[test]
    fn only_lower_case_version_7_parses() {
        for bad in [
            "",
            "x",
            "550e8400-e29b-41d4-a716-446655440000",
            "019461A8-1A2B-7C3D-8E4F-5A6B7C8D9E0F",
            "019461a8-1a2b-7c3d-ce4f-5a6b7c8d9e0f",
            "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f ",
            "019461a81a2b7c3d8e4f5a6b7c8d9e0f",
            "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0é",
        ] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
        assert!(JobId::parse("019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f").is_some());
    }

    #[test]
    fn lease_tokens_differ() {
        let ids = Ids::new();
        assert_ne!(ids.lease_token(), ids.lease_token());
        assert_eq!(ids.lease_token().len(), 32);
    }
}
