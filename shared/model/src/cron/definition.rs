//! What a client says of a cron job.

use super::overlap::OverlapPolicy;
use super::schedule::Schedule;
use super::template::Template;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::job::CronOrigin;
use crate::json::{Fields, check_portable, raw};

/// Longest name, characters.
pub const MAX_NAME_CHARS: usize = 255;
/// Longest description, bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 1_024;

/// A cron job as it was registered (OJS cron section 2).
#[derive(Debug, Clone)]
pub struct Definition {
    /// Names it among all cron jobs.
    pub name: String,
    /// The expression as it was given.
    pub expression: String,
    /// IANA name of the time zone.
    pub timezone: String,
    /// What happens when the previous job has not ended.
    pub overlap: OverlapPolicy,
    /// Whether it fires.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
    /// The job to make.
    pub template: Template,
}

/// A registration: a definition that may leave open whether it is enabled.
#[derive(Debug, Clone)]
pub struct Registration {
    definition: Definition,
    enabled: Option<bool>,
}

impl Registration {
    /// Reads a registration, in the specification's field names (`cron`, `type`, `args`, ...) or the suites'
    /// (`expression`, `job_template`); what the server manages is ignored.
    ///
    /// # Errors
    /// `invalid_request` naming the field, also where two names are given for one thing and say different things; for the
    /// template as for an enqueue.
    pub fn parse(mut request: Fields, now_ms: i64, ids: &Ids) -> Result<(Self, Schedule)> {
        let name = request.take_string("name")?.ok_or_else(|| Error::field("name", "is required"))?;
        if !is_cron_name(&name) {
            return Err(Error::field(
                "name",
                format_args!(
                    "must be lower-case letters, digits, '-' and '.', starting with a letter or digit, at most \
                     {MAX_NAME_CHARS} characters"
                ),
            ));
        }
        let (field, expression) = match (request.take_string("expression")?, request.take_string("cron")?) {
            (Some(text), Some(other)) if text != other => {
                return Err(Error::field("cron", "and 'expression' are given and differ; give one of them"));
            }
            (Some(text), _) => ("expression", text),
            (None, Some(text)) => ("cron", text),
            (None, None) => return Err(Error::field("expression", "is required")),
        };
        let timezone = request.take_string("timezone")?.unwrap_or_else(|| "UTC".to_owned());
        let (schedule, timezone) = Schedule::parse(field, &expression, &timezone)?;
        if schedule.next(now_ms).is_none() {
            return Err(Error::field(field, "never fires: there is no such time").with("expression", expression));
        }
        let overlap = match request.take_string("overlap_policy")? {
            Some(name) => OverlapPolicy::parse(&name).ok_or_else(|| {
                let known = OverlapPolicy::ALL.map(OverlapPolicy::as_str);
                Error::field("overlap_policy", format_args!("must be one of {}", known.join(", ")))
                    .with("expected", known.as_slice())
            })?,
            None => OverlapPolicy::default(),
        };
        let enabled = request.take_bool("enabled")?;
        let description = request.take_string("description")?;
        if let Some(text) = &description {
            if text.len() > MAX_DESCRIPTION_BYTES {
                return Err(Error::field(
                    "description",
                    format_args!("must have at most {MAX_DESCRIPTION_BYTES} bytes"),
                ));
            }
            check_portable("description", &raw(serde_json::Value::String(text.clone()).to_string())?)?;
        }
        let sample = CronOrigin {
            name: name.clone(),
            expression: expression.clone(),
            timezone: timezone.clone(),
            at_ms: now_ms,
            run: u64::MAX,
        };
        let template = Template::take(&mut request, &sample, now_ms, ids)?;
        let definition = Definition { name, expression, timezone, overlap, enabled: true, description, template };
        Ok((Self { definition, enabled }, schedule))
    }

    /// The cron job's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What it makes where there is none of that name: enabled unless it says otherwise.
    #[must_use]
    pub fn created(&self) -> Definition {
        Definition { enabled: self.enabled.unwrap_or(true), ..self.definition.clone() }
    }

    /// What it makes of another definition: enabled as that was unless it says otherwise, so that an application's start
    /// does not enable what an operator has disabled.
    #[must_use]
    pub fn updated(&self, old: &Definition) -> Definition {
        Definition { enabled: self.enabled.unwrap_or(old.enabled), ..self.definition.clone() }
    }
}

