//! Attributes: their names as constants, their values in short.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

/// An item as the SDK has it.
pub(in crate::store) type Item = HashMap<String, AttributeValue>;

/// The stored name of an attribute. Each item kind lists its own, because the same two letters mean different things in
/// different items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Attribute(pub(in crate::store) &'static str);

impl Attribute {
    pub(in crate::store) const fn name(self) -> &'static str {
        self.0
    }
}

impl AsRef<str> for Attribute {
    fn as_ref(&self) -> &str {
        self.0
    }
}

/// Defines the attributes of an item kind as constants, and `ALL` of them for the check against the documentation.
macro_rules! attributes {
    ($($(#[$doc:meta])+ $constant:ident = $name:literal;)+) => {
        $($(#[$doc])+ pub(in crate::store) const $constant: $crate::store::dynamo::attributes::Attribute =
            $crate::store::dynamo::attributes::Attribute($name);)+

        /// The stored names of all attributes of this item kind.
        #[cfg(test)]
        pub(in crate::store) const ALL: &[&str] = &[$($name),+];
    };
}
pub(in crate::store) use attributes;

/// Partition key of every item.
pub(in crate::store) const PK: Attribute = Attribute("pk");
/// Sort key of every item.
pub(in crate::store) const SK: Attribute = Attribute("sk");

pub(in crate::store) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(in crate::store) fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(in crate::store) fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// Takes a string out of an item.
pub(in crate::store) fn take_s(item: &mut Item, name: impl AsRef<str>) -> Option<String> {
    match item.remove(name.as_ref())? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// Takes bytes out of an item.
pub(in crate::store) fn take_b(item: &mut Item, name: impl AsRef<str>) -> Option<Vec<u8>> {
    match item.remove(name.as_ref())? {
        AttributeValue::B(bytes) => Some(bytes.into_inner()),
        _ => None,
    }
}

/// Reads a number that is not negative.
pub(in crate::store) fn get_u64(item: &Item, name: impl AsRef<str>) -> Option<u64> {
    item.get(name.as_ref())?.as_n().ok()?.parse().ok()
}

/// Reads a number of an item.
pub(in crate::store) fn get_n(item: &Item, name: impl AsRef<str>) -> Option<i64> {
    item.get(name.as_ref())?.as_n().ok()?.parse().ok()
}

/// Reads a string of an item.
pub(in crate::store) fn get_s(item: &Item, name: impl AsRef<str>) -> Option<&String> {
    item.get(name.as_ref())?.as_s().ok()
}

/// Whether an item has an attribute.
pub(in crate::store) fn has(item: &Item, name: Attribute) -> bool {
    item.contains_key(name.name())
}

/// Size of an item as DynamoDB counts it, bytes: names and values.
pub(in crate::store) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        // Two digits a byte, and one for the sign and exponent.
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        _ => 1,
    }
}
