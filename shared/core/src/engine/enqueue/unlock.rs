use crate::engine::Engine;
use ojs_model::error::Result;
use ojs_model::job::Job;

impl Engine {
    /// A job has ended: its lock goes with it, unless its policy says that the state still keeps duplicates out
    /// (unique jobs section 6.3). Does nothing for other jobs.
    ///
    /// # Errors
    /// The AWS error; the lock may be gone.
    pub(in crate::engine) async fn release_lock(&self, ended: &Job) -> Result<()> {
        let Some(key) = ended.unique_key else { return Ok(()) };
        let keep = ended.unique_policy()?.is_some_and(|policy| policy.states.contains(ended.state));
        self.store.release_lock(ended, &key, keep).await
    }
}
