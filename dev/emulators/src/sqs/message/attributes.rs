//! Reading, checking and filtering message attributes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::contents::check_characters;
use super::{AttributeData, MessageAttribute};
use crate::sqs::http::errors::SqsError;

/// Attributes by name, as they come and go in JSON.
pub(crate) type WireAttributes = BTreeMap<String, WireAttribute>;

const MAX_ATTRIBUTES: usize = 10;
const MAX_NAME_CHARS: usize = 256;
const TRACE_HEADER: &str = "AWSTraceHeader";

/// A message attribute in JSON.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct WireAttribute {
    pub(crate) data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary_value: Option<String>,
    #[serde(skip_serializing)]
    string_list_values: Option<Vec<String>>,
    #[serde(skip_serializing)]
    binary_list_values: Option<Vec<String>>,
}

impl From<&MessageAttribute> for WireAttribute {
    fn from(attribute: &MessageAttribute) -> Self {
        let (string_value, binary_value) = match &attribute.data {
            AttributeData::Text(text) => (Some(text.clone()), None),
            AttributeData::Binary(bytes) => (None, Some(BASE64.encode(bytes))),
        };
        let data_type = Some(attribute.data_type.clone());
        Self { data_type, string_value, binary_value, ..Self::default() }
    }
}

/// Checks the custom attributes of a message; they come out sorted by name.
pub(crate) fn read_attributes(wire: WireAttributes) -> Result<Vec<MessageAttribute>, SqsError> {
    if wire.len() > MAX_ATTRIBUTES {
        return Err(SqsError::invalid_parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_ATTRIBUTES}].",
            wire.len()
        )));
    }
    wire.into_iter().map(|(name, attribute)| read_attribute(name, attribute)).collect()
}

/// Checks the system attributes of a message: only the X-Ray header may be set.
pub(crate) fn read_trace_header(wire: WireAttributes) -> Result<Option<MessageAttribute>, SqsError> {
    let mut header = None;
    for (name, attribute) in wire {
        if name != TRACE_HEADER {
            return Err(SqsError::invalid_parameter(format!("Message system attribute name '{name}' is invalid.")));
        }
        if attribute.data_type.as_deref() != Some("String") {
            return Err(bad_attribute(&name, "has an invalid type. It must be String."));
        }
        header = Some(read_attribute(name, attribute)?);
    }
    Ok(header)
}

fn bad_attribute(name: &str, what: &str) -> SqsError {
    SqsError::invalid_parameter(format!("The message attribute '{name}' {what}"))
}

fn read_attribute(name: String, wire: WireAttribute) -> Result<MessageAttribute, SqsError> {
    if name != TRACE_HEADER {
        check_name(&name)?;
    }
    let data_type = wire
        .data_type
        .filter(|data_type| !data_type.is_empty())
        .ok_or_else(|| bad_attribute(&name, "must contain a non-empty message attribute type."))?;
    if wire.string_list_values.is_some_and(|list| !list.is_empty())
        || wire.binary_list_values.is_some_and(|list| !list.is_empty())
    {
        return Err(SqsError::invalid_parameter(
            "Message attribute list values in SendMessage operation are not supported.",
        ));
    }
    if data_type.len() > MAX_NAME_CHARS {
        return Err(bad_attribute(&name, "has a type of more than 256 characters."));
    }
    let basic_type = data_type.split('.').next().unwrap_or_default();
    let data = match (basic_type, wire.string_value, wire.binary_value) {
        ("String" | "Number", Some(text), None) => {
            check_text(&name, basic_type, &text)?;
            AttributeData::Text(text)
        }
        ("Binary", None, Some(encoded)) => {
            let bytes = BASE64
                .decode(encoded.as_bytes())
                .map_err(|_| bad_attribute(&name, "has a binary value that is not base64."))?;
            AttributeData::Binary(bytes)
        }
        ("String" | "Number" | "Binary", None, None) => {
            return Err(bad_attribute(&name, &format!("must contain a non-empty value of type {basic_type}.")));
        }
        ("String" | "Number" | "Binary", ..) => {
            return Err(bad_attribute(&name, &format!("must use the value field of its type {basic_type}.")));
        }
        _ => {
            return Err(bad_attribute(
                &name,
                "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
            ));
        }
    };
    if data.size_bytes() == 0 {
        return Err(bad_attribute(&name, &format!("must contain a non-empty value of type {basic_type}.")));
    }
    Ok(MessageAttribute { name, data_type, data })
}

fn check_text(name: &str, basic_type: &str, text: &str) -> Result<(), SqsError> {
    check_characters(text, "message attribute")?;
    if basic_type == "Number" && !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(bad_attribute(name, "has a value that is not a number."));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let lower = name.to_ascii_lowercase();
    let ok = (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.");
    if ok {
        return Ok(());
    }
    Err(SqsError::invalid_parameter(
        "Message (user) attribute name can contain upper and lower score alphabets, digits, periods, \
         hyphens and underscores; it must not start or end with a period, contain successive periods, \
         or start with AWS. or Amazon., and has at most 256 characters.",
    ))
}

/// Which custom attributes a receiver asked for.
#[derive(Debug, Default)]
pub(crate) struct AttributeFilter {
    all: bool,
    prefixes: Vec<String>,
    names: Vec<String>,
}

impl AttributeFilter {
    /// `All`, `.*`, `prefix.*` or plain names.
    pub(crate) fn new(wanted: Vec<String>) -> Self {
        let mut filter = Self::default();
        for name in wanted {
            if name == "All" || name == ".*" {
                filter.all = true;
            } else if let Some(prefix) = name.strip_suffix(".*") {
                filter.prefixes.push(prefix.to_owned());
            } else {
                filter.names.push(name);
            }
        }
        filter
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.all
            || self.names.iter().any(|wanted| wanted == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}
