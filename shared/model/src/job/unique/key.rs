//! The fingerprint that duplicates share (unique jobs section 4).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::{UniquePolicy, number};
use crate::error::{Error, Result};
use crate::json::Json;

/// SHA-256 of a job's canonical dimensions. Made from args, so never logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueKey([u8; 32]);

impl UniqueKey {
    /// The key of a job under `policy`: RFC 8785 of an object of the dimensions, its strings in NFC. Numbers that a double
    /// would round keep their digits, so that large ids and long decimals stay apart.
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
            let meta = meta.map(|meta| value_of(meta)).transpose()?;
            dimensions.insert("meta".to_owned(), pick(&format!("{field}.meta_keys"), "meta", meta.as_ref(), keys)?);
        }
        let canonical = serde_json_canonicalizer::to_vec(&Value::Object(dimensions)).map_err(Error::internal)?;
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

/// A client's JSON in normal form: strings and names in NFC, numbers by their exact value.
fn value_of(json: &RawValue) -> Result<Value> {
    let text = json.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::String(nfc(&serde_json::from_str::<String>(text).map_err(Error::internal)?)),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(Error::internal)?;
            Value::Array(items.into_iter().map(value_of).collect::<Result<_>>()?)
        }
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(Error::internal)?;
            let members = members.into_iter().map(|(name, value)| Ok((nfc(&name), value_of(value)?)));
            Value::Object(members.collect::<Result<_>>()?)
        }
        Some(b'-' | b'0'..=b'9') => number::canonical(text),
        _ => serde_json::from_str(text).map_err(Error::internal)?,
    })
}

fn nfc(text: &str) -> String {
    text.nfc().collect()
}

fn pick(field: &str, of: &str, value: Option<&Value>, keys: &[String]) -> Result<Value> {
    let members = keys.iter().map(|key| {
        let name = nfc(key);
        let member = value.and_then(|value| value.as_object()?.get(&name)).cloned();
        let place = if of == "args" { "the object that args begin with" } else { of };
        // What a client sends is not repeated at any length.
        let shown: String = key.chars().take(64).collect();
        member
            .map(|member| (name, member))
            .ok_or_else(|| Error::field(field, format_args!("names '{shown}', which {place} does not have")))
    });
    Ok(Value::Object(members.collect::<Result<Map<_, _>>>()?))
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
            ("[18446744073709551616]", "[18446744073709551617]"),
            ("[0.1]", "[0.10000000000000001]"),
            ("[-9007199254740993]", "[-9007199254740994]"),
            ("[9007199254740993]", r#"["9007199254740993"]"#),
            ("[9007199254740993]", r#"["e\u03019007199254740993e16"]"#),
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
