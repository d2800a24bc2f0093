use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::job::Job;

/// What a message says: which job to look at. Parses as an OJS job reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// The job.
    pub id: JobId,
    /// Its type.
    pub job_type: String,
    /// Its queue.
    pub queue: String,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    specversion: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    job_type: &'a str,
    queue: &'a str,
}

impl JobRef {
    /// The reference to a job.
    #[must_use]
    pub fn to(job: &Job) -> Self {
        Self { id: job.id.clone(), job_type: job.job_type.clone(), queue: job.queue.clone() }
    }

    pub(super) fn to_body(&self) -> String {
        let wire = Wire { specversion: "1.0", id: self.id.as_str(), job_type: &self.job_type, queue: &self.queue };
        // Four plain strings always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads a message body; `None` when it is not one of ours.
    pub(super) fn from_body(body: &str) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_str(body).ok()?;
        Some(Self { id: JobId::parse(wire.id)?, job_type: wire.job_type.to_owned(), queue: wire.queue.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_read_back_and_others_are_refused() {
        let reference = JobRef {
            id: JobId::parse("019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f").unwrap(),
            job_type: "a.b".into(),
            queue: "q".into(),
        };
        assert_eq!(JobRef::from_body(&reference.to_body()), Some(reference));
        for bad in ["", "{}", "null", r#"{"specversion":"1.0","id":"x","type":"a","queue":"q"}"#] {
            assert_eq!(JobRef::from_body(bad), None, "{bad}");
        }
    }
}
