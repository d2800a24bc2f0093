//! The rules for tags.

use std::collections::BTreeMap;

use crate::sqs::http::errors::SqsError;

const MAX_TAGS: usize = 50;

/// Checks tags that are to be added to the known ones.
pub(crate) fn check_tags(known: &BTreeMap<String, String>, added: &BTreeMap<String, String>) -> Result<(), SqsError> {
    let fresh = added.keys().filter(|key| !known.contains_key(*key)).count();
    if known.len() + fresh > MAX_TAGS {
        return Err(SqsError::invalid_parameter("Too many tags added for queue: the limit is 50."));
    }
    for (key, value) in added {
        let chars = key.chars().count();
        if !(1..=128).contains(&chars) || value.chars().count() > 256 || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(SqsError::invalid_parameter(
                "Tag keys must be 1 to 128 characters long and not start with aws:, tag values at most 256.",
            ));
        }
    }
    Ok(())
}
