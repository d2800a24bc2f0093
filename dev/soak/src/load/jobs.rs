//! Single jobs, batches and cancellations.

use serde_json::{Value, json};

use super::{Client, LIMIT_CONCURRENCY, LIMITS, TRIES, job};

impl Client {
    /// A job with a priority, sent once: a lost answer leaves open whether it is there.
    pub(super) async fn plain(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let priority = self.random.choice([-10, 0, 0, 0, 10]).unwrap_or(0);
        let body = job("plain", &marker, queue, json!({"priority": priority}));
        self.http.once(&self.name, "POST", "jobs", &body).await;
    }

    pub(super) async fn scheduled(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let at = format!("+PT{}S", self.random.u32(1..8));
        self.http
            .once(&self.name, "POST", "jobs", &job("scheduled", &marker, queue, json!({"scheduled_at": at})))
            .await;
    }

    /// One of a few keys, so that conflicts are common. The key is the second argument.
    pub(super) async fn unique(&mut self) {
        let marker = self.marker();
        let key = self.random.u32(..6);
        let conflict = self.random.choice(["reject", "ignore", "replace"]).unwrap_or("reject");
        let policy = json!({"keys": ["args"], "args_keys": ["key"], "on_conflict": conflict});
        let mut body = job("unique", &marker, "soak-a", json!({"unique": policy}));
        body["args"] = json!([{"key": key, "marker": marker}]);
        self.http.once(&self.name, "POST", "jobs", &body).await;
    }

    pub(super) async fn limited(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let key = self.random.choice(LIMITS).copied().unwrap_or("soak-one");
        let limit = json!({"key": key, "concurrency": LIMIT_CONCURRENCY});
        self.http.once(&self.name, "POST", "jobs", &job("limited", &marker, queue, json!({"rate_limit": limit}))).await;
    }

    /// Repeated until it is answered, under one key.
    pub(super) async fn keyed(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let body = job("keyed", &marker, queue, json!({}));
        self.http.repeat(&self.name, "POST", "jobs", &body, Some(&marker), TRIES).await;
        if self.random.u32(..4) == 0 {
            self.http.repeat(&self.name, "POST", "jobs", &body, Some(&marker), TRIES).await;
        }
    }

    /// All or none; half of them under a key.
    pub(super) async fn batch(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let jobs: Vec<Value> = (0..self.random.u32(2..30)).map(|_| job("batch", &marker, queue, json!({}))).collect();
        self.several("jobs/batch", marker, json!({"jobs": jobs})).await;
    }

    pub(super) async fn bulk(&mut self) {
        let (marker, queue) = (self.marker(), self.queue());
        let jobs: Vec<Value> = (0..self.random.u32(2..10)).map(|_| job("bulk", &marker, queue, json!({}))).collect();
        self.several("jobs/bulk", marker, json!({"jobs": jobs})).await;
    }

    async fn several(&mut self, path: &str, marker: String, body: Value) {
        if self.random.bool() {
            self.http.repeat(&self.name, "POST", path, &body, Some(&marker), TRIES).await;
        } else {
            self.http.once(&self.name, "POST", path, &body).await;
        }
    }

    /// A job of one's own that is read again later: what has ended must stay as it is.
    pub(super) async fn look_again(&mut self) {
        let Some(id) = self.enqueued().await else { return };
        for _ in 0..3 {
            tokio::time::sleep(std::time::Duration::from_millis(self.random.u64(100..1_500))).await;
            self.http.once(&self.name, "GET", &format!("jobs/{id}"), &Value::Null).await;
        }
    }

    pub(super) async fn cancel(&mut self) {
        let Some(id) = self.enqueued().await else { return };
        tokio::time::sleep(std::time::Duration::from_millis(self.random.u64(..1_000))).await;
        self.http.repeat(&self.name, "DELETE", &format!("jobs/{id}"), &Value::Null, None, TRIES).await;
    }

    /// The id of a job just made.
    async fn enqueued(&mut self) -> Option<String> {
        let (marker, queue) = (self.marker(), self.queue());
        let call = self.http.once(&self.name, "POST", "jobs", &job("watched", &marker, queue, json!({}))).await;
        call.answer["job"]["id"].as_str().map(str::to_owned)
    }
}
