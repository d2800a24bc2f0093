//! Paths into a response body, such as `$.jobs[0].args[*].x` or `$.jobs[?(@.id=='7')].state`.

use std::borrow::Cow;

use serde_json::Value;

use crate::value::plain_text;

static NONE: Value = Value::Null;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A name on its own: a missing key ends the walk with "none".
    Field(String),
    /// A name in front of a bracket: a missing key is none, at which the bracket then fails.
    Holder(String),
    /// `[3]`; signed, because a negative index is out of bounds rather than a wrong path.
    Index(i64),
    /// `[*]`
    Each,
    /// `[?(@.key=='value')]`
    Filter { key: String, value: String },
    /// What cannot be read; an error once the walk gets there.
    Wrong(String),
}

/// Why a path does not lead anywhere. A missing key is not an error, see [`Path::resolve`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path itself cannot be read.
    #[error("bad path: {0}")]
    Syntax(String),
    /// A name was applied to something that is not an object.
    #[error("no object at {0:?}")]
    NotAnObject(String),
    /// A bracket was applied to something that is not an array.
    #[error("no array at [{0}]")]
    NotAnArray(String),
    /// The array is too short.
    #[error("index {index} out of bounds (length {length})")]
    OutOfBounds {
        /// The index of the path.
        index: i64,
        /// The length of the array.
        length: usize,
    },
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in split(text.strip_prefix("$.").unwrap_or(text)) {
            let (name, mut brackets) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !name.is_empty() {
                let name = name.to_owned();
                steps.push(if brackets.is_empty() { Step::Field(name) } else { Step::Holder(name) });
            }
            while !brackets.is_empty() {
                let (step, rest) = bracket(brackets).unwrap_or_else(|| (Step::Wrong(brackets.to_owned()), ""));
                steps.push(step);
                brackets = rest;
            }
        }
        Self { steps }
    }
}

/// The parts between the dots that are outside of brackets; empty parts are dropped.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        c == '.' && depth == 0
    })
    .filter(|part| !part.is_empty())
}

/// Reads one bracket at the start of `text` and returns what follows it; `None` when it is none.
fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(inner) = text.strip_prefix("[?(@.") {
        let (filter, rest) = inner.split_once(")]")?;
        let (key, value) = filter.split_once("==")?;
        let value = value.trim_matches(['\'', '"']);
        return Some((Step::Filter { key: key.to_owned(), value: value.to_owned() }, rest));
    }
    let (index, rest) = text.strip_prefix('[')?.split_once(']')?;
    let step = if index == "*" { Step::Each } else { Step::Index(index.parse().ok()?) };
    Some((step, rest))
}

impl Path {
    /// The value the path leads to. A missing key and JSON `null` are both `Value::Null` ("none").
    ///
    /// # Errors
    /// [`PathError`] when the data has another shape than the path needs.
    pub fn resolve<'a>(&self, data: &'a Value) -> Result<Cow<'a, Value>, PathError> {
        walk(&self.steps, data)
    }
}

/// Reads a path and follows it.
///
/// # Errors
/// See [`Path::resolve`].
pub fn resolve<'a>(path: &str, data: &'a Value) -> Result<Cow<'a, Value>, PathError> {
    Path::from(path).resolve(data)
}

fn walk<'a>(steps: &[Step], mut here: &'a Value) -> Result<Cow<'a, Value>, PathError> {
    for (i, step) in steps.iter().enumerate() {
        here = match step {
            Step::Field(name) => match object(here, name)?.get(name) {
                Some(value) => value,
                None => return Ok(Cow::Borrowed(&NONE)),
            },
            Step::Holder(name) => object(here, name)?.get(name).unwrap_or(&NONE),
            Step::Index(index) => {
                let items = array(here, &index.to_string())?;
                let found = usize::try_from(*index).ok().and_then(|at| items.get(at));
                found.ok_or(PathError::OutOfBounds { index: *index, length: items.len() })?
            }
            Step::Filter { key, value } => {
                let items = array(here, "?")?;
                let hit = items.iter().find(|item| item.get(key).is_some_and(|v| plain_text(v) == *value));
                hit.unwrap_or(&NONE)
            }
            Step::Wrong(text) => return Err(PathError::Syntax(text.clone())),
            Step::Each => {
                let rest = &steps[i + 1..];
                let found = array(here, "*")?.iter().filter_map(|item| walk(rest, item).ok());
                let found = found.filter(|value| !value.is_null()).map(Cow::into_owned);
                return Ok(Cow::Owned(Value::Array(found.collect())));
            }
        };
    }
    Ok(Cow::Borrowed(here))
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a serde_json::Map<String, Value>, PathError> {
    value.as_object().ok_or_else(|| PathError::NotAnObject(name.to_owned()))
}

