use ojs_fault_injection::{Call, Service};

/// What AWS was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) dynamodb_calls: f64,
    pub(crate) sqs_calls: f64,
    pub(crate) wcu: f64,
    pub(crate) rcu: f64,
    pub(crate) dynamodb_bytes: f64,
    pub(crate) sqs_bytes: f64,
    /// Each call in order, with its units.
    pub(crate) actions: Vec<String>,
}

impl Tally {
    /// Adds up a log. `more_sqs_bytes` is what the log does not see.
    #[allow(clippy::cast_precision_loss, reason = "bytes of a few calls")]
    pub(crate) fn of(calls: &[Call], more_sqs_bytes: usize) -> Self {
        let mut tally = Self { sqs_bytes: more_sqs_bytes as f64, ..Self::default() };
        for call in calls {
            let bytes = (call.request_bytes + call.response_bytes) as f64;
            match call.service {
                Service::Sqs => {
                    tally.sqs_calls += 1.0;
                    tally.sqs_bytes += bytes;
                }
                Service::DynamoDb | Service::Other => {
                    tally.dynamodb_calls += 1.0;
                    tally.dynamodb_bytes += bytes;
                }
            }
            tally.wcu += call.write_units;
            tally.rcu += call.read_units;
            tally.actions.push(action(call));
        }
        tally
    }

    /// What one of `parts` took.
    #[allow(clippy::cast_precision_loss, reason = "a few parts")]
    pub(crate) fn per(mut self, parts: usize) -> Self {
        for number in self.numbers() {
            *number /= parts.max(1) as f64;
        }
        self
    }

    /// The mean, with the actions of the last.
    pub(crate) fn mean(tallies: Vec<Self>) -> Self {
        let count = tallies.len();
        let mut sum = Self::default();
        for mut tally in tallies {
            for (total, number) in sum.numbers().into_iter().zip(tally.numbers()) {
                *total += *number;
            }
            sum.actions = tally.actions;
        }
        sum.per(count)
    }

    fn numbers(&mut self) -> [&mut f64; 6] {
        [
            &mut self.dynamodb_calls,
            &mut self.sqs_calls,
            &mut self.wcu,
            &mut self.rcu,
            &mut self.dynamodb_bytes,
            &mut self.sqs_bytes,
        ]
    }
}

fn action(call: &Call) -> String {
    let mut text = call.action.clone();
    if call.write_units > 0.0 {
        text.push_str(&format!(" {}w", call.write_units));
    }
    if call.read_units > 0.0 {
        text.push_str(&format!(" {}r", call.read_units));
    }
    if call.status != 200 {
        text.push_str(&format!(" (HTTP {})", call.status));
    }
    text
}
