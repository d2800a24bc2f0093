//! Reading JSON without losing it: values stay the text that came in, so that numbers survive intact.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorCode, Result};

/// One JSON value as the text that came in.
pub type Json = Box<RawValue>;

/// Deepest nesting of arrays and objects accepted, counted from the request body.
///
/// Common parsers stop at 128; a worker must be able to read what we hand out inside an envelope.
pub const MAX_DEPTH: usize = 100;

/// Wraps text that is known to be JSON.
///
/// # Errors
/// [`ErrorCode::InternalError`] when it is not.
pub fn raw(text: impl Into<String>) -> Result<Json> {
    RawValue::from_string(text.into()).map_err(|e| Error::internal(format_args!("not JSON: {e}")))
}

/// Bytes that a text takes between the quotes of a JSON string, as serde_json writes it: an answer's body leaves Lambda so.
#[must_use]
pub fn escaped_bytes(text: &[u8]) -> usize {
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        // \u00xx
        0..=0x1f => 6,
        _ => 1,
    };
    text.iter().map(escaped).sum()
}

/// The members of a JSON object, each as its own text.
#[derive(Debug, Default)]
pub struct Fields {
    members: BTreeMap<String, Json>,
    /// Where the object stands in the request, for error messages; empty or ending in a dot.
    prefix: String,
}

impl Fields {
    /// Reads a request body.
    ///
    /// # Errors
    /// `invalid_payload` when it is empty, not UTF-8 or not JSON; `invalid_request` when it is not an object or
    /// nests deeper than [`MAX_DEPTH`].
    pub fn from_body(body: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(body).map_err(|e| {
            Error::new(ErrorCode::InvalidPayload, format!("The body is not UTF-8 (byte {}).", e.valid_up_to()))
        })?;
        if text.trim_ascii().is_empty() {
            return Err(Error::new(ErrorCode::InvalidPayload, "The body is empty; a JSON object is required."));
        }
        check_depth(text)?;
        if let Err(e) = serde_json::from_str::<&RawValue>(text) {
            return Err(Error::new(ErrorCode::InvalidPayload, format!("The body is not valid JSON: {e}.")));
        }
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Error::new(ErrorCode::InvalidRequest, "The body must be a JSON object.")
                .with("field", "$")
                .with("got", kind(text)));
        }
        let members = serde_json::from_str(text)
            .map_err(|e| Error::new(ErrorCode::InvalidPayload, format!("The body is not valid JSON: {e}.")))?;
        Ok(Self { members, prefix: String::new() })
    }

    /// As [`Self::from_body`], but an empty body reads as `{}`.
    ///
    /// # Errors
    /// As [`Self::from_body`].
    pub fn from_optional_body(body: &[u8]) -> Result<Self> {
        if body.trim_ascii().is_empty() { Ok(Self::default()) } else { Self::from_body(body) }
    }

    /// Reads an object that is a member of a request.
    ///
    /// # Errors
    /// `invalid_request` naming `field` when it is not an object.
    pub fn from_member(field: &str, value: &RawValue) -> Result<Self> {
        expect(field, value, "object")?;
        let members = serde_json::from_str(value.get())
            .map_err(|e| Error::field(field, format_args!("is not a readable object: {e}")))?;
        Ok(Self { members, prefix: format!("{field}.") })
    }

    /// Reads an object that stands for a request: its members are named as those of a body are.
    ///
    /// # Errors
    /// `invalid_request` when it is not an object.
    pub fn from_request(value: &RawValue) -> Result<Self> {
        Ok(Self { prefix: String::new(), ..Self::from_member("$", value)? })
    }

    /// The full name of a member, as error messages give it.
    #[must_use]
    pub fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// Takes a member as text, `null` included.
    pub fn take_raw(&mut self, field: &str) -> Option<Json> {
        self.members.remove(field)
    }

    /// Takes a member; an explicit `null` reads as absent (JSON format section 14.2).
    pub fn take(&mut self, field: &str) -> Option<Json> {
        self.members.remove(field).filter(|v| v.get() != "null")
    }

    /// Takes a member that must be a JSON value of this kind: `string`, `array`, `object`.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub fn take_kind(&mut self, field: &str, wanted: &str) -> Result<Option<Json>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        expect(&self.name(field), &value, wanted)?;
        Ok(Some(value))
    }

    /// Takes a string.
    ///
    /// # Errors
    /// `invalid_request` when it is something else or holds an unpaired surrogate.
    pub fn take_string(&mut self, field: &str) -> Result<Option<String>> {
        self.take_as(field, "string")
    }

    /// Takes an integer between `min` and `max`, both included.
    ///
    /// # Errors
    /// `invalid_request` when it is something else or out of range.
    pub fn take_integer(&mut self, field: &str, min: i64, max: i64) -> Result<Option<i64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let name = self.name(field);
        if kind(value.get()) != "number" {
            return Err(wrong_kind(&name, &value, "integer"));
        }
        // 5.0 is an integer to JSON; 1e999 and 10^30 are numbers, but not ones we can mean.
        let number = integer(value.get())
            .ok_or_else(|| Error::field(&name, format_args!("must be an integer from {min} to {max}")))?;
        if number < min || number > max {
            return Err(Error::field(&name, format_args!("must be an integer from {min} to {max}, got {number}"))
                .with("min", min)
                .with("max", max));
        }
        Ok(Some(number))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// `invalid_request` when it is something else.
    pub fn take_bool(&mut self, field: &str) -> Result<Option<bool>> {
        self.take_as(field, "boolean")
    }

    /// Takes an array of strings with at most `max` entries.
    ///
    /// # Errors
    /// `invalid_request` when it is something else or longer.
    pub fn take_strings(&mut self, field: &str, max: usize) -> Result<Option<Vec<String>>> {
        let Some(value) = self.take_kind(field, "array")? else { return Ok(None) };
        let name = self.name(field);
        let list: Vec<String> = serde_json::from_str(value.get())
            .map_err(|_| Error::field(&name, "must be an array of strings").with("expected", "string[]"))?;
        if list.len() > max {
            return Err(Error::field(&name, format_args!("has {} entries; at most {max} are allowed", list.len()))
                .with("max", max));
        }
        Ok(Some(list))
    }

    /// SHA-256 over the names and texts of what has not been taken: the same for the same members in any order.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in self.members.iter().flat_map(|(name, value)| [name.as_str(), value.get()]) {
            // Lengths keep the parts apart.
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// What has not been taken.
    #[must_use]
    pub fn rest(self) -> BTreeMap<String, Json> {
        self.members
    }

    fn take_as<T: DeserializeOwned>(&mut self, field: &str, wanted: &str) -> Result<Option<T>> {
        let Some(value) = self.take_kind(field, wanted)? else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|e| Error::field(&self.name(field), format_args!("is not a readable {wanted}: {e}")))
    }
}

