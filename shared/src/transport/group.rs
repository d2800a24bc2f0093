use super::{JobRef, MAX_DELAY_S, Transport};

/// Longest message group of SQS, characters.
pub const MAX_GROUP_CHARS: usize = 128;

/// Whether SQS takes `text` for a message group: 1 to 128 ASCII letters, digits and punctuation.
#[must_use]
pub fn is_group(text: &str) -> bool {
    (1..=MAX_GROUP_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl Transport {
    /// The message group: what orders messages on a FIFO queue, where there must be one, and shares a standard queue fairly,
    /// where there need not.
    pub(super) fn group_of(&self, job: &JobRef) -> Option<String> {
        job.group.clone().or_else(|| self.fifo.then(|| job.queue.clone()))
    }

    /// One for each send: it recognises the SDK's retries. A message that is sent again on purpose must not be swallowed.
    pub(super) fn deduplication_id(&self, job: &JobRef) -> Option<String> {
        self.fifo.then(|| format!("{}-{:016x}", job.id, fastrand::u64(..)))
    }

    pub(super) fn delay_of(&self, delay_s: i64) -> Option<i32> {
        let delay_s = i32::try_from(delay_s.clamp(0, MAX_DELAY_S)).unwrap_or(0);
        (delay_s > 0 && !self.fifo).then_some(delay_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_what_sqs_takes() {
        for good in ["a", "tenant:acme/7", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", &"x".repeat(128)] {
            assert!(is_group(good), "{good}");
        }
        for bad in ["", "a b", "\u{e9}", "a\n", &"x".repeat(129)] {
            assert!(!is_group(bad), "{bad}");
        }
    }
}
