//! A job as an item. Attribute names are short because every write is billed by the size of the whole item.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `r` | revision | | `s` | state |
//! | `ty` `q` `a` `m` | type, queue, args, meta | | `p` `tg` `sch` | priority, tags, schema |
//! | `tm` `vt` | execution and visibility timeout, ms | | `rp` `un` `rl` `x` | retry, unique, rate limit, unknown fields |
//! | `ca` `ea` `sa` | created, enqueued, started, ms | | `sc`/`sct` `ex`/`ext` | scheduled, expires, ms and text |
//! | `du` | due, ms | | `n` `rq` | attempt, how many of them were returned unfinished |
//! | `lw` `lt` | worker and token of the lease | | `lu` `vd` `xd` | lease end, its length, execution deadline, ms |
//! | `rh` `rt` | receipt handle, its queue's tier unless 0; once ended: FIFO only | | `er` `pe` `rd` | errors, past errors, retry delay ms |
//! | `re` | result | | `xa` `ka` `da` `ga` `mr` | completed, cancelled, discarded, activated, retried, ms |
//! | `ps` | previous state | | `nc` | nonce of the last write |
//! | `gr` | message group | | `uk` | key of a unique job |
//! | `kc` `kk` `kd` | kept once completed, cancelled, discarded, s | | | |
//! | `wo` `pr` `kr` | step of a workflow, whose results it gets, whether its own is kept | | `cq` | asked to stop, ms |
//! | `bt` | batch that it comes with, until it is claimed | | `lk` | rate limits whose slots its last claim took |
//! | `cr` | cron occurrence that made it | | `wf` `nb` | job it waits for, message of the job that waits for it |
//! | `lp` `lo` | listing index | | `dup` `dus` | due index; of a parked job its limit, and when its message may be sent |
//! | `pg` | how long after that it may be sent again, ms | | | |
//! | `lb` | lapsed leases, a JSON array | | | |
//! | `dlp` `dlq` `dls` | dead-letter indexes | | `ttl` | when the item may go, s |

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::store::dynamo::attributes::{Item, b, get_n, n, s, take_s};
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
        let mut put = |name: &str, value: Option<AttributeValue>| {
            if let Some(value) = value {
                item.insert(name.to_owned(), value);
            }
        };
        let json = |value: &Option<Json>| value.as_ref().map(|v| s(v.get()));
        put("r", Some(n(job.revision)));
        put("s", Some(s(job.state.as_str())));
        put("ty", Some(s(&job.job_type)));
        put("q", Some(s(&job.queue)));
        put("a", Some(s(job.args.get())));
        put("m", json(&job.meta));
        put("p", (job.priority != 0).then(|| n(job.priority)));
        put("tg", json(&job.tags));
        put("sch", job.schema.as_ref().map(s));
        put("tm", job.timeout_ms.map(n));
        put("vt", job.visibility_timeout_ms.map(n));
        put("rp", json(&job.retry_given));
        put("un", json(&job.unique));
        put("uk", job.unique_key.as_ref().map(|key| AttributeValue::B(Blob::new(key.bytes()))));
        put("rl", json(&job.rate_limit));
        put("lk", (!job.holds.is_empty()).then(|| s(job.holds.join(","))));
        put("x", json(&job.extra));
        put("nc", job.nonce.map(n));
        put("ca", Some(n(job.created_at)));
        put("ea", job.enqueued_at.map(n));
        put("sc", job.scheduled_at.as_ref().map(|at| n(at.at_ms)));
        put("sct", job.scheduled_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        put("ex", job.expires_at.as_ref().map(|at| n(at.at_ms)));
        put("ext", job.expires_at.as_ref().and_then(|at| at.text.as_ref()).map(s));
        put("du", job.due_at.map(n));
        put("n", Some(n(job.attempt)));
        put("rq", (job.requeues > 0).then(|| n(job.requeues)));
        put("sa", job.started_at.map(n));
        if let Some(lease) = &job.lease {
            put("lw", lease.worker.as_ref().map(s));
            put("lt", Some(s(&lease.token)));
            put("lu", Some(n(lease.until_ms)));
            put("vd", Some(n(lease.duration_ms)));
            put("xd", Some(n(lease.deadline_ms.min(NO_DEADLINE_MS))));
        } else {
            put("lt", job.ended_lease.as_ref().map(s));
        }
        let ended = job.ended_receipt.as_ref().filter(|_| self.fifo);
        let message = job.lease.as_ref().map_or(ended, |lease| lease.receipt.as_ref());
        put("rh", message.map(|r| receipt(&r.handle)));
        put("rt", message.map(|r| r.tier).filter(|tier| *tier != 0).map(n));
        if !job.errors.is_empty() {
            put("er", Some(s(serde_json::to_string(&job.errors).map_err(Error::internal)?)));
        }
        put("pe", (job.past_errors > 0).then(|| n(job.past_errors)));
        put("rd", job.retry_delay_ms.map(n));
        if !job.lapsed.is_empty() {
            put("lb", Some(s(serde_json::to_string(&job.lapsed).map_err(Error::internal)?)));
        }
        put("re", json(&job.result));
        put("xa", job.completed_at.map(n));
        put("ka", job.cancelled_at.map(n));
        put("da", job.discarded_at.map(n));
        put("ga", job.activated_at.map(n));
        put("mr", job.retried_at.map(n));
        put("ps", job.previous_state.map(|state| s(state.as_str())));
        if let Some(origin) = &job.cron {
            put("cr", Some(s(serde_json::to_string(origin).map_err(Error::internal)?)));
        }
        put("kc", job.retention.completed_s.map(n));
        put("kk", job.retention.cancelled_s.map(n));
        put("kd", job.retention.discarded_s.map(n));
        put("wo", job.member_of.as_ref().map(|member| s(member.to_string())));
        if let Some(parents) = &job.parents {
            put("pr", Some(s(serde_json::to_string(parents).map_err(Error::internal)?)));
        }
        put("kr", kept_number(job.keeps_result).map(n));
        put("cq", job.cancel_requested_at.map(n));
        put("bt", job.batch.as_ref().map(|id| s(id.as_str())));
        put("gr", job.group.as_ref().map(s));
        put("wf", job.waits_for.as_ref().map(|id| s(id.as_str())));
        put("nb", job.successor.as_ref().map(s));
        put("ttl", self.job_ttl_s(job).map(n));
        let shard = keys::shard(&job.id, self.shards);
        put("lp", self.listing.then(|| s(keys::listing(&job.queue, shard))));
        put("lo", self.listing.then(|| b(keys::listing_sort(job.created_at, &job.id))));
        // A pending job, which is due at no time, is in the index for its expiry.
        let due = job.due_at.or(job.expires_at.as_ref().map(|at| at.at_ms));
        if let Some(due) = due.filter(|_| job.in_due_index) {
            put("dup", Some(s(keys::due(shard))));
            put("dus", Some(n(due)));
        }
        if let Some(parked) = job.parked.as_ref().filter(|_| job.state == State::Available) {
            put("dup", Some(s(keys::parked(&parked.limit))));
            put("dus", Some(n(parked.send_at_ms)));
            put("pg", parked.gap_ms.map(n));
        }
        if let Some(at) = job.discarded_at.filter(|_| job.dead_letter) {
            put("dlp", Some(s(keys::dead(shard))));
            put("dlq", Some(s(keys::dead_in(&job.queue, shard))));
            put("dls", Some(s(keys::dead_sort(at, &job.id))));
        }
        Ok(item)
    }
}

