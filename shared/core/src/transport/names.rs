//! OJS queue names as SQS queue names: injective, readable, stable.
//!
//! OJS names are `[a-z0-9][a-z0-9.-]*` of up to 128 characters; SQS names are `[A-Za-z0-9_-]` of up to 80. Upper-case
//! letters and `_` never occur in OJS names, so they mark what is ours:
//!
//! * `.` becomes `_`;
//! * a name that ends in `-dlq` gets `-Q`, because `-dlq` marks dead-letter queues;
//! * a name that is too long keeps its start and ends in `-H` and 104 bits of its SHA-256;
//! * the queue of a priority tier other than 0 ends in `-P` and the priority, such as `-P10` or `-P-5`;
//! * FIFO queues end in `.fifo`, as SQS wants it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest SQS queue name, characters.
const MAX_SQS_NAME: usize = 80;
/// Kept free for `-dlq`, a priority tier (`-P-100`) and `.fifo`.
const RESERVED: usize = "-dlq".len() + "-P-100".len() + FIFO_SUFFIX.len();
/// How the names of FIFO queues end.
pub const FIFO_SUFFIX: &str = ".fifo";
/// Hexadecimal digits of the hash in a shortened name.
const HASH_DIGITS: usize = 26;

/// The SQS name of an OJS queue.
#[must_use]
pub fn main(prefix: &str, queue: &str) -> String {
    let mut name = format!("{prefix}-{}", queue.replace('.', "_"));
    if name.ends_with("-dlq") {
        name.push_str("-Q");
    }
    if name.len() <= MAX_SQS_NAME - RESERVED {
        return name;
    }
    name.truncate(MAX_SQS_NAME - RESERVED - HASH_DIGITS - "-H".len());
    name.push_str("-H");
    for byte in &Sha256::digest(queue.as_bytes())[..HASH_DIGITS / 2] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The name of the dead-letter queue of [`main`].
#[must_use]
pub fn dead_letter(prefix: &str, queue: &str) -> String {
    format!("{}-dlq", main(prefix, queue))
}

/// The SQS name of an OJS queue's priority tier other than 0.
#[must_use]
pub fn tier(prefix: &str, queue: &str, tier: i64) -> String {
    format!("{}-P{tier}", main(prefix, queue))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ojs_model::job::is_queue_name;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn names_are_readable() {
        for (queue, name) in [
            ("default", "ojs-default"),
            ("email.high", "ojs-email_high"),
            ("a-dlq", "ojs-a-dlq-Q"),
            ("dlq", "ojs-dlq-Q"),
            ("a.dlq", "ojs-a_dlq"),
        ] {
            assert_eq!(main("ojs", queue), name);
        }
        assert_eq!(dead_letter("ojs", "a"), "ojs-a-dlq");
        assert_ne!(dead_letter("ojs", "a"), main("ojs", "a-dlq"));
        assert_eq!((tier("ojs", "a", 10), tier("ojs", "a", -5)), ("ojs-a-P10".to_owned(), "ojs-a-P-5".to_owned()));
    }

    #[test]
    fn long_names_that_differ_only_at_the_end_stay_apart() {
        let (a, b) = ("a".repeat(127) + "x", "a".repeat(127) + "y");
        assert_ne!(main("ojs", &a), main("ojs", &b));
        assert!(main("ojs", &a).starts_with("ojs-aaaa"));
    }

    /// Names that are likely to collide: few letters, the separators, our own suffixes, and lengths at the edges.
    fn queue() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "[ab][ab.-]{0,6}",
            1 => Just("-dlq".to_owned()),
            1 => Just("dlq".to_owned()),
            1 => Just(".".to_owned()),
            1 => "[a-c.-]{40,70}",
        ];
        proptest::collection::vec(piece, 1..4).prop_map(|p| p.concat()).prop_filter("valid", |q| is_queue_name(q))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn names_are_valid_and_injective(queues in proptest::collection::hash_set(queue(), 2..40),
                                         prefix in "[a-z][a-zA-Z0-9-]{0,19}") {
            let mut seen = HashMap::new();
            for queue in &queues {
                let tiers = [1, 10, 100, -1, -10, -100].map(|priority| tier(&prefix, queue, priority));
                for name in [main(&prefix, queue), dead_letter(&prefix, queue)].into_iter().chain(tiers) {
                    prop_assert!(name.len() <= 80 - ".fifo".len(), "{name}");
                    prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{name}");
                    prop_assert_eq!(main(&prefix, queue), main(&prefix, queue));
                    let other = seen.insert(name.clone(), queue.clone());
                    prop_assert!(other.is_none(), "{name}: {queue} and {other:?}");
                }
            }
        }
    }
}
