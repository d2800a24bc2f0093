//! A job as an item. Attribute names are short because every write is billed by the size of the whole item.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::attributes as job;
use crate::store::dynamo::attributes::{Attribute, Item, b, n, s};
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::job::{Job, Keep, State};
use ojs_model::json::Json;

/// An execution deadline from here on means none: the claim adds this to the clock where a job has no timeout.
pub(in crate::store) const NO_DEADLINE_MS: i64 = 1_000_000_000_000_000;

impl Store {
    /// The item that holds `job`.
    pub(in crate::store) fn item_of(&self, job: &Job) -> Result<Item> {
        let mut item = JobItem(keys::job(&job.id));
        item.put_envelope(job);
        item.put_times(job);
        item.put_lease(job, self.fifo);
        item.put_history(job)?;
        item.put_relations(job)?;
        item.put(job::TTL, self.job_ttl_s(job).map(n));
        self.put_index_keys(&mut item, job);
        Ok(item.0)
    }

    fn put_index_keys(&self, item: &mut JobItem, job: &Job) {
        let shard = keys::shard(&job.id, self.shards);
        item.put(job::LISTING_PARTITION, self.listing.then(|| s(keys::listing(&job.queue, shard))));
        item.put(job::LISTING_SORT, self.listing.then(|| b(keys::listing_sort(job.created_at, &job.id))));
        // A pending job, which is due at no time, is in the index for its expiry.
        let due = job.due_at.or(job.expires_at.as_ref().map(|at| at.at_ms));
        if let Some(due) = due.filter(|_| job.in_due_index) {
            item.put(job::DUE_PARTITION, Some(s(keys::due(shard))));
            item.put(job::DUE_SORT, Some(n(due)));
        }
        if let Some(parked) = job.parked.as_ref().filter(|_| job.state == State::Available) {
            item.put(job::DUE_PARTITION, Some(s(keys::parked(&parked.limit))));
            item.put(job::DUE_SORT, Some(n(parked.send_at_ms)));
            item.put(job::PARKED_GAP, parked.gap_ms.map(n));
        }
        if let Some(at) = job.discarded_at.filter(|_| job.dead_letter) {
            item.put(job::DEAD_PARTITION, Some(s(keys::dead(shard))));
            item.put(job::DEAD_IN_QUEUE_PARTITION, Some(s(keys::dead_in(&job.queue, shard))));
            item.put(job::DEAD_SORT, Some(s(keys::dead_sort(at, &job.id))));
        }
    }
}

/// The item of a job while it is made. What is `None` has no attribute.
struct JobItem(Item);

