use crate::error::{Error, Result};
use crate::job::state::State;
use crate::json::{Fields, Json};
use crate::time::parse_duration;

/// Most names in a list of a policy.
const MAX_NAMES: usize = 100;
/// Longest period, ms: 100 years.
const MAX_PERIOD_MS: i64 = 3_155_760_000_000;

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// All states that are not terminal: the default of a policy.
    pub const LIVE: Self = Self(0b1_1111);

    /// Whether `state` is one of them.
    #[must_use]
    pub fn contains(self, state: State) -> bool {
        self.0 & bit(state) != 0
    }

    /// As a number, for the table.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Reads [`Self::bits`].
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// The bits are stored, so their order must stay.
fn bit(state: State) -> u8 {
    1 << match state {
        State::Scheduled => 0,
        State::Available => 1,
        State::Pending => 2,
        State::Active => 3,
        State::Retryable => 4,
        State::Completed => 5,
        State::Cancelled => 6,
        State::Discarded => 7,
    }
}

/// What becomes of a new job that has a duplicate (unique jobs section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It is refused: 409.
    Reject,
    /// It takes the place of the other, which is cancelled.
    Replace,
    /// As `Replace`, and at the time for which the other was scheduled.
    ReplaceExceptSchedule,
    /// The other is answered instead.
    Ignore,
}

/// When two jobs count as the same (unique jobs section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniquePolicy {
    /// Whether the queue is compared.
    pub queue: bool,
    /// Whether the args are compared.
    pub args: bool,
    /// Only these members of the args' object.
    pub args_keys: Option<Vec<String>>,
    /// These members of `meta`.
    pub meta_keys: Option<Vec<String>>,
    /// How long after it was made a job keeps others out, ms; for ever when `None`.
    pub period_ms: Option<i64>,
    /// In which states it does.
    pub states: States,
    /// What becomes of the others.
    pub on_conflict: OnConflict,
}

impl UniquePolicy {
    /// Reads the object at `field` of a request.
    ///
    /// # Errors
    /// `invalid_request` for an unknown member, name, state or strategy, a period that is no duration or zero, and for
    /// `meta` without `meta_keys`.
    pub fn parse(field: &str, value: &Json) -> Result<Self> {
        let mut fields = Fields::from_member(field, value)?;
        // Most of the official SDKs say `key` (docs/sdks.md).
        let (keys, key) = (names(&mut fields, "keys")?, names(&mut fields, "key")?);
        if keys.is_some() && key.is_some() {
            return Err(Error::field(&fields.name("key"), "is another name of 'keys'; only one may be given"));
        }
        let name = if key.is_some() { "key" } else { "keys" };
        let keys = keys.or(key).unwrap_or_default();
        let args_keys = names(&mut fields, "args_keys")?;
        let meta_keys = names(&mut fields, "meta_keys")?;
        for key in &keys {
            one_of(&fields.name(name), key, &["type", "queue", "args", "meta"])?;
        }
        let has = |name: &str| keys.iter().any(|key| key == name);
        if has("meta") && meta_keys.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::field(&fields.name("meta_keys"), "is required where 'keys' has 'meta'"));
        }
        for (name, given, of) in [("args_keys", &args_keys, "args"), ("meta_keys", &meta_keys, "meta")] {
            if given.is_some() && !has(of) {
                return Err(Error::field(&fields.name(name), format_args!("needs '{of}' in 'keys'")));
            }
        }
        if args_keys.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::field(&fields.name("args_keys"), "must name at least one key"));
        }
        let period_ms = period(&mut fields)?;
        let states = match names(&mut fields, "states")? {
            Some(states) => parse_states(&fields.name("states"), &states)?,
            None => States::LIVE,
        };
        let on_conflict = match fields.take_string("on_conflict")?.as_deref() {
            None | Some("reject") => OnConflict::Reject,
            Some("replace") => OnConflict::Replace,
            Some("replace_except_schedule") => OnConflict::ReplaceExceptSchedule,
            // The OpenAPI document's name.
            Some("ignore" | "use_existing") => OnConflict::Ignore,
            Some(_) => {
                return Err(Error::field(
                    &fields.name("on_conflict"),
                    "must be 'reject', 'replace', 'replace_except_schedule' or 'ignore'",
                ));
            }
        };
        if let Some(unknown) = fields.rest().into_keys().next() {
            // What a client sends is not repeated at any length.
            let unknown: String = unknown.chars().take(64).collect();
            return Err(Error::field(&format!("{field}.{unknown}"), "is not a member of a unique policy"));
        }
        Ok(Self { queue: has("queue"), args: has("args"), args_keys, meta_keys, period_ms, states, on_conflict })
    }
}

