//! A job as an item. Attribute names are short because every write is billed by the size of the whole item.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attributes as job;
use crate::store::dynamo::attributes::{Attribute, Item, PK, b, get_n, get_s, get_u64, has, n, s, take_s};
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::unique::UniqueKey;
use ojs_model::job::{CronOrigin, Job, JobError, Lapsed, Lease, Parked, Receipt, RetryPolicy, State};
use ojs_model::job::{Keep, MemberOf, Parents, QueueRetention};
use ojs_model::json::{Json, raw};
use ojs_model::limit::RateLimitPolicy;
use ojs_model::time::Moment;

/// An execution deadline from here on means none: the claim adds this to the clock where a job has no timeout.
pub(in crate::store) const NO_DEADLINE_MS: i64 = 1_000_000_000_000_000;

impl Store {
    /// The item that holds `job`.
    pub(in crate::store) fn item_of(&self, job: &Job) -> Result<Item> {
        let mut item = keys::job(&job.id);
        let mut put = |attribute: Attribute, value: Option<AttributeValue>| {
            if let Some(value) = value {
                item.insert(attribute.name().to_owned(), value);
            }
        };
        let json = |value: &Option<Json>| value.as_ref().map(|v| s(v.get()));
        put(job::REVISION, Some(n(job.revision)));
        put(job::STATE, Some(s(job.state.as_str())));
        put(job::JOB_TYPE, Some(s(&job.job_type)));
        put(job::QUEUE, Some(s(&job.queue)));
        put(job::ARGS, Some(s(job.args.get())));
        put(job::META, json(&job.meta));
        put(job::PRIORITY, (job.priority != 0).then(|| n(job.priority)));
        put(job::TAGS, json(&job.tags));
        put(job::SCHEMA, job.schema.as_ref().map(s));
        put(job::TIMEOUT, job.timeout_ms.map(n));
        put(job::VISIBILITY_TIMEOUT, job.visibility_timeout_ms.map(n));
        put(job::RETRY, json(&job.retry_given));
        put(job::UNIQUE, json(&job.unique));
        put(job::UNIQUE_KEY, job.unique_key.as_ref().map(|key| AttributeValue::B(Blob::new(key.bytes()))));
        put(job::RATE_LIMIT, json(&job.rate_limit));
        put(job::HELD_LIMITS, (!job.holds.is_empty()).then(|| s(job.holds.join(","))));
        put(job::EXTRA, json(&job.extra));
        put(job::NONCE, job.nonce.map(n));
        put(job::CREATED_AT, Some(n(job.created_at)));
        put(job::ENQUEUED_AT, job.enqueued_at.map(n));
        put(job::SCHEDULED_AT, job.scheduled_at.as_ref().map(|at| n(at.at_ms)));
        put(job::SCHEDULED_TEXT, job.scheduled_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        put(job::EXPIRES_AT, job.expires_at.as_ref().map(|at| n(at.at_ms)));
        put(job::EXPIRES_TEXT, job.expires_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        put(job::DUE_AT, job.due_at.map(n));
        put(job::ATTEMPT, Some(n(job.attempt)));
        put(job::REQUEUES, (job.requeues > 0).then(|| n(job.requeues)));
        put(job::STARTED_AT, job.started_at.map(n));
        if let Some(lease) = &job.lease {
            put(job::LEASE_WORKER, lease.worker.as_ref().map(s));
            put(job::LEASE_TOKEN, Some(s(&lease.token)));
            put(job::LEASE_UNTIL, Some(n(lease.until_ms)));
            put(job::LEASE_LENGTH, Some(n(lease.duration_ms)));
            put(job::DEADLINE, Some(n(lease.deadline_ms.min(NO_DEADLINE_MS))));
        } else {
            put(job::LEASE_TOKEN, job.ended_lease.as_ref().map(s));
        }
        let ended = job.ended_receipt.as_ref().filter(|_| self.fifo);
        let message = job.lease.as_ref().map_or(ended, |lease| lease.receipt.as_ref());
        put(job::RECEIPT, message.map(|r| receipt(&r.handle)));
        put(job::RECEIPT_TIER, message.map(|r| r.tier).filter(|tier| *tier != 0).map(n));
        if !job.errors.is_empty() {
            put(job::ERRORS, Some(s(serde_json::to_string(&job.errors).map_err(Error::internal)?)));
        }
        put(job::PAST_ERRORS, (job.past_errors > 0).then(|| n(job.past_errors)));
        put(job::RETRY_DELAY, job.retry_delay_ms.map(n));
        if !job.lapsed.is_empty() {
            put(job::LAPSED, Some(s(serde_json::to_string(&job.lapsed).map_err(Error::internal)?)));
        }
        put(job::RESULT, json(&job.result));
        put(job::COMPLETED_AT, job.completed_at.map(n));
        put(job::CANCELLED_AT, job.cancelled_at.map(n));
        put(job::DISCARDED_AT, job.discarded_at.map(n));
        put(job::ACTIVATED_AT, job.activated_at.map(n));
        put(job::RETRIED_AT, job.retried_at.map(n));
        put(job::PREVIOUS_STATE, job.previous_state.map(|state| s(state.as_str())));
        if let Some(origin) = &job.cron {
            put(job::CRON, Some(s(serde_json::to_string(origin).map_err(Error::internal)?)));
        }
        put(job::KEPT_COMPLETED, job.retention.completed_s.map(n));
        put(job::KEPT_CANCELLED, job.retention.cancelled_s.map(n));
        put(job::KEPT_DISCARDED, job.retention.discarded_s.map(n));
        put(job::MEMBER_OF, job.member_of.as_ref().map(|member| s(member.to_string())));
        if let Some(parents) = &job.parents {
            put(job::PARENTS, Some(s(serde_json::to_string(parents).map_err(Error::internal)?)));
        }
        put(job::KEEPS_RESULT, kept_number(job.keeps_result).map(n));
        put(job::CANCEL_REQUESTED_AT, job.cancel_requested_at.map(n));
        put(job::BATCH, job.batch.as_ref().map(|id| s(id.as_str())));
        put(job::GROUP, job.group.as_ref().map(s));
        put(job::WAITS_FOR, job.waits_for.as_ref().map(|id| s(id.as_str())));
        put(job::SUCCESSOR, job.successor.as_ref().map(s));
        put(job::TTL, self.job_ttl_s(job).map(n));
        let shard = keys::shard(&job.id, self.shards);
        put(job::LISTING_PARTITION, self.listing.then(|| s(keys::listing(&job.queue, shard))));
        put(job::LISTING_SORT, self.listing.then(|| b(keys::listing_sort(job.created_at, &job.id))));
        // A pending job, which is due at no time, is in the index for its expiry.
        let due = job.due_at.or(job.expires_at.as_ref().map(|at| at.at_ms));
        if let Some(due) = due.filter(|_| job.in_due_index) {
            put(job::DUE_PARTITION, Some(s(keys::due(shard))));
            put(job::DUE_SORT, Some(n(due)));
        }
        if let Some(parked) = job.parked.as_ref().filter(|_| job.state == State::Available) {
            put(job::DUE_PARTITION, Some(s(keys::parked(&parked.limit))));
            put(job::DUE_SORT, Some(n(parked.send_at_ms)));
            put(job::PARKED_GAP, parked.gap_ms.map(n));
        }
        if let Some(at) = job.discarded_at.filter(|_| job.dead_letter) {
            put(job::DEAD_PARTITION, Some(s(keys::dead(shard))));
            put(job::DEAD_IN_QUEUE_PARTITION, Some(s(keys::dead_in(&job.queue, shard))));
            put(job::DEAD_SORT, Some(s(keys::dead_sort(at, &job.id))));
        }
        Ok(item)
    }
}

/// Reads a job's item.
///
/// # Errors
/// `internal_error` when an attribute that must be there is not: another program wrote to the table.
pub(in crate::store) fn job_of(mut item: Item) -> Result<Job> {
    let pk = take_s(&mut item, PK).unwrap_or_default();
    let id = keys::job_of_pk(&pk).ok_or_else(|| Error::internal(format_args!("item {pk} is not a job")))?;
    let broken = |attribute: Attribute| {
        let name = attribute.name();
        Error::internal(format_args!("job {id}: attribute '{name}' is missing or unreadable"))
    };
    let state = take_s(&mut item, job::STATE).and_then(|s| State::parse(&s)).ok_or_else(|| broken(job::STATE))?;
    let number = |attribute: Attribute| get_n(&item, attribute);
    let created_at = number(job::CREATED_AT).ok_or_else(|| broken(job::CREATED_AT))?;
    let revision = number(job::REVISION).and_then(|r| u64::try_from(r).ok()).ok_or_else(|| broken(job::REVISION))?;
    let attempt = number(job::ATTEMPT).and_then(|a| u32::try_from(a).ok()).unwrap_or(0);
    let requeues = number(job::REQUEUES).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let nonce = get_u64(&item, job::NONCE);
    let numbers = [
        job::ENQUEUED_AT,
        job::SCHEDULED_AT,
        job::EXPIRES_AT,
        job::DUE_AT,
        job::STARTED_AT,
        job::LEASE_UNTIL,
        job::LEASE_LENGTH,
        job::DEADLINE,
        job::RETRY_DELAY,
        job::COMPLETED_AT,
        job::CANCELLED_AT,
        job::DISCARDED_AT,
        job::ACTIVATED_AT,
        job::RETRIED_AT,
        job::TIMEOUT,
        job::VISIBILITY_TIMEOUT,
        job::PRIORITY,
        job::PAST_ERRORS,
        job::CANCEL_REQUESTED_AT,
        job::KEPT_COMPLETED,
        job::KEPT_CANCELLED,
        job::KEPT_DISCARDED,
    ]
    .map(number);
    let [ea, sc, ex, du, sa, lu, vd, xd, rd, xa, ka, da, ga, mr, tm, vt, p, pe, cq, kc, kk, kd] = numbers;
    let keeps_result = keep_of(number(job::KEEPS_RESULT));
    let parked = get_s(&item, job::DUE_PARTITION).and_then(|dup| keys::limit_of_parked(dup)).map(str::to_owned);
    let parked = parked.zip(number(job::DUE_SORT)).map(|(limit, send_at_ms)| Parked {
        limit,
        send_at_ms,
        gap_ms: number(job::PARKED_GAP),
    });
    let in_due_index = parked.is_none() && has(&item, job::DUE_PARTITION);
    let dead_letter = has(&item, job::DEAD_PARTITION);
    let tier = get_n(&item, job::RECEIPT_TIER).unwrap_or(0);
    let unique_key = item.get(job::UNIQUE_KEY.name()).and_then(|key| UniqueKey::from_bytes(key.as_b().ok()?.as_ref()));
    let receipt = item.remove(job::RECEIPT.name()).and_then(receipt_text).map(|handle| Receipt { handle, tier });
    let (receipt, ended_receipt) = if state == State::Active { (receipt, None) } else { (None, receipt) };
    let mut text = |attribute: Attribute| take_s(&mut item, attribute);
    let token = text(job::LEASE_TOKEN);
    let worker = text(job::LEASE_WORKER);
    let lease = match (state, lu) {
        (State::Active, Some(until_ms)) => Some(Lease {
            worker,
            token: token.clone().ok_or_else(|| broken(job::LEASE_TOKEN))?,
            until_ms,
            duration_ms: vd.ok_or_else(|| broken(job::LEASE_LENGTH))?,
            deadline_ms: xd.filter(|at| *at < NO_DEADLINE_MS).unwrap_or(i64::MAX),
            receipt,
        }),
        (State::Active, None) => return Err(broken(job::LEASE_UNTIL)),
        _ => None,
    };
    let retry_given = text(job::RETRY).map(raw).transpose()?;
    let retry = match &retry_given {
        Some(given) => RetryPolicy::parse("retry", given)?,
        None => RetryPolicy::default(),
    };
    let cron: Option<CronOrigin> = match text(job::CRON) {
        Some(origin) => Some(serde_json::from_str(&origin).map_err(|_| broken(job::CRON))?),
        None => None,
    };
    let mut id_in = |attribute: Attribute| match text(attribute) {
        Some(id) => JobId::parse(&id).map(Some).ok_or_else(|| broken(attribute)),
        None => Ok(None),
    };
    let (waits_for, batch) = (id_in(job::WAITS_FOR)?, id_in(job::BATCH)?);
    let member_of = match text(job::MEMBER_OF) {
        Some(member) => Some(MemberOf::parse(&member).ok_or_else(|| broken(job::MEMBER_OF))?),
        None => None,
    };
    let parents: Option<Parents> = match text(job::PARENTS) {
        Some(parents) => Some(serde_json::from_str(&parents).map_err(|_| broken(job::PARENTS))?),
        None => None,
    };
    let errors: Vec<JobError> = match text(job::ERRORS) {
        Some(history) => serde_json::from_str(&history).map_err(|_| broken(job::ERRORS))?,
        None => Vec::new(),
    };
    let lapsed: Vec<Lapsed> = match text(job::LAPSED) {
        Some(lapsed) => serde_json::from_str(&lapsed).map_err(|_| broken(job::LAPSED))?,
        None => Vec::new(),
    };
    let queue = text(job::QUEUE).ok_or_else(|| broken(job::QUEUE))?;
    let rate_limit = text(job::RATE_LIMIT).map(raw).transpose()?;
    // What another version took for a policy limits nothing here, rather than to keep the job from being read.
    let limit = rate_limit.as_ref().and_then(|given| RateLimitPolicy::parse("rate_limit", given, &queue).ok());
    Ok(Job {
        job_type: text(job::JOB_TYPE).ok_or_else(|| broken(job::JOB_TYPE))?,
        queue,
        args: raw(text(job::ARGS).ok_or_else(|| broken(job::ARGS))?)?,
        meta: text(job::META).map(raw).transpose()?,
        priority: p.unwrap_or(0),
        tags: text(job::TAGS).map(raw).transpose()?,
        schema: text(job::SCHEMA),
        timeout_ms: tm,
        visibility_timeout_ms: vt,
        retry,
        retry_given,
        unique: text(job::UNIQUE).map(raw).transpose()?,
        unique_key,
        rate_limit,
        limit,
        holds: text(job::HELD_LIMITS).map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        extra: text(job::EXTRA).map(raw).transpose()?,
        revision,
        nonce,
        state,
        created_at,
        enqueued_at: ea,
        scheduled_at: sc.map(|at_ms| Moment { at_ms, text: text(job::SCHEDULED_TEXT) }),
        expires_at: ex.map(|at_ms| Moment { at_ms, text: text(job::EXPIRES_TEXT) }),
        due_at: du,
        in_due_index,
        parked,
        attempt,
        requeues,
        started_at: sa,
        ended_lease: token.filter(|_| lease.is_none()),
        ended_receipt,
        lapsed,
        lease,
        errors,
        past_errors: pe.and_then(|c| usize::try_from(c).ok()).unwrap_or(0),
        retry_delay_ms: rd,
        result: text(job::RESULT).map(raw).transpose()?,
        completed_at: xa,
        cancelled_at: ka,
        discarded_at: da,
        activated_at: ga,
        retried_at: mr,
        previous_state: text(job::PREVIOUS_STATE).and_then(|s| State::parse(&s)),
        dead_letter,
        group: text(job::GROUP),
        cron,
        waits_for,
        batch,
        retention: QueueRetention { completed_s: kc, cancelled_s: kk, discarded_s: kd },
        member_of,
        cancel_requested_at: cq,
        parents,
        parent_results: None,
        keeps_result,
        successor: text(job::SUCCESSOR),
        id,
    })
}

fn kept_number(keep: Keep) -> Option<i64> {
    match keep {
        Keep::Never => None,
        Keep::IfAny => Some(1),
        Keep::Always => Some(2),
    }
}

fn keep_of(number: Option<i64>) -> Keep {
    match number {
        None => Keep::Never,
        Some(1) => Keep::IfAny,
        Some(_) => Keep::Always,
    }
}

/// A receipt handle as an attribute: AWS's are base64, which takes a quarter less room as bytes.
pub(in crate::store) fn receipt(handle: &str) -> AttributeValue {
    match STANDARD.decode(handle) {
        Ok(bytes) if STANDARD.encode(&bytes) == handle => AttributeValue::B(Blob::new(bytes)),
        _ => s(handle),
    }
}

fn receipt_text(value: AttributeValue) -> Option<String> {
    match value {
        AttributeValue::B(bytes) => Some(STANDARD.encode(bytes)),
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::Settings;
    use ojs_model::ids::Ids;
    use ojs_model::job::{Event, Failure, Holder, parse_enqueue, step};
    use ojs_model::json::Fields;

    const NOW: i64 = 1_700_000_000_000;

    fn store() -> Store {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .build();
        Store::new(aws_sdk_dynamodb::Client::from_conf(config), &Settings::default())
    }

    fn same(job: &Job) {
        // Kept on FIFO queues only.
        let job = &Job { ended_receipt: None, ..job.clone() };
        let item = store().item_of(job).unwrap();
        let read = job_of(item.clone()).unwrap();
        assert_eq!(store().item_of(&read).unwrap(), item);
        assert_eq!(format!("{read:?}"), format!("{job:?}"));
    }

    #[test]
    fn a_job_survives_the_table_in_every_stage() {
        let body =
            br#"{"type":"a.b","args":[1.10,"\u00e9"],"meta":{"k":1,"message_group_id":"g"},"schema":"urn:x","x_a":[1],
            "options":{"queue":"q.1","priority":-3,"timeout_ms":5000,"visibility_timeout_ms":4000,"tags":["t"],
            "scheduled_at":"+PT1H","expires_at":"2099-12-31T23:59:59Z","unique":{"keys":["type"]},
            "rate_limit":{"max_per_second":1},"retry":{"max_attempts":1,"on_exhaustion":"dead_letter"}}}"#;
        let mut job = parse_enqueue(Fields::from_body(body).unwrap(), NOW, &Ids::new()).unwrap().job;
        job.in_due_index = true;
        same(&job);
        let mut parked = step(&job, Event::Cancel, NOW).unwrap().job;
        parked.parked = Some(Parked { limit: "k:1".into(), send_at_ms: NOW, gap_ms: Some(9) });
        assert!(!store().item_of(&parked).unwrap().contains_key("dup"), "only a job that waits is parked");
        (parked.state, parked.cancelled_at) = (State::Available, None);
        same(&parked);
        let later = NOW + 3_600_000;
        for receipt in [Some(("plain, not base64", 0)), Some(("AAEC/w==", -10)), None] {
            let lease = Lease {
                worker: Some("w".into()),
                token: "t".into(),
                until_ms: later + 9,
                duration_ms: 9,
                deadline_ms: i64::MAX,
                receipt: receipt.map(|(handle, tier)| Receipt { handle: handle.to_owned(), tier }),
            };
            same(&step(&job, Event::Claim(lease), later).unwrap().job);
        }
        let lease = Lease {
            worker: None,
            token: "t".into(),
            until_ms: later + 9_000,
            duration_ms: 9_000,
            deadline_ms: later + 5_000,
            receipt: None,
        };
        let active = step(&job, Event::Claim(lease), later).unwrap().job;
        same(&active);
        same(&active.as_of(later + 5_000));
        let failure =
            Failure::parse(&raw(r#"{"code":"x","message":"m","details":{"a":1},"backtrace":["f"]}"#).unwrap());
        let nack = Event::Nack { holder: Holder::default(), failure: failure.unwrap() };
        let dead = step(&active, nack, later + 1).unwrap().job;
        assert!(dead.dead_letter);
        same(&dead);
        same(&step(&dead, Event::RetryDead, later + 2).unwrap().job);
        let ack = Event::Ack { holder: Holder::default(), result: Some(raw("{\"r\": 1.0}").unwrap()) };
        same(&step(&active, ack, later + 1).unwrap().job);
        same(&step(&active, Event::Cancel, later + 1).unwrap().job);
    }

    #[test]
    fn terminal_jobs_carry_their_ttl() {
        let body = br#"{"type":"a","args":[]}"#;
        let job = parse_enqueue(Fields::from_body(body).unwrap(), NOW, &Ids::new()).unwrap().job;
        assert!(!store().item_of(&job).unwrap().contains_key("ttl"));
        let job = step(&job, Event::Cancel, NOW).unwrap().job;
        assert_eq!(get_n(&store().item_of(&job).unwrap(), "ttl"), Some(NOW / 1_000 + 7 * 86_400));
    }
}
