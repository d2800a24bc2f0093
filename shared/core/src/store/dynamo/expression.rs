//! Expressions that own their text, names and values ([ADR 0041](../../../../../docs/adr/0041-typed-dynamodb.md)).
//!
//! A condition or operand is a list of pieces. [`Placeholders`] turns the pieces of one request into text, so that parts made
//! in different places cannot use the same placeholder for different things.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ojs_model::ids::JobId;

use super::attributes::{Attribute, PK, n, s};

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(&'static str),
    Name(Cow<'static, str>),
    Value(AttributeValue),
}

/// What is compared or written: an attribute, a value, or what is computed from these.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Operand(Vec<Piece>);

impl Operand {
    /// The sum of two numbers.
    pub(in crate::store) fn plus(self, other: impl Into<Operand>) -> Operand {
        Operand([self.0, vec![Piece::Text(" + ")], other.into().0].concat())
    }

    /// An attribute whose name is not a constant.
    pub(in crate::store) fn named(name: String) -> Operand {
        Operand(vec![Piece::Name(Cow::Owned(name))])
    }
}

macro_rules! operands {
    ($($from:ty, $value:ident => $made:expr;)+) => {
        $(impl From<$from> for Operand {
            fn from($value: $from) -> Self {
                Self(vec![Piece::Value($made)])
            }
        })+
    };
}
operands! {
    AttributeValue, value => value;
    &str, text => s(text);
    &String, text => s(text);
    String, text => s(text);
    i32, number => n(number);
    i64, number => n(number);
    u32, number => n(number);
    u64, number => n(number);
    usize, number => n(number);
    &JobId, id => s(id.as_str());
}

impl From<Attribute> for Operand {
    fn from(attribute: Attribute) -> Self {
        Self(vec![Piece::Name(Cow::Borrowed(attribute.name()))])
    }
}

/// What must hold for a write to take effect, or for an item to be found.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Condition(Vec<Piece>);

impl Condition {
    /// Both hold.
    pub(in crate::store) fn and(self, other: Condition) -> Condition {
        all([self, other])
    }

    /// Both hold, where there is another one.
    pub(in crate::store) fn and_some(self, other: Option<Condition>) -> Condition {
        all([self].into_iter().chain(other))
    }

    /// One of them holds.
    pub(in crate::store) fn or(self, other: Condition) -> Condition {
        any([self, other])
    }
}

/// All of these hold.
pub(in crate::store) fn all(conditions: impl IntoIterator<Item = Condition>) -> Condition {
    Condition(joined(conditions.into_iter().map(|condition| condition.0), " AND "))
}

/// One of these holds. In parentheses, because `AND` binds tighter; not around a single one, because DynamoDB refuses
/// parentheses that are not needed.
pub(in crate::store) fn any(conditions: impl IntoIterator<Item = Condition>) -> Condition {
    let mut conditions: Vec<_> = conditions.into_iter().map(|condition| condition.0).collect();
    if conditions.len() == 1
        && let Some(only) = conditions.pop()
    {
        return Condition(only);
    }
    let pieces = joined(conditions.into_iter(), " OR ");
    Condition([vec![Piece::Text("(")], pieces, vec![Piece::Text(")")]].concat())
}

/// There is an item with the key.
pub(in crate::store) fn item_exists() -> Condition {
    PK.exists()
}

/// There is no item with the key.
pub(in crate::store) fn item_is_absent() -> Condition {
    PK.is_absent()
}

impl Attribute {
    fn call(self, function: &'static str) -> Vec<Piece> {
        vec![Piece::Text(function), Piece::Name(Cow::Borrowed(self.name())), Piece::Text(")")]
    }

    fn compare(self, operator: &'static str, other: impl Into<Operand>) -> Condition {
        Condition([Operand::from(self).0, vec![Piece::Text(operator)], other.into().0].concat())
    }

    /// The item has it.
    pub(in crate::store) fn exists(self) -> Condition {
        Condition(self.call("attribute_exists("))
    }

    /// The item does not have it.
    pub(in crate::store) fn is_absent(self) -> Condition {
        Condition(self.call("attribute_not_exists("))
    }

    pub(in crate::store) fn is(self, other: impl Into<Operand>) -> Condition {
        self.compare(" = ", other)
    }

    pub(in crate::store) fn is_not(self, other: impl Into<Operand>) -> Condition {
        self.compare(" <> ", other)
    }

    pub(in crate::store) fn above(self, other: impl Into<Operand>) -> Condition {
        self.compare(" > ", other)
    }

    pub(in crate::store) fn below(self, other: impl Into<Operand>) -> Condition {
        self.compare(" < ", other)
    }

    pub(in crate::store) fn at_most(self, other: impl Into<Operand>) -> Condition {
        self.compare(" <= ", other)
    }

    /// It is one of these.
    pub(in crate::store) fn is_one_of<T: Into<Operand>>(self, others: impl IntoIterator<Item = T>) -> Condition {
        let list = joined(others.into_iter().map(|other| other.into().0), ", ");
        Condition([Operand::from(self).0, vec![Piece::Text(" IN (")], list, vec![Piece::Text(")")]].concat())
    }

    /// It is in this range, both ends included.
    pub(in crate::store) fn is_between(self, from: impl Into<Operand>, to: impl Into<Operand>) -> Condition {
        let range = joined([from.into().0, to.into().0].into_iter(), " AND ");
        Condition([Operand::from(self).0, vec![Piece::Text(" BETWEEN ")], range].concat())
    }

    /// It starts with this.
    pub(in crate::store) fn begins_with(self, start: impl Into<Operand>) -> Condition {
        let inside = joined([Operand::from(self).0, start.into().0].into_iter(), ", ");
        Condition([vec![Piece::Text("begins_with(")], inside, vec![Piece::Text(")")]].concat())
    }

    /// A set of at most so many, or none at all.
    pub(in crate::store) fn has_at_most(self, count: usize) -> Condition {
        let size = [self.call("size("), vec![Piece::Text(" <= ")], Operand::from(count).0].concat();
        self.is_absent().or(Condition(size))
    }

    /// What it holds, or `default` where the item does not have it.
    pub(in crate::store) fn or(self, default: impl Into<Operand>) -> Operand {
        let name = Operand::from(self).0;
        let inside = joined([name, default.into().0].into_iter(), ", ");
        Operand([vec![Piece::Text("if_not_exists(")], inside, vec![Piece::Text(")")]].concat())
    }

    /// Its number and another one.
    pub(in crate::store) fn plus(self, other: impl Into<Operand>) -> Operand {
        Operand::from(self).plus(other)
    }
}

fn joined(parts: impl Iterator<Item = Vec<Piece>>, between: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (at, part) in parts.enumerate() {
        if at > 0 {
            pieces.push(Piece::Text(between));
        }
        pieces.extend(part);
    }
    pieces
}

/// The names and values of one request.
#[derive(Debug, Default)]
pub(in crate::store) struct Placeholders {
    names: HashMap<String, String>,
    values: Vec<AttributeValue>,
}

impl Placeholders {
    /// The text of a condition.
    pub(in crate::store) fn condition(&mut self, condition: Condition) -> String {
        self.text(condition.0)
    }

    /// The text of an operand.
    pub(in crate::store) fn operand(&mut self, operand: impl Into<Operand>) -> String {
        self.text(operand.into().0)
    }

    fn text(&mut self, pieces: Vec<Piece>) -> String {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Name(name) => {
                    let placeholder = format!("#{name}");
                    text.push_str(&placeholder);
                    self.names.insert(placeholder, name.into_owned());
                }
                Piece::Value(value) => text.push_str(&value_placeholder(self.place_of(value))),
            }
        }
        text
    }

    fn place_of(&mut self, value: AttributeValue) -> usize {
        self.values.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        })
    }

    /// What stands for which attribute; `None` for nothing, because DynamoDB refuses an empty map.
    pub(in crate::store) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// What stands for which value; `None` for nothing.
    pub(in crate::store) fn into_values(self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.into_iter().enumerate().map(|(at, value)| (value_placeholder(at), value));
        Some(values.collect()).filter(|values: &HashMap<_, _>| !values.is_empty())
    }
}

