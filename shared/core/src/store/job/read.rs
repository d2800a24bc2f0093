//! Reads a job's item.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;

use super::attributes as job;
use super::item::NO_DEADLINE_MS;
use crate::store::dynamo::attributes::{Attribute, Item, PK, get_n, get_s, get_u64, has, take_s};
use crate::store::keys;
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::unique::UniqueKey;
use ojs_model::job::{Job, Keep, Lease, MemberOf, Parked, QueueRetention, Receipt, RetryPolicy, State};
use ojs_model::json::{Json, raw};
use ojs_model::limit::RateLimitPolicy;
use ojs_model::time::Moment;

/// Reads a job's item.
///
/// # Errors
/// `internal_error` when an attribute that must be there is not: another program wrote to the table.
pub(in crate::store) fn job_of(mut item: Item) -> Result<Job> {
    let pk = take_s(&mut item, PK).unwrap_or_default();
    let id = keys::job_of_pk(&pk).ok_or_else(|| Error::internal(format_args!("item {pk} is not a job")))?;
    let mut item = JobItem { id, item };
    let created_at = item.required_number(job::CREATED_AT)?;
    let job_type = item.required_text(job::JOB_TYPE)?;
    let queue = item.required_text(job::QUEUE)?;
    let args = raw(item.required_text(job::ARGS)?)?;
    let mut read = Job::new(item.id.clone(), job_type, queue, args, created_at);
    item.envelope(&mut read)?;
    item.times(&mut read);
    item.lease(&mut read)?;
    item.history(&mut read)?;
    item.relations(&mut read)?;
    item.indexes(&mut read);
    Ok(read)
}

/// An item while it is read. What has been taken is gone from it.
struct JobItem {
    id: JobId,
    item: Item,
}

impl JobItem {
    fn broken(&self, attribute: Attribute) -> Error {
        let (id, name) = (&self.id, attribute.name());
        Error::internal(format_args!("job {id}: attribute '{name}' is missing or unreadable"))
    }

    fn number(&self, attribute: Attribute) -> Option<i64> {
        get_n(&self.item, attribute)
    }

    fn required_number(&self, attribute: Attribute) -> Result<i64> {
        self.number(attribute).ok_or_else(|| self.broken(attribute))
    }

    /// A number of things; 0 where there is none.
    fn count<T: TryFrom<i64> + Default>(&self, attribute: Attribute) -> T {
        self.number(attribute).and_then(|count| T::try_from(count).ok()).unwrap_or_default()
    }

    fn text(&mut self, attribute: Attribute) -> Option<String> {
        take_s(&mut self.item, attribute)
    }

    fn required_text(&mut self, attribute: Attribute) -> Result<String> {
        self.text(attribute).ok_or_else(|| self.broken(attribute))
    }

    fn json(&mut self, attribute: Attribute) -> Result<Option<Json>> {
        self.text(attribute).map(raw).transpose()
    }

    fn json_as<T: DeserializeOwned>(&mut self, attribute: Attribute) -> Result<Option<T>> {
        self.parsed(attribute, |text| serde_json::from_str(text).ok())
    }

    fn parsed<T>(&mut self, attribute: Attribute, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        match self.text(attribute) {
            Some(text) => parse(&text).map(Some).ok_or_else(|| self.broken(attribute)),
            None => Ok(None),
        }
    }

    fn moment(&mut self, at: Attribute, text: Attribute) -> Option<Moment> {
        self.number(at).map(|at_ms| Moment { at_ms, text: self.text(text) })
    }

    fn envelope(&mut self, read: &mut Job) -> Result<()> {
        read.revision = get_u64(&self.item, job::REVISION).ok_or_else(|| self.broken(job::REVISION))?;
        read.nonce = get_u64(&self.item, job::NONCE);
        read.state = self.parsed(job::STATE, State::parse)?.ok_or_else(|| self.broken(job::STATE))?;
        read.meta = self.json(job::META)?;
        read.priority = self.count(job::PRIORITY);
        read.tags = self.json(job::TAGS)?;
        read.schema = self.text(job::SCHEMA);
        read.timeout_ms = self.number(job::TIMEOUT);
        read.visibility_timeout_ms = self.number(job::VISIBILITY_TIMEOUT);
        read.retry_given = self.json(job::RETRY)?;
        if let Some(given) = &read.retry_given {
            read.retry = RetryPolicy::parse("retry", given)?;
        }
        read.unique = self.json(job::UNIQUE)?;
        let key = self.item.get(job::UNIQUE_KEY.name());
        read.unique_key = key.and_then(|key| UniqueKey::from_bytes(key.as_b().ok()?.as_ref()));
        read.rate_limit = self.json(job::RATE_LIMIT)?;
        // What another version took for a policy limits nothing here, rather than to keep the job from being read.
        let limit = read.rate_limit.as_ref().map(|given| RateLimitPolicy::parse("rate_limit", given, &read.queue));
        read.limit = limit.and_then(Result::ok);
        read.holds =
            self.text(job::HELD_LIMITS).map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default();
        read.extra = self.json(job::EXTRA)?;
        read.group = self.text(job::GROUP);
        Ok(())
    }

