//! Cron jobs and ticks, counted.

use std::time::Duration;

use ojs_core::engine::{Audited, TickBudget};
use ojs_model::json::Fields;
use serde_json::{Value, json};

use super::meter::Meter;
use super::operations::{Operation, expect};
use super::tally::Tally;
use crate::Outcome;
use crate::lab::{ack, fetch};

/// Longer than the period of the cron jobs that are measured.
const PERIOD: Duration = Duration::from_millis(1_050);

impl Operation {
    /// A cron job of this operation's own, and the queue of its jobs.
    fn cron(self, meter: &Meter, expression: &str, more: &Value) -> Outcome<(String, Fields)> {
        let queue = self.queue();
        let job = meter.lab.body(&queue, &json!({}));
        let mut body = json!({"name": queue, "cron": expression, "job_template": job});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        Ok((queue, Fields::from_body(body.to_string().as_bytes())?))
    }

    /// A new one whose next time is near.
    pub(super) async fn cron_register(self, meter: &Meter) -> Outcome<Tally> {
        let (name, request) = self.cron(meter, "*/5 * * * *", &json!({}))?;
        let (registered, tally) = meter.count(meter.lab.engine.register_cron(request)).await?;
        expect(registered.created, "the cron job is new")?;
        meter.lab.engine.delete_cron(&name).await?;
        Ok(tally)
    }

    /// The same once more, as an application does at its start.
    pub(super) async fn cron_register_same(self, meter: &Meter) -> Outcome<Tally> {
        meter.lab.engine.register_cron(self.cron(meter, "0 0 1 1 *", &json!({}))?.1).await?;
        let (_, request) = self.cron(meter, "0 0 1 1 *", &json!({}))?;
        Ok(meter.count(meter.lab.engine.register_cron(request)).await?.1)
    }

    /// An occurrence whose message a worker fetches on its second; the job before has ended.
    pub(super) async fn cron_fire_by_fetch(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        let (queue, request) = self.cron(meter, "*/2 * * * * *", &json!({}))?;
        engine.register_cron(request).await?;
        let mut tally = Tally::default();
        // The second has a job before it to look at.
        for _ in 0..2 {
            let due = engine.get_cron(&queue).await?.next_run_at.unwrap_or_default();
            let wait_ms = u64::try_from(due - engine.now_ms()).unwrap_or(0) + 10;
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let (jobs, counted) = meter.count(engine.fetch(fetch(&queue, 1))).await?;
            expect(jobs.len() == 1 && jobs[0].cron.is_some(), "the fetch fires and claims one job")?;
            engine.ack(ack(&jobs[0])).await?;
            tally = counted;
        }
        engine.delete_cron(&queue).await?;
        // What was sent ahead is dropped, so that the next repetition does not meet it.
        tokio::time::sleep(2 * PERIOD).await;
        expect(engine.fetch(fetch(&queue, 1)).await?.is_empty(), "no job is left")?;
        Ok(tally)
    }

    /// An occurrence that a tick fires because no worker fetches.
    pub(super) async fn cron_fire_by_tick(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        let (queue, request) = self.cron(meter, "* * * * * *", &json!({"overlap_policy": "allow"}))?;
        engine.register_cron(request).await?;
        tokio::time::sleep(PERIOD).await;
        let (ticked, tally) = meter.count(engine.cron_tick(TickBudget::UNLIMITED)).await?;
        engine.delete_cron(&queue).await?;
        expect(ticked.fired >= 1, "the tick fires")?;
        Ok(tally.per(ticked.fired))
    }

    /// An occurrence that finds the job before still there.
    pub(super) async fn cron_skip(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        let (queue, request) = self.cron(meter, "* * * * * *", &json!({}))?;
        engine.register_cron(request).await?;
        tokio::time::sleep(PERIOD).await;
        engine.cron_tick(TickBudget::UNLIMITED).await?;
        tokio::time::sleep(PERIOD).await;
        let (ticked, tally) = meter.count(engine.cron_tick(TickBudget::UNLIMITED)).await?;
        engine.delete_cron(&queue).await?;
        meter.lab.work_off(&queue).await?;
        expect(ticked.fired == 0 && ticked.skipped >= 1, "the tick skips")?;
        Ok(tally.per(ticked.skipped))
    }

    /// The scheduler's tick with nothing due and nothing in the native dead-letter queues.
    pub(super) async fn tick_scheduler_idle(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        // Every queue has been looked at once: an instance that is warm knows them.
        loop {
            engine.redrive(TickBudget::UNLIMITED).await?;
            if engine.store().progress("dead-letters").await?.is_none() {
                break;
            }
        }
        let tick = async {
            let promoted = engine.send_due(TickBudget::UNLIMITED).await?;
            let drained = engine.redrive(TickBudget::UNLIMITED).await?;
            Ok(promoted.sent + drained.resent + drained.dropped)
        };
        let (done, tally) = meter.count(tick).await?;
        expect(done == 0, "nothing is due")?;
        Ok(tally)
    }

    /// The cron tick with nothing due.
    pub(super) async fn tick_cron_idle(self, meter: &Meter) -> Outcome<Tally> {
        let (ticked, tally) = meter.count(meter.lab.engine.cron_tick(TickBudget::UNLIMITED)).await?;
        expect(ticked == ojs_core::engine::CronTicked::default(), "nothing is due")?;
        Ok(tally)
    }

    /// The audit between two passes: it reads when the next one begins.
    pub(super) async fn tick_audit_idle(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        while engine.audit(TickBudget::UNLIMITED).await? != Audited::default() {}
        let (done, tally) = meter.count(engine.audit(TickBudget::UNLIMITED)).await?;
        expect(done == Audited::default(), "no pass is due")?;
        Ok(tally)
    }
}