fn value_placeholder(at: usize) -> String {
    format!(":v{at}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STATE: Attribute = Attribute("s");
    const DUE: Attribute = Attribute("du");
    const TIERS: Attribute = Attribute("tr");

    fn text(condition: Condition) -> String {
        Placeholders::default().condition(condition)
    }

    #[test]
    fn each_condition_has_its_text() {
        let cases = [
            (DUE.exists(), "attribute_exists(#du)"),
            (DUE.is_absent(), "attribute_not_exists(#du)"),
            (DUE.is(1), "#du = :v0"),
            (DUE.is_not(1), "#du <> :v0"),
            (DUE.above(1), "#du > :v0"),
            (DUE.below(1), "#du < :v0"),
            (DUE.at_most(1), "#du <= :v0"),
            (STATE.is_one_of(["a", "b"]), "#s IN (:v0, :v1)"),
            (DUE.is_between(1, 2), "#du BETWEEN :v0 AND :v1"),
            (TIERS.has_at_most(9), "(attribute_not_exists(#tr) OR size(#tr) <= :v0)"),
            (STATE.begins_with("a"), "begins_with(#s, :v0)"),
            (DUE.is(STATE), "#du = #s"),
            (item_exists(), "attribute_exists(#pk)"),
            (item_is_absent(), "attribute_not_exists(#pk)"),
        ];
        for (condition, wanted) in cases {
            assert_eq!(text(condition), wanted);
        }
    }

    #[test]
    fn alternatives_are_in_parentheses_and_nothing_else_is() {
        let [a, b, c] = [DUE.is(1), DUE.is(2), DUE.is(3)];
        assert_eq!(text(a.clone().and(b.clone()).or(c.clone())), "(#du = :v0 AND #du = :v1 OR #du = :v2)");
        assert_eq!(text(a.clone().and(b.clone().or(c))), "#du = :v0 AND (#du = :v1 OR #du = :v2)");
        assert_eq!(text(any([a.clone().or(b.clone())])), "(#du = :v0 OR #du = :v1)");
        assert_eq!(text(a.clone().and_some(None)), "#du = :v0");
        assert_eq!(text(a.and_some(Some(b))), "#du = :v0 AND #du = :v1");
    }

    #[test]
    fn operands_nest() {
        let mut placeholders = Placeholders::default();
        let doubled = DUE.or(5).plus(DUE.or(5));
        assert_eq!(placeholders.operand(doubled), "if_not_exists(#du, :v0) + if_not_exists(#du, :v0)");
        assert_eq!(placeholders.operand(DUE.plus(1)), "#du + :v1");
        assert_eq!(placeholders.operand(STATE.or(DUE)), "if_not_exists(#s, #du)");
        assert_eq!(placeholders.operand(Operand::named("xy".to_owned())), "#xy");
    }

    #[test]
    fn parts_of_one_request_share_placeholders_of_equal_values_only() {
        let mut placeholders = Placeholders::default();
        let first = placeholders.condition(DUE.above(7).and(STATE.is("active")));
        // The number 7 and the text 7 are different values.
        let second = placeholders.condition(DUE.is(7).and(STATE.is("7")).and(STATE.is(DUE)));
        assert_eq!(first, "#du > :v0 AND #s = :v1");
        assert_eq!(second, "#du = :v0 AND #s = :v2 AND #s = #du");
        let names = placeholders.names().unwrap();
        assert_eq!(names, HashMap::from([("#du".into(), "du".into()), ("#s".into(), "s".into())]));
        let values = placeholders.into_values().unwrap();
        assert_eq!(values, HashMap::from([(":v0".into(), n(7)), (":v1".into(), s("active")), (":v2".into(), s("7"))]));
    }

    #[test]
    fn nothing_is_sent_for_no_names_and_no_values() {
        let placeholders = Placeholders::default();
        assert_eq!(placeholders.names(), None);
        assert_eq!(placeholders.into_values(), None);
    }
}