    fn times(&mut self, read: &mut Job) {
        read.enqueued_at = self.number(job::ENQUEUED_AT);
        read.scheduled_at = self.moment(job::SCHEDULED_AT, job::SCHEDULED_TEXT);
        read.expires_at = self.moment(job::EXPIRES_AT, job::EXPIRES_TEXT);
        read.due_at = self.number(job::DUE_AT);
        read.started_at = self.number(job::STARTED_AT);
        read.completed_at = self.number(job::COMPLETED_AT);
        read.cancelled_at = self.number(job::CANCELLED_AT);
        read.discarded_at = self.number(job::DISCARDED_AT);
        read.activated_at = self.number(job::ACTIVATED_AT);
        read.retried_at = self.number(job::RETRIED_AT);
        read.cancel_requested_at = self.number(job::CANCEL_REQUESTED_AT);
        read.retention = QueueRetention {
            completed_s: self.number(job::KEPT_COMPLETED),
            cancelled_s: self.number(job::KEPT_CANCELLED),
            discarded_s: self.number(job::KEPT_DISCARDED),
        };
    }

    /// The lease of an active job, or what is left of the one that ended last.
    fn lease(&mut self, read: &mut Job) -> Result<()> {
        let token = self.text(job::LEASE_TOKEN);
        let worker = self.text(job::LEASE_WORKER);
        let tier = self.number(job::RECEIPT_TIER).unwrap_or(0);
        let handle = self.item.remove(job::RECEIPT.name()).and_then(receipt_text);
        let receipt = handle.map(|handle| Receipt { handle, tier });
        if read.state != State::Active {
            (read.ended_lease, read.ended_receipt) = (token, receipt);
            return Ok(());
        }
        read.lease = Some(Lease {
            worker,
            token: token.ok_or_else(|| self.broken(job::LEASE_TOKEN))?,
            until_ms: self.required_number(job::LEASE_UNTIL)?,
            duration_ms: self.required_number(job::LEASE_LENGTH)?,
            deadline_ms: self.number(job::DEADLINE).filter(|at| *at < NO_DEADLINE_MS).unwrap_or(i64::MAX),
            receipt,
        });
        Ok(())
    }

    fn history(&mut self, read: &mut Job) -> Result<()> {
        read.attempt = self.count(job::ATTEMPT);
        read.requeues = self.count(job::REQUEUES);
        read.errors = self.json_as(job::ERRORS)?.unwrap_or_default();
        read.past_errors = self.count(job::PAST_ERRORS);
        read.retry_delay_ms = self.number(job::RETRY_DELAY);
        read.lapsed = self.json_as(job::LAPSED)?.unwrap_or_default();
        read.result = self.json(job::RESULT)?;
        read.previous_state = self.text(job::PREVIOUS_STATE).and_then(|state| State::parse(&state));
        Ok(())
    }

    fn relations(&mut self, read: &mut Job) -> Result<()> {
        read.cron = self.json_as(job::CRON)?;
        read.member_of = self.parsed(job::MEMBER_OF, MemberOf::parse)?;
        read.parents = self.json_as(job::PARENTS)?;
        read.keeps_result = keep_of(self.number(job::KEEPS_RESULT));
        read.batch = self.parsed(job::BATCH, JobId::parse)?;
        read.waits_for = self.parsed(job::WAITS_FOR, JobId::parse)?;
        read.successor = self.text(job::SUCCESSOR);
        Ok(())
    }

    fn indexes(&self, read: &mut Job) {
        let limit = get_s(&self.item, job::DUE_PARTITION).and_then(|partition| keys::limit_of_parked(partition));
        read.parked = limit.zip(self.number(job::DUE_SORT)).map(|(limit, send_at_ms)| Parked {
            limit: limit.to_owned(),
            send_at_ms,
            gap_ms: self.number(job::PARKED_GAP),
        });
        read.in_due_index = read.parked.is_none() && has(&self.item, job::DUE_PARTITION);
        read.dead_letter = has(&self.item, job::DEAD_PARTITION);
    }
}

fn keep_of(number: Option<i64>) -> Keep {
    match number {
        None => Keep::Never,
        Some(1) => Keep::IfAny,
        Some(_) => Keep::Always,
    }
}

fn receipt_text(value: AttributeValue) -> Option<String> {
    match value {
        AttributeValue::B(bytes) => Some(STANDARD.encode(bytes)),
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}