/// Fails unless `value` is a JSON value of the wanted kind.
///
/// # Errors
/// `invalid_request` naming `field`.
pub fn expect(field: &str, value: &RawValue, wanted: &str) -> Result<()> {
    if kind(value.get()) == wanted { Ok(()) } else { Err(wrong_kind(field, value, wanted)) }
}

fn wrong_kind(field: &str, value: &RawValue, wanted: &str) -> Error {
    let got = kind(value.get());
    let article = if wanted.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    Error::field(field, format_args!("must be {article} {wanted}, got {got}")).with("expected", wanted).with("got", got)
}

/// The kind of a JSON text by its first character.
#[must_use]
pub fn kind(text: &str) -> &'static str {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse::<i64>() {
        return Some(n);
    }
    let float: f64 = text.parse().ok()?;
    // Beyond 2^53 a float no longer names one integer.
    let exact = float.is_finite() && float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation)]
    exact.then_some(float as i64)
}

fn check_depth(text: &str) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for b in text.bytes() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Error::new(
                        ErrorCode::InvalidRequest,
                        format!("The body nests deeper than {MAX_DEPTH} levels."),
                    )
                    .with("field", "$")
                    .with("max_depth", MAX_DEPTH));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Refuses what is valid JSON and still breaks the parsers of other languages: numbers beyond a double, and escapes of
/// half a surrogate pair. One such job in an answer would cost a worker all the jobs that came with it (I7).
///
/// # Errors
/// `invalid_request` naming `field`.
pub fn check_portable(field: &str, value: &RawValue) -> Result<()> {
    let bytes = value.get().as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at = match bytes[at] {
            b'"' => after_string(field, bytes, at + 1)?,
            b'-' | b'0'..=b'9' => after_number(field, value.get(), at)?,
            _ => at + 1,
        };
    }
    Ok(())
}

fn after_number(field: &str, text: &str, start: usize) -> Result<usize> {
    let digits = text[start..].bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    let number = &text[start..start + digits.count()];
    let may_overflow = number.len() > 300 || number.contains(['e', 'E']);
    if may_overflow && number.parse::<f64>().is_ok_and(f64::is_infinite) {
        return Err(Error::field(field, "holds a number that no double can hold"));
    }
    Ok(start + number.len())
}

