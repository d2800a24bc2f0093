//! Matchers: what a test case may say about one value.
//!
//! "None" is a missing value or JSON `null`; the two are the same to every matcher except the
//! keys of an object matcher.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::value::{excerpt, plain_text, same_number};

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("a constant pattern compiles"));
    };
}

pattern!(UUID, r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$");
pattern!(UUID_V7, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
pattern!(DATE_TIME, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$");
pattern!(RANGE, r"^number:range\((-?[0-9.]+),\s*(-?[0-9.]+)\)$");
pattern!(ABOUT, r"^~([0-9.]+)$");

/// Share of N that `~N` tolerates on either side.
const ABOUT_SHARE: f64 = 0.5;

/// What a value was expected to be, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where below the matched value, such as `.a[1]`; empty for the value itself.
    pub at: String,
    /// What was wanted.
    pub expected: String,
    /// What was there.
    pub got: String,
}

impl Mismatch {
    /// A mismatch of the value itself.
    #[must_use]
    pub fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { at: String::new(), expected: expected.into(), got: got.into() }
    }

    fn below(mut self, place: &str) -> Self {
        self.at.insert_str(0, place);
        self
    }
}

/// Compares `got` with the matcher `want`.
///
/// # Errors
/// [`Mismatch`] with the first difference.
pub fn check(want: &Value, got: &Value) -> Result<(), Mismatch> {
    match want {
        Value::Null => need(got.is_null(), "null", got),
        Value::String(text) => check_word(text, got),
        Value::Number(number) => {
            let same = got.as_number().is_some_and(|n| same_number(number, n));
            need(same, &number.to_string(), got)
        }
        Value::Bool(flag) => need(got.as_bool() == Some(*flag), &flag.to_string(), got),
        Value::Array(items) => check_items(items, got),
        Value::Object(map) => check_object(map, got),
    }
}

fn need(holds: bool, expected: &str, got: &Value) -> Result<(), Mismatch> {
    if holds { Ok(()) } else { Err(Mismatch::new(expected, excerpt(got))) }
}

/// A string matcher, taken apart.
enum Word<'a> {
    Any,
    Absent,
    Exists,
    NonEmptyString,
    Pattern(&'a Regex),
    OwnPattern(&'a str),
    Substring(&'a str),
    Positive,
    NonNegative,
    Range(f64, f64),
    About(f64),
    NonEmptyArray,
    EmptyArray,
    MinLength(usize),
    Length(usize),
    Contains(&'a str),
    NotContains(&'a str),
    Literal(&'a str),
    /// Looks like a matcher with a parameter, but the parameter makes no sense.
    Malformed,
}

fn parse_word(text: &str) -> Word<'_> {
    match text {
        "any" => return Word::Any,
        "absent" => return Word::Absent,
        "exists" => return Word::Exists,
        "string:nonempty" | "string:non_empty" => return Word::NonEmptyString,
        "string:uuid" => return Word::Pattern(&UUID),
        "string:uuidv7" => return Word::Pattern(&UUID_V7),
        "string:datetime" => return Word::Pattern(&DATE_TIME),
        "number:positive" => return Word::Positive,
        "number:non_negative" => return Word::NonNegative,
        "array:nonempty" => return Word::NonEmptyArray,
        "array:empty" => return Word::EmptyArray,
        _ => {}
    }
    let after = |prefix: &str| text.strip_prefix(prefix);
    let between = |prefix: &str| after(prefix).and_then(|rest| rest.strip_suffix(')'));
    if let Some(n) = after("array:min_length:").or_else(|| after("array:min:")) {
        n.parse().map_or(Word::Malformed, Word::MinLength)
    } else if let Some(n) = after("array:length:").or_else(|| between("array:length(")) {
        n.parse().map_or(Word::Malformed, Word::Length)
    } else if let Some(part) = after("contains:") {
        Word::Contains(part)
    } else if let Some(part) = after("not_contains:") {
        Word::NotContains(part)
    } else if let Some(part) = after("string:contains:") {
        Word::Substring(part)
    } else if let Some(found) = RANGE.captures(text) {
        match (found[1].parse(), found[2].parse()) {
            (Ok(low), Ok(high)) => Word::Range(low, high),
            _ => Word::Malformed,
        }
    } else if let Some(found) = ABOUT.captures(text) {
        found[1].parse().map_or(Word::Malformed, Word::About)
    } else if let Some(regex) = between("string:pattern(") {
        Word::OwnPattern(regex)
    } else {
        Word::Literal(text)
    }
}

fn check_word(text: &str, got: &Value) -> Result<(), Mismatch> {
    let string = |test: &dyn Fn(&str) -> bool| got.as_str().is_some_and(test);
    let number = |test: &dyn Fn(f64) -> bool| got.as_f64().is_some_and(test);
    let array = |test: &dyn Fn(&[Value]) -> bool| got.as_array().is_some_and(|items| test(items));
    let has = |items: &[Value], part: &str| items.iter().any(|item| plain_text(item) == part);

    let holds = match parse_word(text) {
        Word::Any => true,
        Word::Absent => got.is_null(),
        Word::Exists => !got.is_null(),
        Word::NonEmptyString => string(&|s| !s.is_empty()),
        Word::Pattern(regex) => string(&|s| regex.is_match(s)),
        Word::OwnPattern(regex) => return check_regex(regex, got),
        Word::Substring(part) => string(&|s| s.contains(part)),
        Word::Positive => number(&|n| n > 0.0),
        Word::NonNegative => number(&|n| n >= 0.0),
        Word::Range(low, high) => number(&|n| (low..=high).contains(&n)),
        Word::About(near) => number(&|n| (n - near).abs() <= near * ABOUT_SHARE),
        Word::NonEmptyArray => array(&|items| !items.is_empty()),
        Word::EmptyArray => array(&<[Value]>::is_empty),
        Word::MinLength(least) => array(&|items| items.len() >= least),
        Word::Length(length) => array(&|items| items.len() == length),
        Word::Contains(part) => array(&|items| has(items, part)),
        Word::NotContains(part) => array(&|items| !has(items, part)),
        Word::Literal(wanted) => {
            let quoted = Value::from(wanted).to_string();
            return need(got.as_str() == Some(wanted), &quoted, got);
        }
        Word::Malformed => return need(false, &format!("{text} (malformed matcher)"), got),
    };
    need(holds, text, got)
}

/// Searches for a pattern of the test case.
pub(crate) fn check_regex(text: &str, got: &Value) -> Result<(), Mismatch> {
    match Regex::new(text) {
        Ok(regex) => need(got.as_str().is_some_and(|s| regex.is_match(s)), &format!("match for /{text}/"), got),
        Err(_) => need(false, &format!("match for /{text}/ (malformed pattern)"), got),
    }
}

fn check_items(wants: &[Value], got: &Value) -> Result<(), Mismatch> {
    let Some(items) = got.as_array().filter(|items| items.len() == wants.len()) else {
        return need(false, &format!("array of length {}", wants.len()), got);
    };
    for (i, (want, item)) in wants.iter().zip(items).enumerate() {
        check(want, item).map_err(|m| m.below(&format!("[{i}]")))?;
    }
    Ok(())
}

/// An operator (the first of these keys decides) or else the keys an object must have.
fn check_object(want: &Map<String, Value>, got: &Value) -> Result<(), Mismatch> {
    let shown = || excerpt(&Value::Object(want.clone()));
    if let Some(exists) = want.get("$exists") {
        return check_exists(exists, want.get("$type"), got).map_err(|()| Mismatch::new(shown(), excerpt(got)));
    }
    if let Some(regex) = want.get("$match") {
        return regex.as_str().map_or_else(|| need(false, &shown(), got), |regex| check_regex(regex, got));
    }
    if let Some(choices) = want.get("$in") {
        return check_choices(choices, got).map_err(|()| Mismatch::new(shown(), excerpt(got)));
    }
    if let Some(size) = want.get("$size") {
        return need(size_holds(size, got), &shown(), got);
    }
    if let Some(choices) = want.get("$or") {
        return check_choices(choices, got).map_err(|()| Mismatch::new(shown(), excerpt(got)));
    }
    if want.contains_key("$empty") {
        return Ok(());
    }
    if let Some(range) = want.get("range") {
        let low = range.get("min").and_then(Value::as_f64).unwrap_or(f64::NEG_INFINITY);
        let high = range.get("max").and_then(Value::as_f64).unwrap_or(f64::INFINITY);
        return need(got.as_f64().is_some_and(|n| (low..=high).contains(&n)), &shown(), got);
    }
    check_fields(want, got)
}

fn check_exists(exists: &Value, kind: Option<&Value>, got: &Value) -> Result<(), ()> {
    if exists.as_bool() != Some(!got.is_null()) {
        return Err(());
    }
    match kind.and_then(Value::as_str) {
        Some(kind) if !got.is_null() && kind != type_name(got) => Err(()),
        _ => Ok(()),
    }
}

fn check_choices(choices: &Value, got: &Value) -> Result<(), ()> {
    let choices = choices.as_array().ok_or(())?;
    if choices.iter().any(|choice| check(choice, got).is_ok()) { Ok(()) } else { Err(()) }
}

fn size_holds(size: &Value, got: &Value) -> bool {
    let Some(length) = got.as_array().map(|items| items.len() as u64) else {
        return false;
    };
    match size {
        Value::Object(map) => map.get("$gte").and_then(Value::as_u64).is_some_and(|least| length >= least),
        exact => exact.as_f64() == Some(length as f64),
    }
}

fn check_fields(want: &Map<String, Value>, got: &Value) -> Result<(), Mismatch> {
    let Some(fields) = got.as_object() else {
        return need(false, "object", got);
    };
    for (key, want) in want {
        let place = format!(".{key}");
        match fields.get(key) {
            // Here, and only here, a key that holds null counts as present.
            Some(value) if want == "absent" => need(false, "absent", value).map_err(|m| m.below(&place))?,
            Some(value) => check(want, value).map_err(|m| m.below(&place))?,
            None if want == "absent" => {}
            None => return Err(Mismatch::new("field", "missing").below(&place)),
        }
    }
    Ok(())
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Asserts which of `yes` and `no` the matcher accepts.
    fn table(want: &Value, yes: &[Value], no: &[Value]) {
        for got in yes {
            assert_eq!(check(want, got), Ok(()), "{want} should accept {got}");
        }
        for got in no {
            assert!(check(want, got).is_err(), "{want} should refuse {got}");
        }
    }

    #[test]
    fn presence() {
        let all = [json!(null), json!(""), json!(0), json!(false), json!([]), json!({})];
        table(&json!(null), &all[..1], &all[1..]);
        table(&json!("any"), &all, &[]);
        table(&json!("absent"), &all[..1], &all[1..]);
        table(&json!("exists"), &all[1..], &all[..1]);
    }

    #[test]
    fn strings() {
        let v4 = json!("1b4e28ba-2fa1-41d2-883f-0016d3cca427");
        let v7 = json!("019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f");
        let upper = json!("019461A8-1A2B-7C3D-8E4F-5A6B7C8D9E0F");
        let variant = json!("019461a8-1a2b-7c3d-ce4f-5a6b7c8d9e0f");
        for word in ["string:nonempty", "string:non_empty"] {
            table(&json!(word), &[json!(" "), json!("a")], &[json!(""), json!(null), json!(1), json!(["a"])]);
        }
        table(
            &json!("string:uuid"),
            &[v4.clone(), v7.clone(), variant.clone()],
            &[upper.clone(), json!("x"), json!(1)],
        );
        table(&json!("string:uuidv7"), &[v7], &[v4, upper, variant, json!(null), json!("019461a8")]);
        table(
            &json!("string:datetime"),
            &[
                json!("2026-01-02T03:04:05Z"),
                json!("2026-01-02T03:04:05.123+09:00"),
                json!("2026-01-02T03:04:05-00:00"),
            ],
            &[
                json!("2026-01-02"),
                json!("2026-01-02 03:04:05Z"),
                json!("2026-01-02T03:04:05"),
                json!("2026-01-02T03:04:05.Z"),
                json!(1),
            ],
        );
        table(
            &json!("string:contains:b:c"),
            &[json!("ab:cd"), json!("b:c")],
            &[json!("bc"), json!(["b:c"]), json!(null)],
        );
        table(&json!("string:pattern(^a.(b|c)$)"), &[json!("axb"), json!("axc")], &[json!("axbx"), json!(1)]);
        table(&json!("string:pattern(x)"), &[json!("axb")], &[json!("ab")]);
        table(&json!("string:pattern([)"), &[], &[json!("["), json!("string:pattern([)")]);
        table(&json!("plain"), &[json!("plain")], &[json!("Plain"), json!("plain "), json!(null), json!(["plain"])]);
        table(&json!("42"), &[json!("42")], &[json!(42)]);
        table(&json!(""), &[json!("")], &[json!(null), json!("x")]);
    }

    #[test]
    fn numbers() {
        table(
            &json!("number:positive"),
            &[json!(1), json!(0.1)],
            &[json!(0), json!(-1), json!("1"), json!(true), json!(null)],
        );
        table(&json!("number:non_negative"), &[json!(0), json!(2)], &[json!(-0.1), json!("0"), json!(false)]);
        for word in ["number:range(400,422)", "number:range(400, 422)"] {
            table(
                &json!(word),
                &[json!(400), json!(422), json!(410.5)],
                &[json!(399), json!(423), json!("400"), json!(null)],
            );
        }
        table(&json!("number:range(-1.5,-0.5)"), &[json!(-1)], &[json!(0), json!(-2)]);
        table(&json!("number:range(1.2.3,4)"), &[], &[json!(1), json!(4)]);
        table(&json!("~1000"), &[json!(500), json!(1500), json!(1000)], &[json!(499), json!(1501), json!("1000")]);
        table(&json!("~0.5"), &[json!(0.25), json!(0.75)], &[json!(0.2), json!(0.8)]);
        table(&json!("~1.2.3"), &[], &[json!(1), json!("~1.2.3")]);
        table(&json!("~x"), &[json!("~x")], &[json!(1)]);
        table(&json!(3), &[json!(3), json!(3.0)], &[json!(4), json!("3"), json!(true), json!(null)]);
        table(&json!(2.25), &[json!(2.25), json!(2.250_000_000_1)], &[json!(2.26), json!(2)]);
        table(&json!({"range": {"min": 1, "max": 3}}), &[json!(1), json!(2)], &[json!(0), json!(4), json!("2")]);
        table(&json!({"range": {"min": 1}}), &[json!(1), json!(1e9)], &[json!(0)]);
        table(&json!({"range": {"max": 1}}), &[json!(1), json!(-1e9)], &[json!(2), json!(null)]);
    }

    #[test]
    fn booleans() {
        table(&json!(true), &[json!(true)], &[json!(false), json!("true"), json!(1), json!(null)]);
        table(&json!(false), &[json!(false)], &[json!(true), json!(0), json!(null)]);
    }

    #[test]
    fn arrays() {
        let (none, one, two) = (json!([]), json!([1]), json!([1, 2]));
        table(&json!("array:nonempty"), &[one.clone(), two.clone()], &[none.clone(), json!("x"), json!(null)]);
        table(&json!("array:empty"), std::slice::from_ref(&none), &[one.clone(), json!(""), json!(null), json!({})]);
        for word in ["array:min_length:1", "array:min:1"] {
            table(&json!(word), &[one.clone(), two.clone()], &[none.clone(), json!("ab"), json!(null)]);
        }
        for word in ["array:length:1", "array:length(1)"] {
            table(&json!(word), std::slice::from_ref(&one), &[none.clone(), two.clone(), json!("a")]);
        }
        for word in ["array:min:x", "array:min_length:", "array:length:x", "array:length(x)"] {
            table(&json!(word), &[], &[none.clone(), one.clone(), json!(word)]);
        }
        table(&json!("contains:b"), &[json!(["a", "b"])], &[json!(["a"]), json!("b"), json!([]), json!(null)]);
        table(&json!("contains:2"), &[json!(["2"]), json!([2]), json!([2.0])], &[json!([22])]);
        table(&json!("contains:true"), &[json!([true])], &[json!([false])]);
        table(&json!("not_contains:b"), &[json!(["a"]), json!([])], &[json!(["a", "b"]), json!("a"), json!(null)]);
        table(&json!([]), std::slice::from_ref(&none), &[one.clone(), json!(null), json!({})]);
        table(&json!([1, "any"]), &[two.clone(), json!([1, null])], &[one.clone(), json!([2, 2]), json!([1, 2, 3])]);
        table(&json!({"$size": 1}), std::slice::from_ref(&one), &[none.clone(), two.clone(), json!("a"), json!(null)]);
        table(&json!({"$size": {"$gte": 1}}), &[one.clone(), two], &[none, json!(null)]);
        table(&json!({"$size": {"$lt": 1}}), &[], &[one]);
    }

    #[test]
    fn objects() {
        table(
            &json!({"a": 1, "b": {"c": "string:nonempty"}}),
            &[json!({"a": 1, "b": {"c": "x"}, "more": 1})],
            &[json!({"a": 1}), json!({"a": 1, "b": {}}), json!({"a": 2, "b": {"c": "x"}}), json!([]), json!(null)],
        );
        table(
            &json!({"a": "absent"}),
            &[json!({}), json!({"b": 1})],
            &[json!({"a": null}), json!({"a": 1}), json!(null)],
        );
        table(&json!({"a": null}), &[json!({"a": null})], &[json!({}), json!({"a": 0})]);
        table(&json!({}), &[json!({}), json!({"a": 1})], &[json!(null), json!([])]);
    }

    #[test]
    fn operators() {
        table(&json!({"$exists": true}), &[json!(0), json!("")], &[json!(null)]);
        table(&json!({"$exists": false}), &[json!(null)], &[json!(0)]);
        let values = [json!("s"), json!(1.5), json!(true), json!([]), json!({})];
        for (i, kind) in ["string", "number", "boolean", "array", "object"].into_iter().enumerate() {
            let want = json!({"$exists": true, "$type": kind});
            for (j, value) in values.iter().enumerate() {
                assert_eq!(check(&want, value).is_ok(), i == j, "{kind} {value}");
            }
            assert!(check(&want, &json!(null)).is_err());
        }
        table(&json!({"$exists": true, "$type": "null"}), &[], &[json!(null), json!(1)]);
        table(&json!({"$exists": false, "$type": "null"}), &[json!(null)], &[json!(1)]);
        table(&json!({"$match": "b+"}), &[json!("abbc")], &[json!("ac"), json!(1), json!(null)]);
        table(&json!({"$match": "("}), &[], &[json!("(")]);
        table(&json!({"$match": 1}), &[], &[json!("1")]);
        for key in ["$in", "$or"] {
            table(
                &json!({key: ["a", 1, "array:empty", null]}),
                &[json!("a"), json!(1), json!([]), json!(null)],
                &[json!("b"), json!(2), json!([1])],
            );
            table(&json!({key: []}), &[], &[json!(null), json!(1)]);
            table(&json!({key: "a"}), &[], &[json!("a")]);
        }
        table(&json!({"$empty": true}), &[json!(null), json!([1]), json!("x")], &[]);
    }

    #[test]
    fn a_mismatch_says_where_it_is() {
        let m = check(&json!({"a": [1, {"b": "x"}]}), &json!({"a": [1, {"b": "y"}]})).unwrap_err();
        assert_eq!(m, Mismatch { at: ".a[1].b".into(), expected: "\"x\"".into(), got: "\"y\"".into() });
    }
}
