//! The files of a suite: one JSON object per case.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A conformance level; the extension suites call theirs `ext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u32);

impl Level {
    /// The level of extension suites.
    pub const EXT: Self = Self(99);
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EXT { f.pad("ext") } else { f.pad(&self.0.to_string()) }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ext" => Ok(Self::EXT),
            digits => digits.parse().map(Self).map_err(|_| format!("level {text:?} is neither a number nor ext")),
        }
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Level {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One test case.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// The file it was read from, relative to the suites folder.
    #[serde(skip)]
    pub file: String,
    /// Such as `L0-ENV-001`; not unique in the official suites.
    pub test_id: String,
    /// The level it belongs to.
    pub level: Level,
    /// Short name.
    #[serde(default)]
    pub name: String,
    /// Run first; a failure there stops the case.
    #[serde(default)]
    pub setup: Option<Phase>,
    /// The case itself. A failing step does not stop it.
    pub steps: Vec<Step>,
    /// Run last, without judging the answers.
    #[serde(default)]
    pub teardown: Option<Phase>,
}

/// Steps before or after the case itself.
#[derive(Debug, Deserialize)]
pub struct Phase {
    /// The steps, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One HTTP exchange, or a wait.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// Name that templates and `parallel_with` refer to.
    pub id: String,
    /// HTTP method verbatim, or `WAIT`.
    pub action: String,
    /// Path and query below the URL of the server.
    #[serde(default)]
    pub path: String,
    /// Request headers.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// Request body, kept as the text of the file: that text is what is sent.
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Box<RawValue>>,
    /// Pause before the step.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Length of a `WAIT`.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The step this one runs at the same time as.
    #[serde(default)]
    pub parallel_with: Option<String>,
    /// What the answer must be like.
    #[serde(default)]
    pub assertions: Option<Assertions>,
}

/// What an answer must be like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Assertions {
    /// Status: a number, `4xx`, `one_of:400,422` or any matcher.
    #[serde(deserialize_with = "present")]
    pub status: Option<Value>,
    /// Statuses of which one must be met.
    pub status_in: Option<Vec<Value>>,
    /// Matchers by path; `$or` holds alternative maps.
    pub body: Option<BTreeMap<String, Value>>,
    /// Paths that must lead to nothing.
    pub body_absent: Option<Vec<String>>,
    /// Texts that the raw body must contain.
    pub body_contains: Option<Vec<String>>,
    /// Response headers: a text, `{"$match": regex}` or `{"$eq": text}`.
    pub headers: Option<BTreeMap<String, Value>>,
    /// Limits on the duration of the request.
    pub timing_ms: Option<Timing>,
}

/// Limits on the duration of a request, in milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Exclusive upper limit.
    pub less_than: Option<f64>,
    /// Exclusive lower limit.
    pub greater_than: Option<f64>,
    /// Duration to be met roughly.
    pub approximate: Option<f64>,
}

/// Tells a `null` in the file from a missing key: the former is a value here.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Why the suites cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A file is not a test case.
    #[error("{path} is not a test case: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        source: serde_json::Error,
    },
}

/// All cases of a folder (searched recursively for `*.json`) or of one file, by id and file.
///
/// # Errors
/// [`LoadError`] for the first file that cannot be read or understood.
pub fn load(root: &Path) -> Result<Vec<Case>, LoadError> {
    let mut files = Vec::new();
    if root.is_dir() {
        collect(root, &mut files)?;
    } else {
        files.push(root.to_owned());
    }
    files.sort();
    let mut cases = files.iter().map(|file| read(root, file)).collect::<Result<Vec<_>, _>>()?;
    // Stable, so that cases of one id stay in the order of their files.
    cases.sort_by(|a, b| a.test_id.cmp(&b.test_id));
    Ok(cases)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let failed = |source| LoadError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(root: &Path, file: &Path) -> Result<Case, LoadError> {
    let text = std::fs::read(file).map_err(|source| LoadError::Read { path: file.to_owned(), source })?;
    let mut case: Case =
        serde_json::from_slice(&text).map_err(|source| LoadError::Parse { path: file.to_owned(), source })?;
    let shown = file.strip_prefix(root).ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(file);
    case.file = shown.display().to_string();
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Case, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn levels_are_numbers_texts_or_ext() {
        for (text, level) in [("0", Level(0)), (r#""3""#, Level(3)), (r#""ext""#, Level::EXT)] {
            let case = parse(&format!(r#"{{"test_id": "x", "level": {text}, "steps": []}}"#)).unwrap();
            assert_eq!(case.level, level);
        }
        for text in ["null", "-1", "1.5", r#""high""#] {
            assert!(parse(&format!(r#"{{"test_id": "x", "level": {text}, "steps": []}}"#)).is_err(), "{text}");
        }
        assert_eq!(format!("{:>4}|{}", Level::EXT, Level(2)), " ext|2");
    }

    #[test]
    fn the_body_keeps_its_text_and_null_is_a_body() {
        let case = parse(
            r#"{"test_id": "x", "level": 0, "unknown": 1, "steps": [
                {"id": "a", "action": "POST", "body": {"z": 1.50, "a": "\u00e4"}, "raw_body": ""},
                {"id": "b", "action": "POST", "body": null, "assertions": {"status": null, "equality": {}}},
                {"id": "c", "action": "GET", "assertions": null}]}"#,
        )
        .unwrap();
        let body = |i: usize| case.steps[i].body.as_ref().map(|b| b.get());
        assert_eq!(body(0), Some(r#"{"z": 1.50, "a": "\u00e4"}"#));
        assert_eq!(body(1), Some("null"));
        assert_eq!(body(2), None);
        assert_eq!(case.steps[1].assertions.as_ref().unwrap().status, Some(Value::Null));
        assert!(case.steps[2].assertions.is_none());
    }

    #[test]
    fn a_folder_is_searched_and_sorted_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let case = |id: &str| format!(r#"{{"test_id": "{id}", "level": 1, "steps": []}}"#);
        write("a/one.json", &case("B"));
        write("a/b/two.json", &case("A"));
        write("c/three.json", &case("B"));
        write("c/readme.md", "not a case");
        let cases = load(folder.path()).unwrap();
        let listed: Vec<_> = cases.iter().map(|c| (c.test_id.as_str(), c.file.as_str())).collect();
        assert_eq!(listed, [("A", "a/b/two.json"), ("B", "a/one.json"), ("B", "c/three.json")]);
        assert_eq!(load(&folder.path().join("c/three.json")).unwrap().len(), 1);

        write("c/wrong.json", "{");
        let error = load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("wrong.json"), "{error}");
        assert!(load(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn our_own_suites_load() {
        let cases = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("suites")).unwrap();
        assert!(cases.iter().any(|case| case.test_id == "OWN-L1-RTR-014" && case.level == Level(1)));
    }
}
