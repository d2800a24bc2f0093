//! A cron job as an item.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `r` | revision | | `nc` | nonce of the last write |
//! | `ex` `tz` | expression, time zone | | `ov` `off` | overlap policy unless `skip`, `true` when disabled |
//! | `ds` | description | | `tp` `ty` `q` `p` `gr` | template, its type, queue, priority and message group |
//! | `ca` `ua` | created, updated, ms | | `nx` `wk` | next occurrence, the one a message was sent ahead for, ms |
//! | `la` `lj` | last occurrence that fired, ms; its job | | `rc` `kc` `bl` | runs, skips, jobs in a row that had to wait |
//! | `kx` | latest skips (JSON) | | `dup` `dus` | due index |

use crate::store::dynamo::attributes::{Item, get_n, get_u64, n, s, take_s};
use crate::store::keys;
use ojs_model::cron::{Cron, Definition, OverlapPolicy, Skip, Template};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::json::raw;

/// The item that holds `cron`.
pub(in crate::store) fn item_of(cron: &Cron) -> Result<Item> {
    let definition = &cron.definition;
    let mut item = keys::cron(cron.name());
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("r", n(cron.revision));
    put("ex", s(&definition.expression));
    put("tz", s(&definition.timezone));
    put("tp", s(definition.template.text.get()));
    put("ty", s(&definition.template.job_type));
    put("q", s(&definition.template.queue));
    if definition.template.priority != 0 {
        put("p", n(definition.template.priority));
    }
    if let Some(group) = &definition.template.group {
        put("gr", s(group));
    }
    put("ca", n(cron.created_at));
    put("ua", n(cron.updated_at));
    if definition.overlap != OverlapPolicy::Skip {
        put("ov", s(definition.overlap.as_str()));
    }
    if !definition.enabled {
        put("off", aws_sdk_dynamodb::types::AttributeValue::Bool(true));
    }
    if let Some(description) = &definition.description {
        put("ds", s(description));
    }
    if let Some(at_ms) = cron.next_run_at {
        put("nx", n(at_ms));
        put("dup", s(keys::cron_pk(keys::cron_shard(cron.name()))));
        put("dus", n(at_ms));
    }
    for (name, number) in [("wk", cron.woken_for), ("la", cron.last_run_at)] {
        if let Some(number) = number {
            put(name, n(number));
        }
    }
    if let Some(nonce) = cron.nonce {
        put("nc", n(nonce));
    }
    if let Some(job) = &cron.last_job {
        put("lj", s(job.as_str()));
    }
    for (name, count) in [("rc", cron.run_count), ("kc", cron.skip_count), ("bl", u64::from(cron.backlog))] {
        if count > 0 {
            put(name, n(count));
        }
    }
    if !cron.skips.is_empty() {
        put("kx", s(serde_json::to_string(&cron.skips).map_err(Error::internal)?));
    }
    Ok(item)
}

/// Reads a cron job's item.
///
/// # Errors
/// `internal_error` when an attribute that must be there is not: somebody else wrote to the table.
pub(in crate::store) fn cron_of(mut item: Item) -> Result<Cron> {
    let name = take_s(&mut item, "sk").unwrap_or_default();
    let broken = |attribute: &str| {
        Error::internal(format_args!("cron {name}: attribute '{attribute}' is missing or unreadable"))
    };
    let number = |attribute: &str| get_n(&item, attribute);
    let count = |attribute: &str| get_u64(&item, attribute).unwrap_or(0);
    let revision = get_u64(&item, "r").ok_or_else(|| broken("r"))?;
    let created_at = number("ca").ok_or_else(|| broken("ca"))?;
    let (updated_at, next_run_at, woken_for, last_run_at) = (number("ua"), number("nx"), number("wk"), number("la"));
    let (run_count, skip_count, backlog) = (count("rc"), count("kc"), count("bl"));
    let (nonce, priority) = (get_u64(&item, "nc"), number("p").unwrap_or(0));
    let enabled = !item.contains_key("off");
    let mut text = |attribute: &str| take_s(&mut item, attribute);
    let overlap = match text("ov") {
        Some(policy) => OverlapPolicy::parse(&policy).ok_or_else(|| broken("ov"))?,
        None => OverlapPolicy::Skip,
    };
    let skips: Vec<Skip> = match text("kx") {
        Some(skips) => serde_json::from_str(&skips).map_err(|_| broken("kx"))?,
        None => Vec::new(),
    };
    let template = Template {
        text: raw(text("tp").ok_or_else(|| broken("tp"))?)?,
        job_type: text("ty").ok_or_else(|| broken("ty"))?,
        queue: text("q").ok_or_else(|| broken("q"))?,
        priority,
        group: text("gr"),
    };
    let definition = Definition {
        expression: text("ex").ok_or_else(|| broken("ex"))?,
        timezone: text("tz").ok_or_else(|| broken("tz"))?,
        overlap,
        enabled,
        description: text("ds"),
        template,
        name: name.clone(),
    };
    let last_job = text("lj").map(|id| JobId::parse(&id).ok_or_else(|| broken("lj"))).transpose()?;
    Ok(Cron {
        definition,
        revision,
        nonce,
        created_at,
        updated_at: updated_at.unwrap_or(created_at),
        next_run_at,
        woken_for,
        last_run_at,
        last_job,
        run_count,
        skip_count,
        skips,
        backlog: u32::try_from(backlog).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ojs_model::cron::{Due, Progress, Registration, job_id};
    use ojs_model::ids::Ids;
    use ojs_model::json::Fields;

    const NOW: i64 = 1_795_510_800_000;

    fn same(cron: &Cron) {
        let item = item_of(cron).unwrap();
        let read = cron_of(item.clone()).unwrap();
        assert_eq!(item_of(&read).unwrap(), item);
        assert_eq!(format!("{read:?}"), format!("{cron:?}"));
    }

    #[test]
    fn a_cron_job_survives_the_table_in_every_stage() {
        for body in [
            r#"{"name":"a","cron":"@hourly","type":"t"}"#,
            r#"{"name":"b.c","cron":"0 9 * * *","timezone":"Asia/Tokyo","overlap_policy":"enqueue","enabled":false,
                "description":"d","job_template":{"type":"t","args":[1.10],"meta":{"message_group_id":"g"},"options":{"queue":"q","priority":5}}}"#,
        ] {
            let (definition, schedule) =
                Registration::parse(Fields::from_body(body.as_bytes()).unwrap(), NOW, &Ids::new()).unwrap();
            let definition = definition.created();
            let next = definition.enabled.then_some(NOW + 5);
            let mut cron = Cron::new(definition, next, NOW);
            same(&cron);
            cron.woken_for = next;
            cron.nonce = Some(7);
            same(&cron);
            let due = Due { at_ms: NOW, as_of_ms: NOW, missed_since_ms: Some(NOW - 9) };
            let fired = Progress::Fired { job: job_id("a", NOW), behind: true };
            same(&cron.after(&due, &fired, &schedule, NOW));
            same(&cron.after(&due, &Progress::Skipped(job_id("a", 1)), &schedule, NOW));
        }
    }

    #[test]
    fn only_what_fires_is_in_the_due_index() {
        let body = br#"{"name":"a","cron":"@hourly","type":"t"}"#;
        let (registration, _) = Registration::parse(Fields::from_body(body).unwrap(), NOW, &Ids::new()).unwrap();
        let definition = registration.created();
        assert!(item_of(&Cron::new(definition.clone(), Some(5), NOW)).unwrap().contains_key("dup"));
        assert!(!item_of(&Cron::new(definition, None, NOW)).unwrap().contains_key("dup"));
    }
}
