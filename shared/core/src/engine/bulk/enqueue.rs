use super::idempotency::{Admitted, BulkAnswer};
use crate::engine::Engine;
use crate::engine::enqueue::batch::Keyed;
use ojs_model::batch::parse_jobs;
use ojs_model::bulk::{Answer, IdempotencyKey, Item, Operation, enqueue_answer, take_atomic};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::NewJob;
use ojs_model::json::Fields;

/// The jobs of a request, each with its index in it.
struct Jobs {
    good: Vec<(usize, NewJob)>,
    refused: Vec<(usize, Error)>,
    atomic: bool,
}

/// The answer to a request, by whether it was written with a commit.
enum Enqueueing {
    /// It was, if its request has a key.
    Committed(Answer),
    /// There was nothing to commit.
    Nothing(Answer),
}

impl Engine {
    /// Enqueues many jobs, with a result for each (bulk operations section 5): `partial`, where those that can be are, or
    /// `atomic`, all or none. One commit for all of them. `key` is the idempotency key of the request's header.
    ///
    /// # Errors
    /// `invalid_request` and `payload_too_large` for the list as a whole; `conflict` for an idempotency key that is under way
    /// or another request's; the AWS error. Then there is none of them.
    pub async fn bulk_enqueue(&self, mut request: Fields, key: Option<IdempotencyKey>) -> Result<BulkAnswer> {
        let now = self.now_ms();
        let key = IdempotencyKey::take(&mut request, key)?;
        let fingerprint = request.fingerprint();
        let mut jobs = Jobs { atomic: take_atomic(&mut request)?, good: Vec::new(), refused: Vec::new() };
        for (index, entry) in parse_jobs(request, now, &self.ids)?.into_iter().enumerate() {
            match entry {
                Ok(new) => jobs.good.push((index, new)),
                Err(error) => jobs.refused.push((index, error)),
            }
        }
        let Some(key) = key else {
            let (Enqueueing::Committed(answer) | Enqueueing::Nothing(answer)) =
                self.enqueue_items(jobs, None, now).await?;
            return Ok(BulkAnswer::fresh(answer));
        };
        let batch = self.ids.job_id(now);
        let run = match self.admit(Operation::Enqueue, &key, fingerprint, Some(batch.as_str()), now).await? {
            Admitted::Answered(answer) => return Ok(answer),
            Admitted::Run(run) => run,
        };
        if let Some(left) = run.plan.as_deref().and_then(JobId::parse)
            && let Err(error) = self.abort_batch(&left).await
        {
            return self.end_run(&run, Err(error)).await;
        }
        let refused = jobs.refused.clone();
        let keyed = Keyed { ticket: &run.ticket, batch, refused: &refused };
        let answer = self.enqueue_items(jobs, Some(&keyed), now).await;
        match answer {
            Ok(Enqueueing::Committed(answer)) => Ok(BulkAnswer::fresh(answer)),
            Ok(Enqueueing::Nothing(answer)) => self.end_run(&run, Ok(answer)).await,
            Err(error) => self.end_run(&run, Err(error)).await,
        }
    }

    async fn enqueue_items(&self, jobs: Jobs, keyed: Option<&Keyed<'_>>, now: i64) -> Result<Enqueueing> {
        let Jobs { good, refused, atomic } = jobs;
        let total = good.len() + refused.len();
        if good.is_empty() || (atomic && !refused.is_empty()) {
            return Ok(Enqueueing::Nothing(rolled_back(total, &refused)));
        }
        let indexes: Vec<usize> = good.iter().map(|(index, _)| *index).collect();
        let results = match self.enqueue_all(good, atomic, keyed, now).await {
            Ok(results) => results,
            // The one that keeps the others out.
            Err(error) if atomic && !error.code.is_retryable() => match error.details.get("index") {
                Some(index) => {
                    let index = index.as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(total);
                    return Ok(Enqueueing::Nothing(rolled_back(total, &[(index, error)])));
                }
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        // What AWS keeps out as a whole is to be sent again as a whole.
        if let Some(Err(error)) = results.first()
            && results.iter().all(|result| result.as_ref().is_err_and(|error| error.code.is_retryable()))
        {
            return Err(error.clone());
        }
        let mut items = vec![Item::Skipped; total];
        for (index, error) in &refused {
            items[*index] = Item::Failed(error);
        }
        for (index, result) in indexes.iter().zip(&results) {
            items[*index] = match result {
                Ok(made) => made.item(),
                Err(error) => Item::Failed(error),
            };
        }
        Ok(Enqueueing::Committed(enqueue_answer(&items)))
    }
}

/// Nothing was made because of these.
fn rolled_back(total: usize, failed: &[(usize, Error)]) -> Answer {
    let mut items = vec![Item::Skipped; total];
    for (index, error) in failed {
        if let Some(item) = items.get_mut(*index) {
            *item = Item::Failed(error);
        }
    }
    enqueue_answer(&items)
}
