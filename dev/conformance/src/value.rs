//! How JSON values are compared as numbers and shown as text.

use serde_json::{Number, Value};

/// Longest excerpt of a value in a message.
const SHOWN: usize = 200;

/// A number as text; an integral one without a fraction, so `3.0` reads `3`.
#[must_use]
pub fn number_text(number: &Number) -> String {
    match number.as_f64() {
        // Adding zero turns -0.0 into 0.0.
        Some(f) if !is_integer(number) && f.fract() == 0.0 => format!("{:.0}", f + 0.0),
        _ => number.to_string(),
    }
}

/// A value as the official runner prints it when it compares an element with a word
/// (Go's `%v`; integral numbers always in full).
#[must_use]
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => number_text(n),
        Value::String(s) => s.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", plain_text(v))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// Whether two numbers are equal: integral ones exactly, others within 1e-9.
#[must_use]
pub fn same_number(a: &Number, b: &Number) -> bool {
    match (integral(a), integral(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-9),
    }
}

/// An excerpt of a value for a message, as JSON.
#[must_use]
pub fn excerpt(value: &Value) -> String {
    shorten(&value.to_string())
}

/// Cuts a text for a message.
#[must_use]
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

fn integral(number: &Number) -> Option<i128> {
    if let Some(i) = number.as_i64() {
        return Some(i.into());
    }
    if let Some(u) = number.as_u64() {
        return Some(u.into());
    }
    // Beyond 1e30 the cast would saturate; such numbers are compared as floats.
    number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e30).map(|f| f as i128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_texts() {
        for (value, text) in [
            (json!("a b"), "a b"),
            (json!(3), "3"),
            (json!(3.0), "3"),
            (json!(-0.0), "0"),
            (json!(1_000_000), "1000000"),
            (json!(0.5), "0.5"),
            (json!(true), "true"),
            (json!(null), "<nil>"),
            (json!([1, "x", null]), "[1 x <nil>]"),
            (json!({"b": 1, "a": [2]}), "map[a:[2] b:1]"),
        ] {
            assert_eq!(plain_text(&value), text);
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        for (a, b, same) in [
            ("1", "1.0", true),
            ("1", "2", false),
            ("1", "1.0000000001", true),
            ("1", "1.001", false),
            ("9007199254740993", "9007199254740992", false),
            ("18446744073709551615", "18446744073709551615", true),
            ("-1", "1", false),
            ("1e40", "1e40", true),
        ] {
            let (a, b): (Number, Number) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(same_number(&a, &b), same, "{a} {b}");
        }
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long = "ä".repeat(300);
        assert_eq!(shorten(&long), format!("{}...", "ä".repeat(SHOWN)));
        assert_eq!(shorten("ab"), "ab");
    }
}
