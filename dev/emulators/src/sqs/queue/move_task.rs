//! Message move tasks: dead letters on their way back to the queues they failed in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Queue;
use crate::sqs::http::errors::SqsError;
use crate::sqs::message::store::MovingMessage;
use crate::sqs::message::{Message, random_id};
use crate::sqs::service::Service;

/// Messages moved under one lock when no rate was asked for.
const CHUNK: usize = 500;

/// A move task.
#[derive(Debug)]
pub(crate) struct MoveTask {
    pub(crate) handle: String,
    pub(crate) source_arn: String,
    /// `None`: each message goes back to the queue it failed in.
    pub(crate) destination_arn: Option<String>,
    pub(crate) max_per_second: Option<usize>,
    pub(crate) started_ms: i64,
    /// Messages in the source when it started.
    pub(crate) to_move: usize,
    moved: AtomicU64,
    status: Mutex<Status>,
}

/// How far a move task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    Completed,
    Cancelled,
    /// A message's origin is unknown or gone.
    Failed,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }
}

/// All move tasks of the account, oldest first.
#[derive(Debug, Default)]
pub(crate) struct MoveTasks {
    tasks: Mutex<Vec<Arc<MoveTask>>>,
}

impl MoveTasks {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<MoveTask>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files a task unless one is running for the same source.
    pub(crate) fn add(&self, task: Arc<MoveTask>) -> Result<(), SqsError> {
        let mut tasks = self.lock();
        let busy = |known: &Arc<MoveTask>| known.source_arn == task.source_arn && known.status() == Status::Running;
        if tasks.iter().any(busy) {
            return Err(SqsError::invalid_parameter(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            ));
        }
        tasks.push(task);
        Ok(())
    }

    pub(crate) fn by_handle(&self, handle: &str) -> Option<Arc<MoveTask>> {
        self.lock().iter().find(|task| task.handle == handle).cloned()
    }

    /// The latest tasks of a source, latest first.
    pub(crate) fn latest(&self, source_arn: &str, limit: usize) -> Vec<Arc<MoveTask>> {
        let tasks = self.lock();
        let of_source = tasks.iter().rev().filter(|task| task.source_arn == source_arn);
        of_source.take(limit).cloned().collect()
    }

    /// Ends and forgets all tasks.
    pub(crate) fn clear(&self) {
        for task in std::mem::take(&mut *self.lock()) {
            task.finish(Status::Cancelled);
        }
    }
}

impl MoveTask {
    pub(crate) fn new(
        source: &Queue,
        destination_arn: Option<String>,
        max_per_second: Option<usize>,
        now_ms: i64,
    ) -> Self {
        Self {
            handle: random_id(),
            source_arn: source.identity.arn.to_string(),
            destination_arn,
            max_per_second,
            started_ms: now_ms,
            to_move: source.depth(now_ms).total(),
            moved: AtomicU64::new(0),
            status: Mutex::new(Status::Running),
        }
    }

    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the task; false when it had ended already.
    pub(crate) fn finish(&self, end: Status) -> bool {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let running = *status == Status::Running;
        if running {
            *status = end;
        }
        running
    }

    /// Moves until the source has no visible message, or the task was cancelled.
    pub(crate) async fn run(&self, service: &Service, source: &Queue) {
        while self.status() == Status::Running && !*service.stopping.borrow() {
            let now_ms = service.now_ms();
            let chunk = self.max_per_second.unwrap_or(CHUNK);
            let taken = source.with(now_ms, |store| store.take_visible(chunk));
            if taken.is_empty() {
                self.finish(Status::Completed);
            }
            self.hand_over(service, source, taken, now_ms);
            if self.max_per_second.is_some() {
                let mut stopping = service.stopping.clone();
                tokio::select! {
                    () = service.clock.wait_until(now_ms.saturating_add(1_000)) => {}
                    _ = stopping.changed() => return,
                }
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn hand_over(&self, service: &Service, source: &Queue, taken: Vec<MovingMessage>, now_ms: i64) {
        for moving in taken {
            let arn = self.destination_arn.as_deref().or(moving.dead_letter_source.as_deref());
            let Some(target) = arn.and_then(|arn| service.by_arn(arn)) else {
                // Nowhere to go: it stays, and so does the task's work.
                source.with(now_ms, |store| store.accept(now_ms, moving, 0));
                self.finish(Status::Failed);
                continue;
            };
            let fresh = as_new(&moving, now_ms);
            target.with_and_wake(now_ms, |store| store.accept(now_ms, fresh, 0));
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// AWS treats a message that is moved back as a new one: new id, new age, never received.
fn as_new(moving: &MovingMessage, now_ms: i64) -> MovingMessage {
    let old = &moving.message;
    let message = Message {
        id: random_id(),
        body: old.body.clone(),
        body_md5: old.body_md5.clone(),
        attributes: old.attributes.clone(),
        trace_header: old.trace_header.clone(),
        group_id: old.group_id.clone(),
        deduplication_id: old.deduplication_id.clone(),
    };
    MovingMessage {
        message: Arc::new(message),
        sent_ms: now_ms,
        receive_count: 0,
        first_received_ms: None,
        dead_letter_source: None,
    }
}
