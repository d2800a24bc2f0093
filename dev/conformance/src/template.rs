//! Templates: `{{steps.<id>.response.body.<path>}}` stands for a value of an earlier answer.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};
use serde_json::Value;

use crate::path;
use crate::value::number_text;

static TEMPLATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{steps\.([^.]+)\.response\.body\.([^}]+)\}\}").expect("a constant pattern compiles")
});

/// The bodies of the steps so far, by step id. Cloning is cheap: a parallel step gets a copy,
/// so that it cannot see what its companions receive.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<String, Arc<Value>>);

impl Answers {
    /// Remembers the body of a step; `None` (not a JSON object) forgets an earlier one.
    pub fn insert(&mut self, step: &str, body: Option<Arc<Value>>) {
        match body {
            Some(body) => self.0.insert(step.to_owned(), body),
            None => self.0.remove(step),
        };
    }

    /// Replaces the templates of a text. One that leads to nothing stays as it is.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let fill_one = |found: &Captures<'_>| self.lookup(&found[1], &found[2]).unwrap_or_else(|| found[0].to_owned());
        TEMPLATE.replace_all(text, fill_one).into_owned()
    }

    /// Replaces the templates in all strings of a matcher.
    #[must_use]
    pub fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), self.fill_value(item))).collect(),
            other => other.clone(),
        }
    }

    fn lookup(&self, step: &str, path: &str) -> Option<String> {
        let value = path::resolve(path, self.0.get(step)?).ok()?;
        match value.as_ref() {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number_text(number)),
            other => Some(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answers() -> Answers {
        let mut answers = Answers::default();
        let body = json!({
            "id": "x-1", "n": 5, "whole": 6.0, "half": 0.5, "yes": true, "nothing": null,
            "list": [{"id": "in"}, 2], "quote": "a\"b",
        });
        answers.insert("step-1", Some(Arc::new(body)));
        answers
    }

    fn t(path: &str) -> String {
        format!("{{{{steps.step-1.response.body.{path}}}}}")
    }

    #[test]
    fn forms() {
        for (path, want) in [
            ("id", "x-1"),
            ("n", "5"),
            ("whole", "6"),
            ("half", "0.5"),
            ("yes", "true"),
            ("list[0].id", "in"),
            ("list[?(@.id=='in')].id", "in"),
            ("list", r#"[{"id":"in"},2]"#),
            ("quote", "a\"b"),
        ] {
            assert_eq!(answers().fill(&t(path)), want, "{path}");
        }
    }

    #[test]
    fn what_leads_nowhere_stays() {
        for text in [
            t("nothing"),
            t("missing"),
            t("id.x"),
            t("list[9]"),
            "{{steps.other.response.body.id}}".to_owned(),
            "{{steps.step-1.response.status}}".to_owned(),
            "{{ steps.step-1.response.body.id }}".to_owned(),
            "plain".to_owned(),
        ] {
            assert_eq!(answers().fill(&text), text);
        }
    }

    #[test]
    fn several_in_one_text() {
        let text = format!("/jobs/{}/at/{}?x={}", t("id"), t("missing"), t("n"));
        assert_eq!(answers().fill(&text), format!("/jobs/x-1/at/{}?x=5", t("missing")));
    }

    #[test]
    fn matchers_are_filled_in_depth_but_not_in_their_keys() {
        let want = json!({"a": [t("id"), 1, null], t("id"): {"b": t("n")}});
        assert_eq!(answers().fill_value(&want), json!({"a": ["x-1", 1, null], t("id"): {"b": "5"}}));
    }

    #[test]
    fn a_body_that_is_no_object_forgets_the_earlier_one() {
        let mut answers = answers();
        answers.insert("step-1", None);
        assert_eq!(answers.fill(&t("id")), t("id"));
    }
}
