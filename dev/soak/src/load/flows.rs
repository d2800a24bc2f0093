//! Workflows of each kind, under keys, so that each is made once.

use serde_json::{Value, json};

use super::{Client, TRIES, retry};

impl Client {
    pub(super) async fn chain(&mut self) {
        let marker = self.marker();
        let steps = steps(&marker, self.random.usize(2..5));
        self.workflow(&marker, json!({"type": "chain", "steps": steps})).await;
    }

    pub(super) async fn group(&mut self) {
        let marker = self.marker();
        let jobs = steps(&marker, self.random.usize(2..7));
        self.workflow(&marker, json!({"type": "group", "jobs": jobs})).await;
    }

    pub(super) async fn batch_workflow(&mut self) {
        let marker = self.marker();
        let jobs = steps(&marker, self.random.usize(2..6));
        let callback = |name: &str| json!({"type": "soak.callback", "args": [marker, name]});
        let callbacks = json!({
            "on_complete": callback("complete"), "on_success": callback("success"), "on_failure": callback("failure"),
        });
        self.workflow(&marker, json!({"type": "batch", "jobs": jobs, "callbacks": callbacks})).await;
    }

    pub(super) async fn graph(&mut self) {
        let marker = self.marker();
        let step = |id: &str, after: &[&str]| json!({"id": id, "type": "soak.step", "args": [marker, id], "depends_on": after});
        let steps = [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])];
        self.workflow(&marker, json!({"type": "graph", "steps": steps})).await;
    }

    pub(super) async fn nested(&mut self) {
        let marker = self.marker();
        let inner = json!({"type": "group", "jobs": steps(&marker, 2)});
        let mut steps = steps(&marker, 2);
        steps.insert(1, inner);
        self.workflow(&marker, json!({"type": "chain", "steps": steps})).await;
    }

    /// Makes it, and cancels one in ten.
    async fn workflow(&mut self, marker: &str, mut body: Value) {
        body["name"] = json!(marker);
        body["options"] = json!({"queue": self.queue(), "retry": retry()});
        let made = self.http.repeat(&self.name, "POST", "workflows", &body, Some(marker), TRIES).await;
        let Some(id) = made.answer["workflow"]["id"].as_str().filter(|_| self.random.u32(..10) == 0) else { return };
        tokio::time::sleep(std::time::Duration::from_millis(self.random.u64(..1_000))).await;
        self.http.repeat(&self.name, "DELETE", &format!("workflows/{id}"), &Value::Null, None, TRIES).await;
    }
}

fn steps(marker: &str, count: usize) -> Vec<Value> {
    (0..count).map(|step| json!({"type": "soak.step", "args": [marker, step]})).collect()
}