/// Reads a job's item.
///
/// # Errors
/// `internal_error` when an attribute that must be there is not: somebody else wrote to the table.
pub(in crate::store) fn job_of(mut item: Item) -> Result<Job> {
    let pk = take_s(&mut item, "pk").unwrap_or_default();
    let id = keys::job_of_pk(&pk).ok_or_else(|| Error::internal(format_args!("item {pk} is not a job")))?;
    let broken = |name: &str| Error::internal(format_args!("job {id}: attribute '{name}' is missing or unreadable"));
    let state = take_s(&mut item, "s").and_then(|s| State::parse(&s)).ok_or_else(|| broken("s"))?;
    let number = |name: &str| get_n(&item, name);
    let created_at = number("ca").ok_or_else(|| broken("ca"))?;
    let revision = number("r").and_then(|r| u64::try_from(r).ok()).ok_or_else(|| broken("r"))?;
    let attempt = number("n").and_then(|a| u32::try_from(a).ok()).unwrap_or(0);
    let requeues = number("rq").and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let nonce = item.get("nc").and_then(|v| v.as_n().ok()?.parse().ok());
    let numbers = [
        "ea", "sc", "ex", "du", "sa", "lu", "vd", "xd", "rd", "xa", "ka", "da", "ga", "mr", "tm", "vt", "p", "pe",
        "cq", "kc", "kk", "kd",
    ]
    .map(number);
    let [ea, sc, ex, du, sa, lu, vd, xd, rd, xa, ka, da, ga, mr, tm, vt, p, pe, cq, kc, kk, kd] = numbers;
    let keeps_result = keep_of(number("kr"));
    let parked = item.get("dup").and_then(|dup| keys::limit_of_parked(dup.as_s().ok()?)).map(str::to_owned);
    let parked =
        parked.zip(number("dus")).map(|(limit, send_at_ms)| Parked { limit, send_at_ms, gap_ms: number("pg") });
    let in_due_index = parked.is_none() && item.contains_key("dup");
    let dead_letter = item.contains_key("dlp");
    let tier = get_n(&item, "rt").unwrap_or(0);
    let unique_key = item.get("uk").and_then(|key| UniqueKey::from_bytes(key.as_b().ok()?.as_ref()));
    let receipt = item.remove("rh").and_then(receipt_text).map(|handle| Receipt { handle, tier });
    let (receipt, ended_receipt) = if state == State::Active { (receipt, None) } else { (None, receipt) };
    let mut text = |name: &str| take_s(&mut item, name);
    let token = text("lt");
    let worker = text("lw");
    let lease = match (state, lu) {
        (State::Active, Some(until_ms)) => Some(Lease {
            worker,
            token: token.clone().ok_or_else(|| broken("lt"))?,
            until_ms,
            duration_ms: vd.ok_or_else(|| broken("vd"))?,
            deadline_ms: xd.filter(|at| *at < NO_DEADLINE_MS).unwrap_or(i64::MAX),
            receipt,
        }),
        (State::Active, None) => return Err(broken("lu")),
        _ => None,
    };
    let retry_given = text("rp").map(raw).transpose()?;
    let retry = match &retry_given {
        Some(given) => RetryPolicy::parse("retry", given)?,
        None => RetryPolicy::default(),
    };
    let cron: Option<CronOrigin> = match text("cr") {
        Some(origin) => Some(serde_json::from_str(&origin).map_err(|_| broken("cr"))?),
        None => None,
    };
    let mut id_in = |name: &str| match text(name) {
        Some(id) => JobId::parse(&id).map(Some).ok_or_else(|| broken(name)),
        None => Ok(None),
    };
    let (waits_for, batch) = (id_in("wf")?, id_in("bt")?);
    let member_of = match text("wo") {
        Some(member) => Some(MemberOf::parse(&member).ok_or_else(|| broken("wo"))?),
        None => None,
    };
    let parents: Option<Parents> = match text("pr") {
        Some(parents) => Some(serde_json::from_str(&parents).map_err(|_| broken("pr"))?),
        None => None,
    };
    let errors: Vec<JobError> = match text("er") {
        Some(history) => serde_json::from_str(&history).map_err(|_| broken("er"))?,
        None => Vec::new(),
    };
    let lapsed: Vec<Lapsed> = match text("lb") {
        Some(lapsed) => serde_json::from_str(&lapsed).map_err(|_| broken("lb"))?,
        None => Vec::new(),
    };
    let queue = text("q").ok_or_else(|| broken("q"))?;
    let rate_limit = text("rl").map(raw).transpose()?;
    // What another version took for a policy limits nothing here, rather than to keep the job from being read.
    let limit = rate_limit.as_ref().and_then(|given| RateLimitPolicy::parse("rate_limit", given, &queue).ok());
    Ok(Job {
        job_type: text("ty").ok_or_else(|| broken("ty"))?,
        queue,
        args: raw(text("a").ok_or_else(|| broken("a"))?)?,
        meta: text("m").map(raw).transpose()?,
        priority: p.unwrap_or(0),
        tags: text("tg").map(raw).transpose()?,
        schema: text("sch"),
        timeout_ms: tm,
        visibility_timeout_ms: vt,
        retry,
        retry_given,
        unique: text("un").map(raw).transpose()?,
        unique_key,
        rate_limit,
        limit,
        holds: text("lk").map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        extra: text("x").map(raw).transpose()?,
        revision,
        nonce,
        state,
        created_at,
        enqueued_at: ea,
        scheduled_at: sc.map(|at_ms| Moment { at_ms, text: text("sct") }),
        expires_at: ex.map(|at_ms| Moment { at_ms, text: text("ext") }),
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
        result: text("re").map(raw).transpose()?,
        completed_at: xa,
        cancelled_at: ka,
        discarded_at: da,
        activated_at: ga,
        retried_at: mr,
        previous_state: text("ps").and_then(|s| State::parse(&s)),
        dead_letter,
        group: text("gr"),
        cron,
        waits_for,
        batch,
        retention: QueueRetention { completed_s: kc, cancelled_s: kk, discarded_s: kd },
        member_of,
        cancel_requested_at: cq,
        parents,
        parent_results: None,
        keeps_result,
        successor: text("nb"),
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
