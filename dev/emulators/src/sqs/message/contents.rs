//! What a message may be made of.

use crate::sqs::http::errors::{ErrorKind, SqsError};

/// The largest message and the largest batch, in bytes (1 MiB).
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Refuses the characters XML 1.0 cannot carry, as SQS does.
pub(crate) fn check_characters(text: &str, place: &str) -> Result<(), SqsError> {
    match text.chars().find(|character| !is_allowed(*character)) {
        None => Ok(()),
        Some(bad) => Err(SqsError::new(
            ErrorKind::InvalidMessageContents,
            format!(
                "Invalid binary character '#x{:X}' was found in the {place}, the set of allowed characters is \
                 #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
                u32::from(bad)
            ),
        )),
    }
}

fn is_allowed(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused() {
        for good in ["\t\n\r ~", "\u{7F}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}"] {
            assert!(check_characters(good, "body").is_ok(), "{good:?}");
        }
        for bad in ["\0", "\u{8}", "\u{B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
            assert!(check_characters(bad, "body").is_err(), "{bad:?}");
        }
    }
}
