//! What a cron job enqueues: an enqueue request, kept as it came.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::ids::{Ids, JobId};
use crate::job::{CronOrigin, Job, MAX_META_BYTES, State, parse_enqueue};
use crate::json::{Fields, Json, raw};
use crate::time::format_ms;

/// Largest template, bytes of JSON: it is written twice at each occurrence.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1_024;

/// The job that is made at each occurrence.
#[derive(Debug, Clone)]
pub struct Template {
    /// A JSON object: `type`, `args`, and what else an enqueue may have.
    pub text: Json,
    /// The job's type.
    pub job_type: String,
    /// The job's queue.
    pub queue: String,
    /// The job's priority.
    pub priority: i64,
    /// The job's message group, if it asks for one.
    pub group: Option<String>,
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
        let nested = request.take_kind("job_template", "object")?;
        let (prefix, mut members) = match &nested {
            Some(template) => ("job_template.", Fields::from_member("job_template", template)?.rest()),
            None => ("", flat.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
        };
        members.retain(|_, value| value.get() != "null");
        if members.contains_key("id") {
            return Err(Error::field("job_template.id", "must not be given: every job gets an id of its own"));
        }
        if !members.contains_key("args") {
            members.insert("args".to_owned(), raw("[]")?);
        }
        let mut template =
            Self { text: to_text(&members)?, job_type: String::new(), queue: String::new(), priority: 0, group: None };
        if template.text.get().len() > MAX_TEMPLATE_BYTES {
            return Err(Error::too_large("job template", template.text.get().len(), MAX_TEMPLATE_BYTES));
        }
        // Made once now, so that nothing can be wrong with it when its time comes.
        let job = template.job(sample, now_ms, ids).map_err(|error| within(prefix, error))?;
        if job.unique.is_some() {
            let field = format!("{prefix}options.unique");
            let message =
                "Unique jobs in cron templates are not supported: 'overlap_policy' says what happens while a job runs.";
            return Err(Error::unsupported(message).with("field", field));
        }
        can_run(&job, now_ms).map_err(|error| within(prefix, error))?;
        template.job_type = job.job_type;
        // Said where it will be looked for, wherever it was said: what is shown can be sent back.
        let mut options = match members.get("options") {
            Some(options) => Fields::from_member("options", options)?.rest(),
            None => BTreeMap::new(),
        };
        options.insert("queue".to_owned(), raw(Value::String(job.queue.clone()).to_string())?);
        members.insert("options".to_owned(), to_text(&options)?);
        template.text = to_text(&members)?;
        template.queue = job.queue;
        template.priority = job.priority;
        template.group = job.group;
        if nested.is_some() {
            same_as_flat(&members, &flat)?;
        }
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
        let meta = to_text(&meta)?;
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

fn to_text(members: &BTreeMap<String, Json>) -> Result<Json> {
    serde_json::value::to_raw_value(members).map_err(Error::internal)
}

/// Refuses what would keep every job of the template from running at its occurrence.
fn can_run(job: &Job, now_ms: i64) -> Result<()> {
    if job.state == State::Pending {
        return Err(Error::field("options.pending", "has no place here: no client could activate the jobs in time"));
    }
    if job.scheduled_at.as_ref().is_some_and(|at| at.text.is_some()) {
        let expected = "must be a duration such as '+PT5M', counted from each occurrence";
        return Err(Error::field("options.scheduled_at", expected));
    }
    if job.expires_at.as_ref().is_some_and(|at| at.text.is_some() && at.at_ms <= now_ms) {
        let expected = "has passed, so every job would expire at once; use a duration such as '+PT1H'";
        return Err(Error::field("options.expires_at", expected));
    }
    Ok(())
}

/// Fails where the flat names say something else than the template: a client that sends back what was shown, with one of them
/// changed, must be told and not be ignored.
fn same_as_flat(members: &BTreeMap<String, Json>, flat: &[(&str, Json)]) -> Result<()> {
    let value = |json: &Json| serde_json::from_str::<Value>(json.get()).unwrap_or_default();
    for (name, said) in flat.iter().filter(|(_, said)| value(said) != serde_json::json!({})) {
        if members.get(*name).map(value) != Some(value(said)) {
            return Err(Error::field(
                name,
                format_args!("and 'job_template.{name}' are given and differ; give one of them"),
            ));
        }
    }
    Ok(())
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
