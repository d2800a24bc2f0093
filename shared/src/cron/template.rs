//! What a cron job enqueues: an enqueue request, kept as it came.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::ids::{Ids, JobId};
use crate::job::{CronOrigin, Job, MAX_META_BYTES, format_ms, parse_enqueue};
use crate::json::{Fields, Json, raw};

/// The job that is made at each occurrence.
#[derive(Debug, Clone)]
pub struct Template {
    /// A JSON object: `type`, `args`, and what else an enqueue may have.
    pub text: Json,
    /// The job's type.
    pub job_type: String,
    /// The job's queue.
    pub queue: String,
}

impl Template {
    /// Takes the template out of a registration: `job_template`, or the flat `type`, `args`, `meta`, `options` and `schema`
    /// (OJS cron section 2), and checks it as an enqueue would.
    ///
    /// # Errors
    /// As [`parse_enqueue`], with the field's name in the request; `invalid_request` when it has an `id`.
    pub(super) fn take(request: &mut Fields, sample: &CronOrigin, now_ms: i64, ids: &Ids) -> Result<Self> {
        let flat: Vec<(&str, Json)> = ["type", "args", "meta", "options", "schema"]
            .into_iter()
            .filter_map(|name| request.take(name).map(|value| (name, value)))
            .collect();
        let (prefix, mut members) = match request.take_kind("job_template", "object")? {
            Some(template) => ("job_template.", Fields::from_member("job_template", &template)?.rest()),
            None => ("", flat.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        };
        members.retain(|_, value| value.get() != "null");
        if members.contains_key("id") {
            return Err(Error::field("job_template.id", "must not be given: every job gets an id of its own"));
        }
        if !members.contains_key("args") {
            members.insert("args".to_owned(), raw("[]")?);
        }
        let text = serde_json::value::to_raw_value(&members).map_err(Error::internal)?;
        let mut template = Self { text, job_type: String::new(), queue: String::new() };
        // Made once now, so that nothing can be wrong with it when its time comes.
        let job = template.job(sample, now_ms, ids).map_err(|error| within(prefix, error))?;
        template.job_type = job.job_type;
        template.queue = job.queue;
        Ok(template)
    }

    /// A job of this template for an occurrence; its id is of the caller's making.
    ///
    /// # Errors
    /// As [`parse_enqueue`]: a version with other rules has stored it.
    pub fn job(&self, origin: &CronOrigin, now_ms: i64, ids: &Ids) -> Result<Job> {
        let mut job = parse_enqueue(Fields::from_request(&self.text)?, now_ms, ids)?.job;
        let mut meta: BTreeMap<String, Json> = match &job.meta {
            Some(meta) => Fields::from_member("meta", meta)?.rest(),
            None => BTreeMap::new(),
        };
        // OJS cron section 6.3.
        for (name, value) in [("cron_name", origin.name.clone()), ("cron_triggered_at", format_ms(origin.at_ms))] {
            meta.insert(name.to_owned(), raw(Value::String(value).to_string())?);
        }
        let meta = serde_json::value::to_raw_value(&meta).map_err(Error::internal)?;
        if meta.get().len() > MAX_META_BYTES {
            return Err(Error::too_large("meta", meta.get().len(), MAX_META_BYTES));
        }
        job.meta = Some(meta);
        job.cron = Some(origin.clone());
        Ok(job)
    }

    /// As [`Self::job`], under this id.
    ///
    /// # Errors
    /// As [`Self::job`].
    pub fn job_with_id(&self, id: JobId, origin: &CronOrigin, now_ms: i64, ids: &Ids) -> Result<Job> {
        Ok(Job { id, ..self.job(origin, now_ms, ids)? })
    }

    /// The members, for showing.
    ///
    /// # Errors
    /// `internal_error` when the stored text is not an object.
    pub(super) fn members(&self) -> serde_json::Result<BTreeMap<String, Json>> {
        serde_json::from_str(self.text.get())
    }
}

/// Names the field as it stands in the registration.
fn within(prefix: &str, mut error: Error) -> Error {
    if !prefix.is_empty()
        && let Some(Value::String(field)) = error.details.get("field").cloned()
    {
        let full = format!("{prefix}{field}");
        error.message = error.message.replacen(&format!("'{field}'"), &format!("'{full}'"), 1);
        error.details.insert("field".to_owned(), Value::String(full));
    }
    error
}
