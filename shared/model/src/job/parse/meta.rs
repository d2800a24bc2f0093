//! `meta`, what is laid over it, and the message group in it.

use crate::error::{Error, Result};
use crate::job::{MAX_GROUP_CHARS, is_group};
use crate::json::{Fields, Json};

/// Largest `meta`, bytes of JSON.
pub const MAX_META_BYTES: usize = 64 * 1_024;

/// `options.metadata` is laid over `meta`.
///
/// # Errors
/// `invalid_request` when one is no object; `payload_too_large` over [`MAX_META_BYTES`].
pub(super) fn merge_meta(meta: Option<Json>, over: Option<Json>) -> Result<Option<Json>> {
    let merged = match (meta, over) {
        (Some(meta), Some(over)) => Some(laid_over(&meta, &over)?),
        (meta, over) => over.or(meta),
    };
    match &merged {
        Some(meta) if meta.get().len() > MAX_META_BYTES => {
            Err(Error::too_large("meta", meta.get().len(), MAX_META_BYTES))
        }
        _ => Ok(merged),
    }
}

fn laid_over(meta: &Json, over: &Json) -> Result<Json> {
    let mut members = Fields::from_member("meta", meta)?.rest();
    members.extend(Fields::from_member("options.metadata", over)?.rest());
    serde_json::value::to_raw_value(&members).map_err(Error::internal)
}

/// The message group that `meta.message_group_id` asks for.
///
/// # Errors
/// `invalid_request` when it is no string that SQS takes for a group.
pub fn message_group(meta: Option<&Json>) -> Result<Option<String>> {
    const FIELD: &str = "message_group_id";
    // Nearly no job has one, and then the text need not be read. No other reader finds an escaped name either.
    let Some(meta) = meta.filter(|meta| meta.get().contains(FIELD)) else { return Ok(None) };
    let Some(group) = Fields::from_member("meta", meta)?.take_string(FIELD)? else { return Ok(None) };
    if is_group(&group) {
        return Ok(Some(group));
    }
    Err(Error::field(
        "meta.message_group_id",
        format_args!("must have 1 to {MAX_GROUP_CHARS} ASCII letters, digits or punctuation marks"),
    ))
}