impl Definition {
    /// Its first time after `after_ms`, ms since the Unix epoch; `None` while it is disabled, or when there is none.
    #[must_use]
    pub fn next_run_at(&self, schedule: &Schedule, after_ms: i64) -> Option<i64> {
        if self.enabled { schedule.next(after_ms).map(|next| next.at_ms) } else { None }
    }

    /// The schedule of a stored definition.
    ///
    /// # Errors
    /// As [`Schedule::parse`]: a version with other rules, or another time zone database, has stored it.
    pub fn schedule(&self) -> Result<Schedule> {
        Ok(Schedule::parse("expression", &self.expression, &self.timezone)?.0)
    }

    /// Whether it fires at the same times as another.
    #[must_use]
    pub fn same_times(&self, other: &Self) -> bool {
        (&self.expression, &self.timezone, self.enabled) == (&other.expression, &other.timezone, other.enabled)
    }

    /// Whether it is the same in every respect.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.same_times(other)
            && self.overlap == other.overlap
            && self.description == other.description
            && self.template.text.get() == other.template.text.get()
    }
}

/// Whether `name` may name a cron job: `^[a-z0-9][a-z0-9\-.]*$`, at most [`MAX_NAME_CHARS`] characters.
#[must_use]
pub fn is_cron_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=MAX_NAME_CHARS).contains(&bytes.len())
        && !matches!(bytes[0], b'-' | b'.')
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_795_510_800_000;

    fn parse(text: &str) -> Result<Definition> {
        let parsed = Registration::parse(Fields::from_body(text.as_bytes())?, NOW, &Ids::new());
        parsed.map(|(registration, _)| registration.created())
    }

    #[test]
    fn an_update_that_does_not_say_keeps_what_an_operator_has_disabled() {
        let read =
            |text: &str| Registration::parse(Fields::from_body(text.as_bytes()).unwrap(), NOW, &Ids::new()).unwrap().0;
        let silent = read(r#"{"name":"a","cron":"@hourly","type":"t"}"#);
        let off = read(r#"{"name":"a","cron":"@hourly","type":"t","enabled":false}"#).created();
        assert!(silent.created().enabled && !off.enabled && !silent.updated(&off).enabled);
        assert!(read(r#"{"name":"a","cron":"@hourly","type":"t","enabled":true}"#).updated(&off).enabled);
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        for text in [
            r#"{"name":"a","cron":"@hourly","type":"t","args":[1.10],"meta":{"k":1},"options":{"priority":1}}"#,
            r#"{"name":"a","expression":"@hourly","job_template":{"type":"t","queue":"flat","x_a":1}}"#,
        ] {
            let first = parse(text).unwrap();
            let cron = crate::cron::Cron::new(first.clone(), None, NOW);
            let shown = serde_json::to_string(&cron.shown()).unwrap();
            assert!(parse(&shown).unwrap().same(&first), "{shown}");
            // Both names say what is meant, and only one is changed.
            let changed = shown.replacen(r#""cron":"@hourly""#, r#""cron":"@daily""#, 1);
            assert_eq!(parse(&changed).unwrap_err().details["field"], "cron");
            let changed = shown.replacen(r#""type":"t","args""#, r#""type":"u","args""#, 1);
            if changed != shown {
                assert_eq!(parse(&changed).unwrap_err().details["field"], "type", "{changed}");
            }
        }
    }

    #[test]
    fn both_ways_to_write_it_mean_the_same() {
        let flat = parse(
            r#"{"name":"daily","cron":"0 9 * * *","timezone":"America/New_York","type":"report.generate","args":[{"a":1.10}],
                "options":{"queue":"reports","timeout":300,"meta":{"k":1}},"description":"d","run_count":9,"next_run_at":null}"#,
        )
        .unwrap();
        let nested = parse(
            r#"{"name":"daily","expression":"0 9 * * *","timezone":"America/New_York","description":"d",
                "job_template":{"type":"report.generate","args":[{"a":1.10}],
                "options":{"queue":"reports","timeout":300,"meta":{"k":1}}}}"#,
        )
        .unwrap();
        assert!(flat.same(&nested));
        assert_eq!((flat.template.job_type.as_str(), flat.template.queue.as_str()), ("report.generate", "reports"));
        assert_eq!((flat.overlap, flat.enabled), (OverlapPolicy::Skip, true));
        let (name, expression, timezone) = ("daily".into(), "0 9 * * *".into(), "UTC".into());
        let origin = CronOrigin { name, expression, timezone, at_ms: NOW, run: 1 };
        let job = flat.template.job(&origin, NOW, &Ids::new()).unwrap();
        assert_eq!(job.args.get(), r#"[{"a":1.10}]"#);
        assert_eq!(job.timeout_ms, Some(300_000));
        assert_eq!(
            job.meta.unwrap().get(),
            r#"{"cron_name":"daily","cron_triggered_at":"2026-11-24T09:00:00.000Z","k":1}"#
        );
    }

    #[test]
    fn the_least_that_is_needed() {
        let least = parse(r#"{"name":"a","cron":"@hourly","type":"t"}"#).unwrap();
        assert_eq!((least.timezone.as_str(), least.template.queue.as_str()), ("UTC", "default"));
        assert_eq!(least.template.text.get(), r#"{"args":[],"options":{"queue":"default"},"type":"t"}"#);
    }

    #[test]
    fn bad_registrations_name_their_field() {
        for (text, field) in [
            (r#"{"cron":"@hourly","type":"t"}"#, "name"),
            (r#"{"name":"A","cron":"@hourly","type":"t"}"#, "name"),
            (r#"{"name":"","cron":"@hourly","type":"t"}"#, "name"),
            (r#"{"name":"-a","cron":"@hourly","type":"t"}"#, "name"),
            (r#"{"name":1,"cron":"@hourly","type":"t"}"#, "name"),
            (r#"{"name":"a","type":"t"}"#, "expression"),
            (r#"{"name":"a","cron":"x","type":"t"}"#, "cron"),
            (r#"{"name":"a","expression":"x","type":"t"}"#, "expression"),
            (r#"{"name":"a","expression":"","type":"t"}"#, "expression"),
            (r#"{"name":"a","expression":"0 0 30 2 *","type":"t"}"#, "expression"),
            (r#"{"name":"a","expression":"@every 10ms","type":"t"}"#, "expression"),
            (r#"{"name":"a","expression":["* * * * *"],"type":"t"}"#, "expression"),
            (r#"{"name":"a","cron":"@hourly","timezone":"EST","type":"t"}"#, "timezone"),
            (r#"{"name":"a","cron":"@hourly","timezone":"+05:00","type":"t"}"#, "timezone"),
            (r#"{"name":"a","cron":"@hourly","overlap_policy":"never","type":"t"}"#, "overlap_policy"),
            (r#"{"name":"a","cron":"@hourly","enabled":"yes","type":"t"}"#, "enabled"),
            (r#"{"name":"a","cron":"@hourly","description":5,"type":"t"}"#, "description"),
            (r#"{"name":"a","cron":"@hourly"}"#, "type"),
            (r#"{"name":"a","cron":"@hourly","type":"T"}"#, "type"),
            (r#"{"name":"a","cron":"@hourly","type":"t","args":{}}"#, "args"),
            (r#"{"name":"a","cron":"@hourly","job_template":[]}"#, "job_template"),
            (r#"{"name":"a","cron":"@hourly","job_template":{}}"#, "job_template.type"),
            (r#"{"name":"a","cron":"@hourly","job_template":{"type":"t","id":"x"}}"#, "job_template.id"),
            (
                r#"{"name":"a","cron":"@hourly","job_template":{"type":"t","options":{"queue":"Q"}}}"#,
                "job_template.options.queue",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.details["field"], field, "{text}: {error}");
            assert!(error.message.contains(&format!("'{field}'")), "{text}: {error}");
        }
        let long = format!(r#"{{"name":"a","cron":"@hourly","type":"t","description":"{}"}}"#, "x".repeat(2_000));
        assert_eq!(parse(&long).unwrap_err().details["field"], "description");
        assert!(is_cron_name(&"a".repeat(255)) && !is_cron_name(&"a".repeat(256)));
    }
}
