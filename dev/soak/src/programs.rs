//! The programs under test as processes: the API, which is killed and started again, and the ticks.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Outcome;
use crate::http::Http;
use crate::stage::{Stage, program};

/// How long the API may take until it serves.
const START: Duration = Duration::from_secs(30);
/// Pause between two ticks: AWS has a minute, the local stack a second.
const TICK_EVERY: Duration = Duration::from_millis(1_500);
/// One tick in so many is killed in its course.
const KILLED_TICKS: u64 = 4;

/// How often programs were killed or failed.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) ticks_killed: AtomicU64,
    pub(crate) ticks_failed: AtomicU64,
}

/// What starts programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    environment: Vec<(String, String)>,
    log: PathBuf,
}

impl Programs {
    pub(crate) fn new(stage: &Stage, log: PathBuf) -> Self {
        Self { environment: stage.environment(), log }
    }

    fn spawn(&self, name: &str) -> Outcome<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(program(name)?)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    /// Starts the API and returns once it answers.
    pub(crate) async fn api(&self, http: &Http) -> Outcome<Child> {
        let mut child = self.spawn("api")?;
        let until = tokio::time::Instant::now() + START;
        while http.once("soak", "GET", "queues?limit=1", &serde_json::Value::Null).await.status.is_none() {
            if let Some(status) = child.try_wait()? {
                return Err(format!("the API ended at its start with {status}: see {}", self.log.display()).into());
            }
            if tokio::time::Instant::now() > until {
                return Err(format!("the API does not serve: see {}", self.log.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(child)
    }

    /// Kills the API at random times (SIGKILL) and starts it again, until the run is finishing. Returns the last one.
    pub(crate) async fn keep_killing(
        &self,
        mut api: Child,
        http: &Http,
        counts: &Counts,
        mean_ms: u64,
        mut random: fastrand::Rng,
    ) -> Outcome<Child> {
        while !http.finishing() {
            if mean_ms == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            tokio::time::sleep(Duration::from_millis(random.u64(mean_ms / 4..=mean_ms * 7 / 4))).await;
            if http.finishing() {
                break;
            }
            api.kill().await?;
            counts.kills.fetch_add(1, Ordering::Relaxed);
            api = self.api(http).await?;
        }
        Ok(api)
    }

    /// Runs the scheduler and the cron function again and again, and kills some of them. Ends with its task.
    pub(crate) async fn keep_ticking(&self, http: &Http, counts: &Counts, mut random: fastrand::Rng) -> Outcome<()> {
        loop {
            for name in ["scheduler", "cron"] {
                counts.ticks.fetch_add(1, Ordering::Relaxed);
                let mut tick = self.spawn(name)?;
                if !http.finishing() && random.u64(..KILLED_TICKS) == 0 {
                    tokio::time::sleep(Duration::from_millis(random.u64(5..150))).await;
                    tick.kill().await?;
                    counts.ticks_killed.fetch_add(1, Ordering::Relaxed);
                } else if !tick.wait().await?.success() {
                    counts.ticks_failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(TICK_EVERY).await;
        }
    }
}
