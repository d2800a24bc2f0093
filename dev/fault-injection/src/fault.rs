/// What happens to the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never leaves: no effect, and the caller sees a broken connection.
    NotSent,
    /// It takes effect, and the caller sees a broken connection.
    LostAnswer,
    /// The caller sees a broken connection, and the request arrives when the test says so, with
    /// [`Wire::deliver`](crate::Wire::deliver).
    Late,
    /// The service refuses it as throttled: no effect.
    Throttled,
    /// The service answers 503: no effect.
    Unavailable,
}

/// What happens to the calls after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// They go through.
    Continue,
    /// None leaves any more: the process has died.
    Dead,
    /// The same happens to all of them.
    Repeat,
}

/// A disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Which call from now on, counted from 0.
    pub at: usize,
    /// What happens to it.
    pub fault: Fault,
    /// What happens afterwards.
    pub then: Then,
}

impl Plan {
    /// The fault for the `n`th call since the plan was made.
    pub(crate) fn fault_of(self, n: usize) -> Option<Fault> {
        match (n.cmp(&self.at), self.then) {
            (std::cmp::Ordering::Equal, _) | (std::cmp::Ordering::Greater, Then::Repeat) => Some(self.fault),
            (std::cmp::Ordering::Greater, Then::Dead) => Some(Fault::NotSent),
            _ => None,
        }
    }
}
