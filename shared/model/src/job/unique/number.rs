//! Numbers by their exact decimal value, so that large ids and long decimals stay apart.

use serde_json::{Number, Value};

/// Marks the digits of numbers that a double rounds: not in NFC, so no text of a client's looks like it.
const EXACT: &str = "e\u{301}";

/// A decimal number in its one normal form: `0.` and `digits`, times ten to the power of `exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. Nothing is expanded: `1e999999` is as short as it came.
    fn parse(text: &str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = all.len() - significant.len();
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        let length = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let exponent = power(exponent).saturating_add(length(whole.len())).saturating_sub(length(leading));
        Self { negative, digits, exponent }
    }
}

/// The exponent of a JSON number; one beyond 64 bits is as large as can be.
fn power(text: &str) -> i64 {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let beyond = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    digits.parse().unwrap_or(beyond)
}

/// A JSON number for the canonical form: as RFC 8785 has it where a double is that very number, else by its digits.
pub(super) fn canonical(text: &str) -> Value {
    let exact = Decimal::parse(text);
    let double = text.parse::<f64>().ok().filter(|double| double.is_finite());
    // The shortest text that reads back as this double is what RFC 8785 writes.
    let shown = double.map(|double| Decimal::parse(&format!("{double:e}")));
    match double.and_then(Number::from_f64) {
        Some(number) if shown.as_ref() == Some(&exact) => Value::Number(number),
        _ => {
            let sign = if exact.negative { "-" } else { "" };
            Value::String(format!("{EXACT}{sign}{}e{}", exact.digits, exact.exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_if_their_decimal_values_are() {
        for (a, b) in [
            ("1", "1.000"),
            ("100", "1e2"),
            ("0", "-0.0e7"),
            ("0.1", "1E-1"),
            ("18446744073709551616", "18446744073709551616.0"),
            ("18446744073709551616", "1844674407370955161.6e+1"),
            ("100000000000000000000", "1e20"),
            ("-0.00120", "-12e-4"),
            ("0e99999999999999999999999", "0"),
        ] {
            assert_eq!(canonical(a), canonical(b), "{a} {b}");
        }
    }

    #[test]
    fn numbers_that_differ_in_any_digit_stay_apart() {
        let uint256 = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        let before = "115792089237316195423570985008687907853269984665640564039457584007913129639934";
        for (a, b) in [
            ("18446744073709551616", "18446744073709551617"),
            ("-18446744073709551616", "18446744073709551616"),
            (uint256, before),
            ("340282366920938463463374607431768211455", "340282366920938463463374607431768211456"),
            ("0.1", "0.1000000000000000055511151231257827"),
            ("9007199254740992", "9007199254740993"),
            ("1e-999999", "0"),
            ("1e-999999", "1e-999998"),
            ("1", "10"),
        ] {
            assert_ne!(canonical(a), canonical(b), "{a} {b}");
        }
    }
}
