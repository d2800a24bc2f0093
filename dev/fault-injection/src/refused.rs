//! What AWS bills for a write that DynamoDB refuses: a refused condition takes as many units as the write would have, by
//! the larger of the item that is there and the new one, and each write of a refused transaction takes twice that. The
//! emulator counts nothing for them, and no answer tells.

use serde_json::Value;

/// Bytes in a write unit.
const UNIT: usize = 1_024;
/// A transaction prepares each write, and then does it.
const TRANSACTED: f64 = 2.0;

/// Write units of a call that was answered with an error; 0 for errors other than a refused condition.
///
/// The item that is there counts as far as the answer shows it, which it does where the request asks for it; one that it
/// does not show counts one unit.
pub(crate) fn write_units(action: &str, request: &Value, answer: &Value) -> f64 {
    let error = answer["__type"].as_str().map_or("", |name| name.rsplit('#').next().unwrap_or(name));
    match (action, error) {
        ("PutItem" | "UpdateItem" | "DeleteItem", "ConditionalCheckFailedException") => {
            units(&request["Item"], &answer["Item"])
        }
        ("TransactWriteItems", "TransactionCanceledException") => {
            let none = Vec::new();
            let reasons = answer["CancellationReasons"].as_array().unwrap_or(&none);
            if !reasons.iter().any(|reason| reason["Code"] == "ConditionalCheckFailed") {
                return 0.0;
            }
            let writes = request["TransactItems"].as_array().unwrap_or(&none);
            let there = reasons.iter().map(|reason| &reason["Item"]);
            writes.iter().zip(there).map(|(write, there)| TRANSACTED * units(&write["Put"]["Item"], there)).sum()
        }
        _ => 0.0,
    }
}

/// Units of one write, by its item before and after; either may be `null`.
#[allow(clippy::cast_precision_loss, reason = "an item has 400 units at most")]
fn units(new: &Value, there: &Value) -> f64 {
    item_bytes(new).max(item_bytes(there)).div_ceil(UNIT).max(1) as f64
}

/// Bytes of names and values.
fn item_bytes(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// Bytes of one typed value; our items hold strings, numbers, bytes and sets.
fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let one = |kind: &str, value: &Value| match kind {
        "S" => text(value),
        // Base64.
        "B" => text(value) / 4 * 3,
        // Two digits a byte, and one for sign and exponent.
        "N" => text(value).div_ceil(2) + 1,
        _ => 1,
    };
    match (kind.strip_suffix('S').filter(|kind| !kind.is_empty()), value) {
        (Some(kind), Value::Array(values)) => values.iter().map(|value| one(kind, value)).sum(),
        _ => one(kind, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const REFUSED: &str = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    const CANCELLED: &str = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";

    fn item(bytes: usize) -> Value {
        json!({"a": {"S": "x".repeat(bytes.saturating_sub(1))}})
    }

    #[test]
    fn a_refused_write_costs_what_it_would_have_cost() {
        for (action, error, request, answer, wanted) in [
            // Without the item, at least one.
            ("UpdateItem", REFUSED, json!({}), json!({}), 1.0),
            ("DeleteItem", REFUSED, json!({}), json!({"Item": item(100)}), 1.0),
            ("UpdateItem", REFUSED, json!({}), json!({"Item": item(1_024)}), 1.0),
            ("UpdateItem", REFUSED, json!({}), json!({"Item": item(1_025)}), 2.0),
            // The larger of both.
            ("PutItem", REFUSED, json!({"Item": item(3_000)}), json!({"Item": item(10)}), 3.0),
            ("PutItem", REFUSED, json!({"Item": item(10)}), json!({"Item": item(3_000)}), 3.0),
            ("UpdateItem", "x#ThrottlingException", json!({}), json!({}), 0.0),
            ("GetItem", REFUSED, json!({}), json!({}), 0.0),
        ] {
            let mut answer = answer;
            answer["__type"] = error.into();
            let found = write_units(action, &request, &answer);
            assert!((found - wanted).abs() < 1e-9, "{action} {request} {answer}: {found}");
        }
    }

    #[test]
    fn a_refused_transaction_costs_two_of_each_write() {
        let request = json!({"TransactItems": [
            {"Put": {"Item": item(1_500)}}, {"Update": {}}, {"ConditionCheck": {}}
        ]});
        let reasons = |code: &str| {
            let reasons = json!([{"Code": "None"}, {"Code": code, "Item": item(2_100)}, {"Code": "None"}]);
            json!({"__type": CANCELLED, "CancellationReasons": reasons})
        };
        let found = write_units("TransactWriteItems", &request, &reasons("ConditionalCheckFailed"));
        assert!((found - (4.0 + 6.0 + 2.0)).abs() < 1e-9, "{found}");
        assert!(write_units("TransactWriteItems", &request, &reasons("TransactionConflict")).abs() < 1e-9);
    }

    #[test]
    fn values_are_as_large_as_dynamodb_takes_them_to_be() {
        for (value, bytes) in [
            (json!({"S": "abc"}), 3),
            (json!({"N": "12345"}), 4),
            (json!({"B": "AAAA"}), 3),
            (json!({"NS": ["1", "23"]}), 4),
            (json!({"SS": ["a", "bc"]}), 3),
            (json!({"BOOL": true}), 1),
            (json!(null), 0),
        ] {
            assert_eq!(value_bytes(&value), bytes, "{value}");
        }
    }
}
