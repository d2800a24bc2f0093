//! Clients that repeat one operation for a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::sample::Sample;
use super::subject::Subject;
use crate::Outcome;

/// Set-up calls at a time.
const FILLERS: usize = 32;
/// A slice that is not recorded.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long a slice should be: short enough that drift hits both sides.
const SLICE: Duration = Duration::from_millis(500);
/// Pause after a fetch that found nothing, and how many of them are a failure.
const PAUSE: Duration = Duration::from_millis(2);
const MAX_EMPTY: u32 = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Enqueue,
    Fetch,
    Ack,
    Cycle,
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [Self::Enqueue, Self::Fetch, Self::Ack, Self::Cycle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Fetch => "fetch",
            Self::Ack => "ack",
            Self::Cycle => "cycle",
        }
    }
}

/// One operation of one subject by some clients.
pub(crate) struct Bench<S: Subject> {
    work: Arc<Work<S>>,
    clients: usize,
    /// Jobs that a slice may use up.
    stock: usize,
    pub(crate) sample: Sample,
}

struct Work<S: Subject> {
    subject: Arc<S>,
    operation: Operation,
    queue: String,
    /// Jobs to be fetched.
    waiting: AtomicUsize,
    /// Jobs to be acked.
    held: Mutex<Vec<S::Held>>,
}

impl<S: Subject> Bench<S> {
    /// Prepares the queue and warms up. `rate` is a guess of operations a second, which says how much to stock.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive guess")]
    pub(crate) async fn start(subject: &Arc<S>, operation: Operation, clients: usize, rate: f64) -> Outcome<Self> {
        let queue = format!("{}-{clients}", operation.name());
        subject.prepare(&queue).await?;
        let work = Work {
            subject: Arc::clone(subject),
            operation,
            queue,
            waiting: AtomicUsize::new(0),
            held: Mutex::default(),
        };
        let stock = (rate * SLICE.as_secs_f64() * 1.3) as usize + clients;
        let mut bench = Self { work: Arc::new(work), clients, stock, sample: Sample::new()? };
        bench.slice(WARM_UP).await?;
        bench.sample = Sample::new()?;
        Ok(bench)
    }

    /// Repeats the operation for `span`, or until the stock is used up.
    pub(crate) async fn slice(&mut self, span: Duration) -> Outcome<()> {
        self.work.fill(self.stock).await?;
        let started = Instant::now();
        let clients: Vec<_> =
            (0..self.clients).map(|_| tokio::spawn(Arc::clone(&self.work).client(started + span))).collect();
        let mut empty = 0;
        for client in clients {
            let (latencies, empty_fetches) = client.await??;
            latencies.into_iter().for_each(|latency| self.sample.add(latency));
            empty += empty_fetches;
        }
        self.sample.spend(started.elapsed(), empty);
        Ok(())
    }
}

/// Measures two subjects in turns, so that drift hits both.
pub(crate) async fn side_by_side<A: Subject, B: Subject>(
    a: &mut Bench<A>,
    b: &mut Bench<B>,
    cell: Duration,
) -> Outcome<()> {
    let (rounds, span) = rounds(cell);
    for round in 0..rounds {
        if round % 2 == 0 {
            a.slice(span).await?;
            b.slice(span).await?;
        } else {
            b.slice(span).await?;
            a.slice(span).await?;
        }
    }
    Ok(())
}

/// Measures one subject.
pub(crate) async fn alone<S: Subject>(bench: &mut Bench<S>, cell: Duration) -> Outcome<()> {
    let (rounds, span) = rounds(cell);
    for _ in 0..rounds {
        bench.slice(span).await?;
    }
    Ok(())
}

fn rounds(cell: Duration) -> (u32, Duration) {
    let mut rounds = 2;
    while cell / rounds > SLICE {
        rounds += 2;
    }
    (rounds, cell / rounds)
}

impl<S: Subject> Work<S> {
    /// Makes sure that `count` jobs are there for an operation that uses them up.
    async fn fill(&self, count: usize) -> Outcome<()> {
        let there = match self.operation {
            Operation::Fetch => self.waiting.load(Ordering::Relaxed),
            Operation::Ack => self.held.lock().unwrap_or_else(PoisonError::into_inner).len(),
            Operation::Enqueue | Operation::Cycle => return Ok(()),
        };
        stream::iter(there..count).map(|_| Ok(self.fill_one())).try_for_each_concurrent(FILLERS, |one| one).await
    }

    async fn fill_one(&self) -> Outcome<()> {
        self.subject.enqueue(&self.queue).await?;
        if self.operation == Operation::Ack {
            let (held, _) = self.fetch().await?;
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
        } else {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One client: its latencies, and how many fetches found nothing.
    async fn client(self: Arc<Self>, until: Instant) -> Outcome<(Vec<Duration>, u64)> {
        let mut latencies = Vec::new();
        let mut empty_fetches = 0;
        while Instant::now() < until {
            let held = match self.operation {
                Operation::Ack => match self.held.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                    Some(held) => Some(held),
                    None => break,
                },
                Operation::Fetch if !self.take_waiting() => break,
                _ => None,
            };
            let started = Instant::now();
            empty_fetches += self.once(held).await?;
            latencies.push(started.elapsed());
        }
        Ok((latencies, empty_fetches))
    }

    async fn once(&self, held: Option<S::Held>) -> Outcome<u64> {
        match (self.operation, held) {
            (Operation::Enqueue, _) => self.subject.enqueue(&self.queue).await.map(|()| 0),
            (Operation::Fetch, _) => Ok(self.fetch().await?.1),
            (Operation::Ack, Some(held)) => self.subject.ack(held).await.map(|()| 0),
            (Operation::Ack, None) => Ok(0),
            (Operation::Cycle, _) => {
                self.subject.enqueue(&self.queue).await?;
                let (held, empty) = self.fetch().await?;
                self.subject.ack(held).await?;
                Ok(empty)
            }
        }
    }

    /// Fetches until there is a job: another client may be between its put and its send.
    async fn fetch(&self) -> Outcome<(S::Held, u64)> {
        for empty in 0..MAX_EMPTY {
            if let Some(held) = self.subject.fetch(&self.queue).await? {
                return Ok((held, empty.into()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!("queue {} stays empty", self.queue).into())
    }

    fn take_waiting(&self) -> bool {
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_begin_equally_often() {
        for ms in [100, 500, 1_000, 3_000, 10_000] {
            let (rounds, span) = rounds(Duration::from_millis(ms));
            assert!(rounds % 2 == 0 && span <= SLICE, "{ms}");
        }
    }
}
