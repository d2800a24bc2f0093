//! A cron job as an item.

use super::attributes as cron;
use crate::store::dynamo::attributes::{Attribute, Item, SK, get_n, get_u64, has, n, s, take_s};
use crate::store::keys;
use ojs_model::cron::{Cron, Definition, OverlapPolicy, Skip, Template};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::json::raw;

/// The item that holds `cron`.
pub(in crate::store) fn item_of(cron: &Cron) -> Result<Item> {
    let definition = &cron.definition;
    let mut item = keys::cron(cron.name());
    let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
    put(cron::REVISION, n(cron.revision));
    put(cron::EXPRESSION, s(&definition.expression));
    put(cron::TIMEZONE, s(&definition.timezone));
    put(cron::TEMPLATE, s(definition.template.text.get()));
    put(cron::JOB_TYPE, s(&definition.template.job_type));
    put(cron::QUEUE, s(&definition.template.queue));
    if definition.template.priority != 0 {
        put(cron::PRIORITY, n(definition.template.priority));
    }
    if let Some(group) = &definition.template.group {
        put(cron::GROUP, s(group));
    }
    put(cron::CREATED_AT, n(cron.created_at));
    put(cron::UPDATED_AT, n(cron.updated_at));
    if definition.overlap != OverlapPolicy::Skip {
        put(cron::OVERLAP, s(definition.overlap.as_str()));
    }
    if !definition.enabled {
        put(cron::DISABLED, aws_sdk_dynamodb::types::AttributeValue::Bool(true));
    }
    if let Some(description) = &definition.description {
        put(cron::DESCRIPTION, s(description));
    }
    if let Some(at_ms) = cron.next_run_at {
        put(cron::NEXT_RUN_AT, n(at_ms));
        put(cron::DUE_PARTITION, s(keys::cron_pk(keys::cron_shard(cron.name()))));
        put(cron::DUE_SORT, n(at_ms));
    }
    for (name, number) in [(cron::WOKEN_FOR, cron.woken_for), (cron::LAST_RUN_AT, cron.last_run_at)] {
        if let Some(number) = number {
            put(name, n(number));
        }
    }
    if let Some(nonce) = cron.nonce {
        put(cron::NONCE, n(nonce));
    }
    if let Some(job) = &cron.last_job {
        put(cron::LAST_JOB, s(job.as_str()));
    }
    for (name, count) in [
        (cron::RUN_COUNT, cron.run_count),
        (cron::SKIP_COUNT, cron.skip_count),
        (cron::BACKLOG, u64::from(cron.backlog)),
    ] {
        if count > 0 {
            put(name, n(count));
        }
    }
    if !cron.skips.is_empty() {
        put(cron::SKIPS, s(serde_json::to_string(&cron.skips).map_err(Error::internal)?));
    }
    Ok(item)
}

/// Reads a cron job's item.
///
/// # Errors
/// `internal_error` when an attribute that must be there is not: another program wrote to the table.
pub(in crate::store) fn cron_of(mut item: Item) -> Result<Cron> {
    let name = take_s(&mut item, SK).unwrap_or_default();
    let broken = |attribute: Attribute| {
        Error::internal(format_args!("cron {name}: attribute '{}' is missing or unreadable", attribute.name()))
    };
    let number = |attribute: Attribute| get_n(&item, attribute);
    let count = |attribute: Attribute| get_u64(&item, attribute).unwrap_or(0);
    let revision = get_u64(&item, cron::REVISION).ok_or_else(|| broken(cron::REVISION))?;
    let created_at = number(cron::CREATED_AT).ok_or_else(|| broken(cron::CREATED_AT))?;
    let (updated_at, next_run_at, woken_for, last_run_at) =
        (number(cron::UPDATED_AT), number(cron::NEXT_RUN_AT), number(cron::WOKEN_FOR), number(cron::LAST_RUN_AT));
    let (run_count, skip_count, backlog) = (count(cron::RUN_COUNT), count(cron::SKIP_COUNT), count(cron::BACKLOG));
    let (nonce, priority) = (get_u64(&item, cron::NONCE), number(cron::PRIORITY).unwrap_or(0));
    let enabled = !has(&item, cron::DISABLED);
    let mut text = |attribute: Attribute| take_s(&mut item, attribute);
    let overlap = match text(cron::OVERLAP) {
        Some(policy) => OverlapPolicy::parse(&policy).ok_or_else(|| broken(cron::OVERLAP))?,
        None => OverlapPolicy::Skip,
    };
    let skips: Vec<Skip> = match text(cron::SKIPS) {
        Some(skips) => serde_json::from_str(&skips).map_err(|_| broken(cron::SKIPS))?,
        None => Vec::new(),
    };
    let template = Template {
        text: raw(text(cron::TEMPLATE).ok_or_else(|| broken(cron::TEMPLATE))?)?,
        job_type: text(cron::JOB_TYPE).ok_or_else(|| broken(cron::JOB_TYPE))?,
        queue: text(cron::QUEUE).ok_or_else(|| broken(cron::QUEUE))?,
        priority,
        group: text(cron::GROUP),
    };
    let definition = Definition {
        expression: text(cron::EXPRESSION).ok_or_else(|| broken(cron::EXPRESSION))?,
        timezone: text(cron::TIMEZONE).ok_or_else(|| broken(cron::TIMEZONE))?,
        overlap,
        enabled,
        description: text(cron::DESCRIPTION),
        template,
        name: name.clone(),
    };
    let last_job =
        text(cron::LAST_JOB).map(|id| JobId::parse(&id).ok_or_else(|| broken(cron::LAST_JOB))).transpose()?;
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
