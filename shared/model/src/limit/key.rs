use std::fmt;

/// Most characters of a key; the specification sets no limit.
pub const MAX_KEY_CHARS: usize = 255;

/// What jobs share that share their limits (rate limiting section 7): `^[a-zA-Z0-9][a-zA-Z0-9._:-]*$`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey(String);

impl LimitKey {
    /// Reads a key; `None` when it breaks the pattern or is longer than [`MAX_KEY_CHARS`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let fits = (1..=MAX_KEY_CHARS).contains(&bytes.len())
            && bytes[0].is_ascii_alphanumeric()
            && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b':' | b'-'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The key that all jobs of a queue share: `queue:<queue>`. `queue` must be a valid queue name.
    #[must_use]
    pub fn of_queue(queue: &str) -> Self {
        Self(format!("queue:{queue}"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_follow_the_pattern() {
        for good in ["a", "0", "stripe-api", "api.stripe.com", "tenant:acme:api:stripe", "A_b", &"k".repeat(255)] {
            assert_eq!(LimitKey::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", ":a", ".a", "-a", "_a", "a b", "a/b", "a\n", "\na", "ä", "aé", "a#", &"k".repeat(256)] {
            assert_eq!(LimitKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_key_of_a_queue_is_a_key() {
        for queue in ["email", "0.a-b", &"q".repeat(128)] {
            let key = LimitKey::of_queue(queue);
            assert_eq!(LimitKey::parse(key.as_str()), Some(key));
        }
    }
}