fn after_string(field: &str, bytes: &[u8], mut at: usize) -> Result<usize> {
    let escape = |at: usize| -> Option<u32> {
        let hex = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    while at < bytes.len() {
        at += match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' => match escape(at) {
                Some(0xD800..=0xDBFF) if matches!(escape(at + 6), Some(0xDC00..=0xDFFF)) => 12,
                Some(0xD800..=0xDFFF) => return Err(Error::field(field, "holds an unpaired surrogate escape")),
                Some(_) => 6,
                None => 2,
            },
            _ => 1,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code(body: &[u8]) -> &'static str {
        Fields::from_body(body).map_or_else(|e| e.code.as_str(), |_| "ok")
    }

    #[test]
    fn escaped_bytes_are_those_of_a_json_string() {
        let control: String = (0u8..0x20).map(char::from).collect();
        for text in ["", "plain", r#"{"a":"b"}"#, r"\\", "\u{7f}äöü€😀", "line\nline\r\n\ttab", &control] {
            let written = serde_json::to_string(text).unwrap();
            assert_eq!(escaped_bytes(text.as_bytes()), written.len() - 2, "{text:?}");
        }
    }

    #[test]
    fn bodies_are_sorted_by_what_is_wrong_with_them() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        let table: &[(&[u8], &str)] = &[
            (b"", "invalid_payload"),
            (b"  \n", "invalid_payload"),
            (b"{", "invalid_payload"),
            (b"{\"a\":NaN}", "invalid_payload"),
            (b"{\"a\":Infinity}", "invalid_payload"),
            (b"{\"a\":01}", "invalid_payload"),
            (b"{\"a\":\"\xff\"}", "invalid_payload"),
            (b"{'a':1}", "invalid_payload"),
            (b"{\"a\":1}x", "invalid_payload"),
            (b"[]", "invalid_request"),
            (b"\"text\"", "invalid_request"),
            (b"null", "invalid_request"),
            (b"{}", "ok"),
            (b"{\"\\ud800\":1}", "invalid_payload"),
            (b"{\"a\":1e999}", "ok"),
        ];
        for (body, wanted) in table {
            assert_eq!(code(body), *wanted, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(code(deep(MAX_DEPTH - 1).as_bytes()), "ok");
        assert_eq!(code(deep(MAX_DEPTH).as_bytes()), "invalid_request");
        assert_eq!(code("[".repeat(1_000_000).as_bytes()), "invalid_request");
        assert_eq!(code(format!("{{\"a\":\"{}\"}}", "[".repeat(1000)).as_bytes()), "ok");
    }

    #[test]
    fn values_keep_their_text() {
        let mut fields = Fields::from_body(br#"{"a": [1.10, 1e3, 12345678901234567890123], "n": null}"#).unwrap();
        assert_eq!(fields.take("a").unwrap().get(), "[1.10, 1e3, 12345678901234567890123]");
        assert!(fields.take("n").is_none());
    }

    #[test]
    fn what_other_parsers_choke_on_is_refused() {
        let portable = |text: &str| check_portable("args", &raw(text).unwrap()).is_ok();
        for good in [
            "1e308",
            "-1E+308",
            "1e-999",
            r#""1e999""#,
            r#"["\ud83d\ude00"]"#,
            r#""\\ud83d""#,
            r#"{"é":["\u00e9","\n"]}"#,
            "12345678901234567890123",
        ] {
            assert!(portable(good), "{good}");
        }
        for bad in [
            "1e309",
            "[-1E+400]",
            r#"{"a":{"b":1e999}}"#,
            r#""\ud83d""#,
            r#""\ud83d\ud83d""#,
            r#"["\ude00"]"#,
            r#"{"\ud800":1}"#,
            r#""\ud83d\n""#,
        ] {
            assert!(!portable(bad), "{bad}");
        }
        assert!(!portable(&"9".repeat(400)));
    }

    #[test]
    fn integers_are_read_strictly() {
        let read = |text: &str| {
            let mut fields = Fields::from_body(format!("{{\"n\":{text}}}").as_bytes()).unwrap();
            fields.take_integer("n", -100, 100).map_err(|e| e.code.as_str())
        };
        assert_eq!(read("7"), Ok(Some(7)));
        assert_eq!(read("7.0"), Ok(Some(7)));
        assert_eq!(read("null"), Ok(None));
        for bad in ["7.5", "101", "1e999", "99999999999999999999", "\"7\"", "true", "[]"] {
            assert_eq!(read(bad), Err("invalid_request"), "{bad}");
        }
    }
}