/// `period`, or `period_ms` as some of the official SDKs send it.
fn period(fields: &mut Fields) -> Result<Option<i64>> {
    let ms = fields.take_integer("period_ms", 1, MAX_PERIOD_MS)?;
    let Some(text) = fields.take_string("period")? else { return Ok(ms) };
    if ms.is_some() {
        return Err(Error::field(&fields.name("period_ms"), "is another name of 'period'; only one may be given"));
    }
    let period = parse_duration(&text).filter(|ms| *ms > 0).ok_or_else(|| {
        Error::field(&fields.name("period"), "must be an ISO 8601 duration of more than zero, such as 'PT1H'")
    })?;
    Ok(Some(period))
}

/// A list of names, each once.
fn names(fields: &mut Fields, name: &str) -> Result<Option<Vec<String>>> {
    let Some(mut names) = fields.take_strings(name, MAX_NAMES)? else { return Ok(None) };
    let given = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() < given {
        return Err(Error::field(&fields.name(name), "names something twice"));
    }
    Ok(Some(names))
}

fn parse_states(field: &str, names: &[String]) -> Result<States> {
    if names.is_empty() {
        return Err(Error::field(field, "must name at least one state"));
    }
    let mut states = States(0);
    for name in names {
        one_of(field, name, &State::ALL.map(State::as_str))?;
        states.0 |= State::parse(name).map_or(0, bit);
    }
    Ok(states)
}

fn one_of(field: &str, name: &str, known: &[&str]) -> Result<()> {
    if known.contains(&name) {
        return Ok(());
    }
    // What a client sends is not repeated at any length.
    let name: String = name.chars().take(64).collect();
    Err(Error::field(field, format_args!("has an unknown entry '{name}'; known are {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::raw;

    fn parse(text: &str) -> Result<UniquePolicy> {
        UniquePolicy::parse("options.unique", &raw(text).unwrap())
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        let policy = parse("{}").unwrap();
        assert!(!policy.queue && !policy.args && policy.args_keys.is_none() && policy.meta_keys.is_none());
        assert_eq!((policy.period_ms, policy.states, policy.on_conflict), (None, States::LIVE, OnConflict::Reject));
        for state in State::ALL {
            assert_eq!(States::LIVE.contains(state), !state.is_terminal(), "{state}");
        }
    }

    #[test]
    fn a_policy_is_read_in_full() {
        let policy = parse(
            r#"{"keys":["type","queue","args","meta"],"args_keys":["b","a"],"meta_keys":["t"],"period":"P1W",
                "states":["completed","active"],"on_conflict":"use_existing"}"#,
        )
        .unwrap();
        assert!(policy.queue && policy.args);
        assert_eq!(policy.args_keys.unwrap(), ["a", "b"]);
        assert_eq!((policy.meta_keys.unwrap(), policy.period_ms), (vec!["t".to_owned()], Some(604_800_000)));
        assert_eq!(policy.on_conflict, OnConflict::Ignore);
        for state in State::ALL {
            let listed = matches!(state, State::Active | State::Completed);
            assert_eq!(policy.states.contains(state), listed, "{state}");
            assert_eq!(States::from_bits(policy.states.bits()).contains(state), listed);
        }
    }

    #[test]
    fn the_names_of_the_official_sdks_mean_the_same() {
        let (ours, theirs) = (r#"{"keys":["queue"],"period":"PT1H"}"#, r#"{"key":["queue"],"period_ms":3600000}"#);
        let (ours, theirs) = (parse(ours).unwrap(), parse(theirs).unwrap());
        assert!(theirs.queue && !theirs.args);
        assert_eq!((ours.queue, ours.args, ours.period_ms), (theirs.queue, theirs.args, theirs.period_ms));
    }

    #[test]
    fn bad_policies_name_the_field() {
        for (text, field) in [
            (r#"{"keys":["argz"]}"#, "keys"),
            (r#"{"keys":["Type"]}"#, "keys"),
            (r#"{"keys":["type","type"]}"#, "keys"),
            (r#"{"keys":"type"}"#, "keys"),
            (r#"{"keys":["meta"]}"#, "meta_keys"),
            (r#"{"keys":["meta"],"meta_keys":[]}"#, "meta_keys"),
            (r#"{"meta_keys":["a"]}"#, "meta_keys"),
            (r#"{"args_keys":["a"]}"#, "args_keys"),
            (r#"{"keys":["args"],"args_keys":[]}"#, "args_keys"),
            (r#"{"period":"1h"}"#, "period"),
            (r#"{"period":"PT0S"}"#, "period"),
            (r#"{"period":3600}"#, "period"),
            (r#"{"states":[]}"#, "states"),
            (r#"{"states":["done"]}"#, "states"),
            (r#"{"on_conflict":"drop"}"#, "on_conflict"),
            (r#"{"key":["a"]}"#, "key"),
            (r#"{"key":["type"],"keys":["type"]}"#, "key"),
            (r#"{"kez":["type"]}"#, "kez"),
            (r#"{"period_ms":0}"#, "period_ms"),
            (r#"{"period_ms":"PT1H"}"#, "period_ms"),
            (r#"{"period":"PT1H","period_ms":3600000}"#, "period_ms"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.details["field"].as_str()),
                ("invalid_request", Some(format!("options.unique.{field}").as_str())),
                "{text}"
            );
        }
    }
}
