//! The history: every request, and what was answered.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

/// One request and its answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    /// Who sent it.
    pub(crate) actor: String,
    pub(crate) method: &'static str,
    /// Below `/ojs/v1/`.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// When it was sent and when the answer was there, ms since the Unix epoch.
    pub(crate) sent_ms: i64,
    pub(crate) answered_ms: i64,
    /// `None` where no answer came: the API was killed, or took too long.
    pub(crate) status: Option<u16>,
    pub(crate) answer: Value,
}

impl Call {
    pub(crate) fn ok(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether a client repeats it: no answer, throttled or a failure of the server.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.status.is_none_or(|status| status == 429 || status >= 500)
    }
}

/// All calls of a run, in memory for the checks and in a file for people.
#[derive(Debug)]
pub(crate) struct History {
    calls: Mutex<(Vec<Call>, BufWriter<File>)>,
}

impl History {
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self { calls: Mutex::new((Vec::new(), BufWriter::new(File::create(path)?))) })
    }

    pub(crate) fn add(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(line) = serde_json::to_string(&call) {
            // The file is for people: what the checks read is in memory.
            let _ = writeln!(calls.1, "{line}");
        }
        calls.0.push(call);
    }

    /// Everything so far.
    pub(crate) fn take(&self) -> Vec<Call> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = calls.1.flush();
        std::mem::take(&mut calls.0)
    }
}