impl JobItem {
    fn put(&mut self, attribute: Attribute, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.0.insert(attribute.name().to_owned(), value);
        }
    }

    fn put_json(&mut self, attribute: Attribute, value: Option<&Json>) {
        self.put(attribute, value.map(|value| s(value.get())));
    }

    fn put_as_json(&mut self, attribute: Attribute, value: Option<&impl Serialize>) -> Result<()> {
        if let Some(value) = value {
            self.put(attribute, Some(s(serde_json::to_string(value).map_err(Error::internal)?)));
        }
        Ok(())
    }

    fn put_envelope(&mut self, job: &Job) {
        self.put(job::REVISION, Some(n(job.revision)));
        self.put(job::NONCE, job.nonce.map(n));
        self.put(job::STATE, Some(s(job.state.as_str())));
        self.put(job::JOB_TYPE, Some(s(&job.job_type)));
        self.put(job::QUEUE, Some(s(&job.queue)));
        self.put_json(job::ARGS, Some(&job.args));
        self.put_json(job::META, job.meta.as_ref());
        self.put(job::PRIORITY, (job.priority != 0).then(|| n(job.priority)));
        self.put_json(job::TAGS, job.tags.as_ref());
        self.put(job::SCHEMA, job.schema.as_ref().map(s));
        self.put(job::TIMEOUT, job.timeout_ms.map(n));
        self.put(job::VISIBILITY_TIMEOUT, job.visibility_timeout_ms.map(n));
        self.put_json(job::RETRY, job.retry_given.as_ref());
        self.put_json(job::UNIQUE, job.unique.as_ref());
        self.put(job::UNIQUE_KEY, job.unique_key.as_ref().map(|key| AttributeValue::B(Blob::new(key.bytes()))));
        self.put_json(job::RATE_LIMIT, job.rate_limit.as_ref());
        self.put(job::HELD_LIMITS, (!job.holds.is_empty()).then(|| s(job.holds.join(","))));
        self.put_json(job::EXTRA, job.extra.as_ref());
        self.put(job::GROUP, job.group.as_ref().map(s));
    }

    fn put_times(&mut self, job: &Job) {
        self.put(job::CREATED_AT, Some(n(job.created_at)));
        self.put(job::ENQUEUED_AT, job.enqueued_at.map(n));
        self.put(job::SCHEDULED_AT, job.scheduled_at.as_ref().map(|at| n(at.at_ms)));
        self.put(job::SCHEDULED_TEXT, job.scheduled_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        self.put(job::EXPIRES_AT, job.expires_at.as_ref().map(|at| n(at.at_ms)));
        self.put(job::EXPIRES_TEXT, job.expires_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        self.put(job::DUE_AT, job.due_at.map(n));
        self.put(job::STARTED_AT, job.started_at.map(n));
        self.put(job::COMPLETED_AT, job.completed_at.map(n));
        self.put(job::CANCELLED_AT, job.cancelled_at.map(n));
        self.put(job::DISCARDED_AT, job.discarded_at.map(n));
        self.put(job::ACTIVATED_AT, job.activated_at.map(n));
        self.put(job::RETRIED_AT, job.retried_at.map(n));
        self.put(job::CANCEL_REQUESTED_AT, job.cancel_requested_at.map(n));
        self.put(job::KEPT_COMPLETED, job.retention.completed_s.map(n));
        self.put(job::KEPT_CANCELLED, job.retention.cancelled_s.map(n));
        self.put(job::KEPT_DISCARDED, job.retention.discarded_s.map(n));
    }

    fn put_lease(&mut self, job: &Job, fifo: bool) {
        if let Some(lease) = &job.lease {
            self.put(job::LEASE_WORKER, lease.worker.as_ref().map(s));
            self.put(job::LEASE_TOKEN, Some(s(&lease.token)));
            self.put(job::LEASE_UNTIL, Some(n(lease.until_ms)));
            self.put(job::LEASE_LENGTH, Some(n(lease.duration_ms)));
            self.put(job::DEADLINE, Some(n(lease.deadline_ms.min(NO_DEADLINE_MS))));
        } else {
            self.put(job::LEASE_TOKEN, job.ended_lease.as_ref().map(s));
        }
        let ended = job.ended_receipt.as_ref().filter(|_| fifo);
        let message = job.lease.as_ref().map_or(ended, |lease| lease.receipt.as_ref());
        self.put(job::RECEIPT, message.map(|message| receipt(&message.handle)));
        self.put(job::RECEIPT_TIER, message.map(|message| message.tier).filter(|tier| *tier != 0).map(n));
    }

    fn put_history(&mut self, job: &Job) -> Result<()> {
        self.put(job::ATTEMPT, Some(n(job.attempt)));
        self.put(job::REQUEUES, (job.requeues > 0).then(|| n(job.requeues)));
        self.put_as_json(job::ERRORS, (!job.errors.is_empty()).then_some(&job.errors))?;
        self.put(job::PAST_ERRORS, (job.past_errors > 0).then(|| n(job.past_errors)));
        self.put(job::RETRY_DELAY, job.retry_delay_ms.map(n));
        self.put_as_json(job::LAPSED, (!job.lapsed.is_empty()).then_some(&job.lapsed))?;
        self.put_json(job::RESULT, job.result.as_ref());
        self.put(job::PREVIOUS_STATE, job.previous_state.map(|state| s(state.as_str())));
        Ok(())
    }

    /// What the job belongs to: cron job, workflow, batch, the job before it and the one after it.
    fn put_relations(&mut self, job: &Job) -> Result<()> {
        self.put_as_json(job::CRON, job.cron.as_ref())?;
        self.put(job::MEMBER_OF, job.member_of.as_ref().map(|member| s(member.to_string())));
        self.put_as_json(job::PARENTS, job.parents.as_ref())?;
        self.put(job::KEEPS_RESULT, kept_number(job.keeps_result).map(n));
        self.put(job::BATCH, job.batch.as_ref().map(|id| s(id.as_str())));
        self.put(job::WAITS_FOR, job.waits_for.as_ref().map(|id| s(id.as_str())));
        self.put(job::SUCCESSOR, job.successor.as_ref().map(s));
        Ok(())
    }
}

fn kept_number(keep: Keep) -> Option<i64> {
    match keep {
        Keep::Never => None,
        Keep::IfAny => Some(1),
        Keep::Always => Some(2),
    }
}

/// A receipt handle as an attribute: AWS's are base64, which takes a quarter less room as bytes.
pub(in crate::store) fn receipt(handle: &str) -> AttributeValue {
    match STANDARD.decode(handle) {
        Ok(bytes) if STANDARD.encode(&bytes) == handle => AttributeValue::B(Blob::new(bytes)),
        _ => s(handle),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::Settings;
    use crate::store::dynamo::attributes::get_n;
    use crate::store::job::read::job_of;
    use ojs_model::ids::Ids;
    use ojs_model::job::{Event, Failure, Holder, parse_enqueue, step};
    use ojs_model::job::{Lease, Parked, Receipt};
    use ojs_model::json::Fields;
    use ojs_model::json::raw;

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
