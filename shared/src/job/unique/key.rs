//! The fingerprint that duplicates share (unique jobs section 4).

use std::fmt;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::UniquePolicy;
use crate::error::{Error, Result};
use crate::json::Json;

/// SHA-256 of a job's canonical dimensions. Made from args, so never logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueKey([u8; 32]);

impl UniqueKey {
    /// The key of a job under `policy`: RFC 8785 of an object of the dimensions, its strings in NFC. Integers that a double
    /// cannot hold keep their digits, so that large ids stay apart.
    ///
    /// # Errors
    /// `invalid_request` when the policy names members that args or meta do not have.
    pub fn of(
        policy: &UniquePolicy,
        field: &str,
        job_type: &str,
        queue: &str,
        args: &Json,
        meta: Option<&Json>,
    ) -> Result<Self> {
        let mut dimensions = Map::from_iter([("type".to_owned(), Value::from(job_type))]);
        if policy.queue {
            dimensions.insert("queue".to_owned(), Value::from(queue));
        }
        if policy.args {
            let args = value_of(args)?;
            let args = match &policy.args_keys {
                // The specification's examples have an object for args; a list of arguments begins with one.
                Some(keys) => pick(&format!("{field}.args_keys"), "args", args.get(0), keys)?,
                None => args,
            };
            dimensions.insert("args".to_owned(), args);
        }
        if let Some(keys) = &policy.meta_keys {
            let meta = meta.map(value_of).transpose()?;
            dimensions.insert("meta".to_owned(), pick(&format!("{field}.meta_keys"), "meta", meta.as_ref(), keys)?);
        }
        let canonical =
            serde_json_canonicalizer::to_vec(&normalized(Value::Object(dimensions))).map_err(Error::internal)?;
        Ok(Self(Sha256::digest(canonical).into()))
    }

    /// Its bytes, for the table.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads [`Self::bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads its hexadecimal form.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks_exact(2).map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        Self::from_bytes(&digits.collect::<Option<Vec<u8>>>()?)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// It is made from args, which are not for logs.
impl fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UniqueKey")
    }
}

fn value_of(json: &Json) -> Result<Value> {
    serde_json::from_str(json.get()).map_err(Error::internal)
}

fn pick(field: &str, of: &str, value: Option<&Value>, keys: &[String]) -> Result<Value> {
    let members = keys.iter().map(|key| {
        let member = value.and_then(|value| value.as_object()?.get(key)).cloned();
        let place = if of == "args" { "the object that args begin with" } else { of };
        // What a client sends is not repeated at any length.
        let shown: String = key.chars().take(64).collect();
        member
            .map(|member| (key.clone(), member))
            .ok_or_else(|| Error::field(field, format_args!("names '{shown}', which {place} does not have")))
    });
    Ok(Value::Object(members.collect::<Result<Map<_, _>>>()?))
}

/// Integers up to here are exact as the doubles of RFC 8785.
const MAX_EXACT: u64 = 1 << 53;
/// Marks the digits of larger ones: not in NFC, so no text of a client's looks like it.
const LARGE_INTEGER: &str = "e\u{301}";

/// All strings and names in NFC; integers that a double would round, as text.
fn normalized(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.nfc().collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(normalized).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name.nfc().collect(), normalized(value))).collect())
        }
        Value::Number(number) if is_large(&number) => Value::String(format!("{LARGE_INTEGER}{number}")),
        other => other,
    }
}

fn is_large(number: &Number) -> bool {
    number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|size| size > MAX_EXACT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::raw;

    fn key(policy: &str, args: &str, meta: &str) -> Result<String> {
        key_in("q", policy, args, meta)
    }

    fn key_in(queue: &str, policy: &str, args: &str, meta: &str) -> Result<String> {
        let policy = UniquePolicy::parse("u", &raw(policy)?)?;
        UniqueKey::of(&policy, "u", "a.b", queue, &raw(args)?, Some(&raw(meta)?)).map(|key| key.to_string())
    }

    #[test]
    fn the_key_is_the_hash_of_the_canonical_dimensions() {
        let wanted = |text: &str| -> String {
            Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let all = r#"{"keys":["queue","args","meta"],"args_keys":["user_id"],"meta_keys":["t"]}"#;
        assert_eq!(
            key(all, r#"[{"user_id":42,"x":1}, 2]"#, r#"{"t":"acme","trace":"y"}"#).unwrap(),
            wanted(r#"{"args":{"user_id":42},"meta":{"t":"acme"},"queue":"q","type":"a.b"}"#)
        );
        assert_eq!(key("{}", "[1]", "{}").unwrap(), wanted(r#"{"type":"a.b"}"#));
        assert_eq!(
            key(r#"{"keys":["args"]}"#, r#"[ {"b" : 1.0, "a":[ true,null ]}, "\u00e9", 1e3 ]"#, "{}").unwrap(),
            wanted("{\"args\":[{\"a\":[true,null],\"b\":1},\"\u{e9}\",1000],\"type\":\"a.b\"}")
        );
    }

    #[test]
    fn what_means_the_same_has_one_key_and_nothing_else_has() {
        let args = r#"{"keys":["args"]}"#;
        let same = |a: &str, b: &str| key(args, a, "{}").unwrap() == key(args, b, "{}").unwrap();
        for (a, b) in [
            (r#"[{"a":1,"b":2}]"#, r#"[{"b":2,"a":1}]"#),
            ("[1.0, 100]", "[1, 1e2]"),
            // Composed and decomposed, as text and as a name.
            (r#"[{"\u00e9":"\u00e9"}]"#, r#"[{"e\u0301":"e\u0301"}]"#),
            ("[0.1]", "[1e-1]"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("[1,2]", "[2,1]"),
            ("[1]", r#"["1"]"#),
            ("[null]", "[]"),
            ("[9007199254740993]", "[9007199254740992]"),
            ("[18446744073709551615]", "[18446744073709551614]"),
            ("[-9007199254740993]", "[-9007199254740994]"),
            ("[9007199254740993]", r#"["9007199254740993"]"#),
            ("[9007199254740993]", r#"["e\u03019007199254740993"]"#),
            (r#"["a"]"#, r#"["A"]"#),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert_eq!(key_in("q", "{}", "[]", "{}").unwrap(), key_in("r", "{}", "[]", "{}").unwrap());
        let queue = r#"{"keys":["queue"]}"#;
        assert_ne!(key_in("q", queue, "[]", "{}").unwrap(), key_in("r", queue, "[]", "{}").unwrap());
    }

    #[test]
    fn keys_that_are_not_there_are_refused() {
        for (policy, field) in [
            (r#"{"keys":["args"],"args_keys":["user_id"]}"#, "u.args_keys"),
            (r#"{"keys":["meta"],"meta_keys":["tenant"]}"#, "u.meta_keys"),
        ] {
            for args in ["[]", "[1]", r#"[{"other":1}]"#, r#"[1,{"user_id":1}]"#] {
                let error = key(policy, args, r#"{"x":1}"#).unwrap_err();
                assert_eq!(error.details["field"], field, "{policy} {args}");
            }
        }
        assert!(key(r#"{"keys":["args"],"args_keys":["user_id"]}"#, r#"[{"user_id":null}]"#, "{}").is_ok());
    }
}
