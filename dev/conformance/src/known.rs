//! Cases that are known to fail whatever the server does.

use std::collections::BTreeMap;

/// A case of the official suites that no honest server can pass.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The test id.
    pub id: &'static str,
    /// Why it is on the list; printed with the case.
    pub reason: &'static str,
}

/// The list every run starts from.
pub const DEFAULT: &[Known] = &[Known {
    id: "L1-RTR-014",
    reason: "its last step expects the error types ConnectionTimeout, RateLimitExceeded and InternalServerError, \
             which its own NACK steps never send; OWN-L1-RTR-014 is the case with the types sent",
}];

/// Why the cases of [`FIFO`] are there.
const STRICT_ORDER: &str = "it fetches a second job of a queue while the first is active, which strict order forbids \
                            within a message group (here the queue)";

/// Cases that contradict the order of FIFO queues (`--fifo`).
pub const FIFO: &[Known] = &[
    Known { id: "L0-OPS-006", reason: STRICT_ORDER },
    Known { id: "L4-PAUSE-002", reason: STRICT_ORDER },
    Known { id: "L4-PRI-002", reason: STRICT_ORDER },
    Known { id: "L4-RL-001", reason: STRICT_ORDER },
];

/// The default list together with the ids given on the command line.
#[derive(Debug, Clone)]
pub struct KnownList(BTreeMap<String, String>);

impl KnownList {
    /// [`DEFAULT`], with `fifo` also [`FIFO`], plus `ids`.
    #[must_use]
    pub fn with_defaults(ids: &[String], fifo: bool) -> Self {
        let given = ids.iter().map(|id| (id.clone(), "given with --known".to_owned()));
        let fifo = if fifo { FIFO } else { &[] };
        let default = DEFAULT.iter().chain(fifo).map(|k| (k.id.to_owned(), k.reason.to_owned()));
        // The defaults come last, so that their reason wins over "given".
        Self(given.chain(default).collect())
    }

    /// The reason when the case is on the list.
    #[must_use]
    pub fn reason(&self, test_id: &str) -> Option<&str> {
        self.0.get(test_id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_case_is_known_by_default() {
        assert_eq!(DEFAULT.iter().map(|k| k.id).collect::<Vec<_>>(), ["L1-RTR-014"]);
    }

    #[test]
    fn given_ids_join_the_defaults() {
        let list = KnownList::with_defaults(&["X".into(), "L1-RTR-014".into()], false);
        assert_eq!(list.reason("X"), Some("given with --known"));
        assert!(list.reason("L1-RTR-014").is_some_and(|r| r.contains("never send")));
        assert_eq!((list.reason("OWN-L1-RTR-014"), list.reason("L0-OPS-006")), (None, None));
        assert!(KnownList::with_defaults(&[], true).reason("L0-OPS-006").is_some_and(|r| r.contains("strict order")));
    }
}
