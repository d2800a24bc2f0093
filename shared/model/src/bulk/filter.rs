use std::collections::BTreeMap;

use serde_json::Value;

use super::request::Operation;
use crate::error::{Error, Result};
use crate::job::{Job, State, queue_name};
use crate::json::Fields;
use crate::time::parse_rfc3339;

/// Which jobs of a queue a request is about (section 6.1): all that it names must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The queue.
    pub queue: String,
    /// The type.
    pub job_type: Option<String>,
    /// One of these states.
    pub states: Vec<State>,
    /// Enqueued before this, ms since the Unix epoch.
    pub before_ms: Option<i64>,
    /// Enqueued after this, ms since the Unix epoch.
    pub after_ms: Option<i64>,
    /// The priority.
    pub priority: Option<i64>,
    /// Members that `meta` has, with these values.
    pub meta: BTreeMap<String, Value>,
}

impl Filter {
    /// Reads the members of `filter`. Unknown ones are refused: a filter that is not understood would reach too many jobs.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub(super) fn parse(operation: Operation, mut fields: Fields) -> Result<Self> {
        let queue = fields.take_string("queue")?.ok_or_else(|| {
            Error::field("filter.queue", "is required: jobs are found by the listing index, which is one per queue")
        })?;
        let filter = Self {
            queue: queue_name("filter.queue", queue)?,
            job_type: fields.take_string("type")?,
            states: states(operation, &mut fields)?,
            before_ms: time(&mut fields, "enqueued_before")?,
            after_ms: time(&mut fields, "enqueued_after")?,
            priority: fields.take_integer("priority", -100, 100)?,
            meta: match fields.take_kind("meta", "object")? {
                Some(meta) => serde_json::from_str(meta.get())
                    .map_err(|e| Error::field("filter.meta", format_args!("is not a readable object: {e}")))?,
                None => BTreeMap::new(),
            },
        };
        match fields.rest().keys().next() {
            Some(unknown) => {
                let shown: String = unknown.chars().take(64).collect();
                Err(Error::field(&format!("filter.{shown}"), "is not a member that a filter can have"))
            }
            None => Ok(filter),
        }
    }

    /// Whether a settled job is meant.
    #[must_use]
    pub fn matches(&self, job: &Job) -> bool {
        let enqueued_at = job.enqueued_at.unwrap_or(job.created_at);
        job.queue == self.queue
            && self.states.contains(&job.state)
            && self.job_type.as_ref().is_none_or(|wanted| *wanted == job.job_type)
            && self.before_ms.is_none_or(|at| enqueued_at < at)
            && self.after_ms.is_none_or(|at| enqueued_at > at)
            && self.priority.is_none_or(|wanted| wanted == job.priority)
            && self.has_meta(job)
    }

    fn has_meta(&self, job: &Job) -> bool {
        if self.meta.is_empty() {
            return true;
        }
        let meta: Option<BTreeMap<String, Value>> =
            job.meta.as_ref().and_then(|meta| serde_json::from_str(meta.get()).ok());
        meta.is_some_and(|meta| self.meta.iter().all(|(name, value)| meta.get(name) == Some(value)))
    }
}

fn states(operation: Operation, fields: &mut Fields) -> Result<Vec<State>> {
    let allowed = operation.states();
    let Some(names) = fields.take_strings("state", State::ALL.len())? else {
        return Ok(operation.default_states().to_vec());
    };
    let wrong = || {
        let names: Vec<&str> = allowed.iter().map(|state| state.as_str()).collect();
        let verb = operation.as_str();
        Error::field(
            "filter.state",
            format_args!("must name states that a {verb} by filter reaches: {}", names.join(", ")),
        )
        .with("allowed", names)
    };
    if names.is_empty() {
        return Err(wrong());
    }
    let states = names.iter().map(|name| State::parse(name).filter(|state| allowed.contains(state)));
    states.collect::<Option<_>>().ok_or_else(wrong)
}

fn time(fields: &mut Fields, name: &str) -> Result<Option<i64>> {
    let Some(text) = fields.take_string(name)? else { return Ok(None) };
    let at = parse_rfc3339(&text);
    at.map(Some).ok_or_else(|| Error::field(&fields.name(name), "must be an RFC 3339 time with an offset"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::job::parse_enqueue;

    #[test]
    fn all_that_a_filter_names_must_hold() {
        let now = 1_700_000_000_000; // 2023-11-14T22:13:20Z
        let body = r#"{"type":"a.b","args":[],"meta":{"k":1,"t":"x"},"options":{"queue":"q","priority":3}}"#;
        let job = parse_enqueue(Fields::from_body(body.as_bytes()).unwrap(), now, &Ids::new()).unwrap().job;
        for (members, wanted) in [
            ("", true),
            (r#","type":"a.b","priority":3,"meta":{"k":1}"#, true),
            (r#","meta":{"k":1.0,"t":"x"}"#, false),
            (r#","meta":{"k":1,"t":"x"}"#, true),
            (r#","meta":{"none":null}"#, false),
            (r#","type":"a""#, false),
            (r#","priority":4"#, false),
            (r#","state":["scheduled"]"#, false),
            (r#","enqueued_before":"2023-11-14T22:13:20Z""#, false),
            (r#","enqueued_before":"2023-11-14T22:13:20.001Z""#, true),
            (r#","enqueued_after":"2023-11-14T22:13:20Z""#, false),
            (r#","enqueued_after":"2023-11-14T23:13:19.999+01:00""#, true),
        ] {
            let text = format!(r#"{{"queue":"q"{members}}}"#);
            let fields = Fields::from_body(text.as_bytes()).unwrap();
            assert_eq!(Filter::parse(Operation::Cancel, fields).unwrap().matches(&job), wanted, "{members}");
        }
    }
}
