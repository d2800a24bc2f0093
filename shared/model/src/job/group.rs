/// Longest message group of SQS, characters.
pub const MAX_GROUP_CHARS: usize = 128;

/// Whether SQS takes `text` for a message group: 1 to 128 ASCII letters, digits and punctuation.
#[must_use]
pub fn is_group(text: &str) -> bool {
    (1..=MAX_GROUP_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
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