fn array<'a>(value: &'a Value, index: &str) -> Result<&'a Vec<Value>, PathError> {
    value.as_array().ok_or_else(|| PathError::NotAnArray(index.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!({
            "id": "a.b",
            "nothing": null,
            "deep": {"er": {"x": 1}},
            "jobs": [
                {"id": "7", "n": 1, "args": [[10, 11], [12]], "meta": {"k": "v"}},
                {"id": "8", "n": 2.0, "args": []},
                "not an object",
                {"id": "9", "n": null, "meta": {"k": "w"}},
            ],
            "empty": [],
        })
    }

    #[test]
    fn paths_that_resolve() {
        for (path, want) in [
            ("$.id", json!("a.b")),
            ("id", json!("a.b")),
            ("$.deep.er.x", json!(1)),
            ("$.deep..er.x", json!(1)),
            ("$.nothing", json!(null)),
            ("$.missing", json!(null)),
            ("$.missing.further.down", json!(null)),
            ("$.missing.a[x]", json!(null)),
            ("$.deep.missing.x", json!(null)),
            ("$empty", json!(null)),
            ("$.jobs[1].id", json!("8")),
            ("$.jobs[0].args[0][1]", json!(11)),
            ("$.jobs[*].id", json!(["7", "8", "9"])),
            ("$.jobs[*].n", json!([1, 2.0])),
            ("$.jobs[*].meta.k", json!(["v", "w"])),
            ("$.jobs[*].args[0][0]", json!([10])),
            ("$.jobs[0].args[*][0]", json!([10, 12])),
            ("$.jobs[0].args[*]", json!([[10, 11], [12]])),
            ("$.jobs[*].args[*]", json!([[[10, 11], [12]], []])),
            ("$.empty[*].x", json!([])),
            ("$.jobs[?(@.id=='8')].n", json!(2.0)),
            ("$.jobs[?(@.id==\"8\")].n", json!(2.0)),
            ("$.jobs[?(@.n==2)].id", json!("8")),
            ("$.jobs[?(@.id=='no.ne')]", json!(null)),
            ("$.jobs[?(@.id=='7')].args[1][0]", json!(12)),
        ] {
            assert_eq!(resolve(path, &data()).as_deref(), Ok(&want), "{path}");
        }
    }

    #[test]
    fn paths_that_fail() {
        for (path, want) in [
            ("$.id.x", PathError::NotAnObject("x".into())),
            ("$.nothing.x", PathError::NotAnObject("x".into())),
            ("$.jobs.x", PathError::NotAnObject("x".into())),
            ("$.missing[0]", PathError::NotAnArray("0".into())),
            ("$.deep[*].x", PathError::NotAnArray("*".into())),
            ("$.deep[?(@.a=='b')]", PathError::NotAnArray("?".into())),
            ("$.empty[0]", PathError::OutOfBounds { index: 0, length: 0 }),
            ("$.jobs[-1]", PathError::OutOfBounds { index: -1, length: 4 }),
            ("$.jobs[?(@.id=='none')].n", PathError::NotAnObject("n".into())),
            ("$.jobs[x]", PathError::Syntax("[x]".into())),
            ("$.jobs[0", PathError::Syntax("[0".into())),
            ("$.jobs[0]x", PathError::Syntax("x".into())),
            ("$.jobs[?(@.id)]", PathError::Syntax("[?(@.id)]".into())),
        ] {
            assert_eq!(resolve(path, &data()), Err(want), "{path}");
        }
    }

    #[test]
    fn a_root_that_is_no_object_is_an_error() {
        assert!(resolve("$.x", &json!([1])).is_err());
    }
}
