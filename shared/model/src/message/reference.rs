use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::job::Job;
use crate::limit::OnLimit;

/// What a message says: which job to look at. Parses as an OJS job reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// The job.
    pub id: JobId,
    /// Its type.
    pub job_type: String,
    /// Its queue.
    pub queue: String,
    /// Its priority, which says where the message goes.
    pub priority: i64,
    /// The message group that it asks for, if any.
    pub group: Option<String>,
    /// When the job is due, ms since the Unix epoch, where that is later than the message can be expected: saves a claim
    /// that comes too early. Only a hint, for the job may have changed since.
    pub due_at: Option<i64>,
    /// The rate limit that the job waits for, if it is known: saves a claim that could not be.
    pub limit: Option<String>,
    /// The cron occurrence whose job it is, where the message may come before the job is made.
    pub wakes: Option<CronTime>,
}

/// An occurrence of a cron job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronTime {
    /// The cron job's name.
    pub name: String,
    /// When it is due, ms since the Unix epoch.
    pub at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    specversion: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    job_type: &'a str,
    queue: &'a str,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: i64,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    limit: Option<Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    cron: Option<WireCron<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WireCron<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    at: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl JobRef {
    /// The reference to a job that is there.
    #[must_use]
    pub fn to(job: &Job) -> Self {
        Self {
            id: job.id.clone(),
            job_type: job.job_type.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            group: job.group.clone(),
            due_at: job.due_at,
            // Others are not to wait.
            limit: job.limit.as_ref().filter(|l| l.on_limit == OnLimit::Wait).map(|limit| limit.key.to_string()),
            wakes: None,
        }
    }

    /// The message's body.
    #[must_use]
    pub fn to_body(&self) -> String {
        let cron = self.wakes.as_ref().map(|time| WireCron { name: Cow::Borrowed(&time.name), at: time.at_ms });
        let wire = Wire {
            specversion: "1.0",
            id: self.id.as_str(),
            job_type: &self.job_type,
            queue: &self.queue,
            priority: self.priority,
            group: self.group.as_deref().map(Cow::Borrowed),
            due: self.due_at,
            limit: self.limit.as_deref().map(Cow::Borrowed),
            cron,
        };
        // Plain strings and a number always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads a message body; `None` when it is not one of ours.
    #[must_use]
    pub fn from_body(body: &str) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_str(body).ok()?;
        Some(Self {
            id: JobId::parse(wire.id)?,
            job_type: wire.job_type.to_owned(),
            queue: wire.queue.to_owned(),
            priority: wire.priority,
            group: wire.group.map(Cow::into_owned),
            due_at: wire.due,
            limit: wire.limit.map(Cow::into_owned),
            wakes: wire.cron.map(|cron| CronTime { name: cron.name.into_owned(), at_ms: cron.at }),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_read_back_and_others_are_refused() {
        let mut reference = JobRef {
            id: JobId::parse("019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f").unwrap(),
            job_type: "a.b".into(),
            queue: "q".into(),
            priority: 0,
            group: None,
            due_at: None,
            limit: None,
            wakes: None,
        };
        assert_eq!(JobRef::from_body(&reference.to_body()), Some(reference.clone()));
        for absent in ["cron", "due", "priority", "group", "limit"] {
            assert!(!reference.to_body().contains(absent));
        }
        reference.priority = -7;
        reference.group = Some("a\"b".into());
        reference.limit = Some("queue:q".into());
        reference.due_at = Some(1_795_510_800_000);
        assert_eq!(JobRef::from_body(&reference.to_body()), Some(reference.clone()));
        reference.wakes = Some(CronTime { name: "daily".into(), at_ms: 1_795_510_800_000 });
        assert_eq!(JobRef::from_body(&reference.to_body()), Some(reference));
        for bad in ["", "{}", "null", r#"{"specversion":"1.0","id":"x","type":"a","queue":"q"}"#] {
            assert_eq!(JobRef::from_body(bad), None, "{bad}");
        }
    }
}
