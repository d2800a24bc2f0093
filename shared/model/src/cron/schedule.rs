//! When a cron job fires: an expression in a time zone, or a period.
//!
//! `croner` finds the wall-clock times that an expression names; which instants those are is decided here, because the
//! specification (OJS cron section 5.2) wants neither of what libraries do where clocks change: a time that the clock
//! passes over does not fire, and one that it shows twice fires the first time. Schedules of every hour follow real
//! time instead (ADR 0014): `*/5 * * * *` fires every five minutes through a repeated hour as well.

use croner::time::{CivilDate, CivilDateTime, CivilTime, Resolution, Weekday};
use croner::{CronDateTime, errors::CronError};
use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{every, expression, zone};
use crate::error::{Error, Result};

/// Occurrences further ahead than this are none, s: a hundred years.
const HORIZON_S: i64 = 36_525 * 86_400;

/// A schedule that can be asked.
///
/// ```
/// use ojs_model::cron::Schedule;
/// use ojs_model::time::{format_ms, parse_rfc3339};
///
/// // Every day at 02:30 in Berlin. On 29 March 2026 clocks pass over that time.
/// let (schedule, zone) = Schedule::parse("expression", "30 2 * * *", "europe/berlin")?;
/// assert_eq!(zone, "Europe/Berlin");
/// let from = parse_rfc3339("2026-03-28T12:00:00Z").unwrap();
/// assert_eq!(format_ms(schedule.next(from).unwrap().at_ms), "2026-03-30T00:30:00.000Z");
///
/// let (every, _) = Schedule::parse("expression", "@every 90s", "UTC")?;
/// assert_eq!(every.next(from).unwrap().at_ms, from + 90_000);
/// # Ok::<(), ojs_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Schedule(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Calendar(Box<Calendar>),
    /// A period, ms, counted from the occurrence before.
    Every(i64),
}

#[derive(Debug, Clone)]
struct Calendar {
    cron: croner::Cron,
    zone: TimeZone,
    /// Whether it names every hour, and so follows real time where clocks change.
    every_hour: bool,
}

/// The occurrence after some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// ms since the Unix epoch.
    pub at_ms: i64,
    /// The first occurrence before it that does not take place because clocks pass over it, as the ms since the epoch
    /// that it would have been had they not.
    pub passed_over_ms: Option<i64>,
}

impl Schedule {
    /// Reads an expression and a time zone; answers also the zone's name as the database spells it.
    ///
    /// # Errors
    /// `invalid_request` naming `expression_field` or `timezone`; also for an expression that never fires.
    pub fn parse(expression_field: &str, expression: &str, timezone: &str) -> Result<(Self, String)> {
        let (zone, zone_name) = zone::find(timezone).ok_or_else(|| {
            Error::field(
                "timezone",
                "must be 'UTC' or the IANA name of a region's time zone, such as 'America/New_York'; offsets and \
                 abbreviations are not accepted",
            )
        })?;
        let bad = |problem: String| Error::field(expression_field, problem).with("expression", expression);
        let trimmed = expression.trim();
        let period = trimmed.get(..6).filter(|start| start.eq_ignore_ascii_case("@every")).map(|_| &trimmed[6..]);
        let kind = match period {
            Some(period) => Kind::Every(every::parse(period).map_err(|problem| bad(problem.to_owned()))?),
            None => {
                let cron = expression::parse(expression).map_err(bad)?;
                let every_hour = cron.pattern.hours.values().len() == 24;
                Kind::Calendar(Box::new(Calendar { cron, zone, every_hour }))
            }
        };
        Ok((Self(kind), zone_name))
    }

    /// The first occurrence after `after_ms` (ms since the Unix epoch); `None` when there is none in a hundred years.
    ///
    /// For a period, `after_ms` is the occurrence (or the registration) that it is counted from.
    #[must_use]
    pub fn next(&self, after_ms: i64) -> Option<Next> {
        match &self.0 {
            Kind::Every(period) => after_ms.checked_add(*period).map(|at_ms| Next { at_ms, passed_over_ms: None }),
            Kind::Calendar(calendar) => calendar.next(after_ms),
        }
    }

    /// The last occurrence at or before `now_ms`, where `from_ms` is an occurrence that is not after it.
    #[must_use]
    pub fn latest(&self, from_ms: i64, now_ms: i64) -> i64 {
        if let Kind::Every(period) = &self.0 {
            return from_ms + (now_ms - from_ms).max(0) / period * period;
        }
        // The occurrences after a point get fewer as the point moves on: bisect for the last point that has one.
        let (mut found, mut last) = (from_ms, now_ms);
        while let Some(next) = self.next(found).filter(|next| next.at_ms <= now_ms) {
            let middle = next.at_ms + (last - next.at_ms) / 2;
            match self.next(middle).filter(|later| later.at_ms <= now_ms) {
                Some(later) => found = later.at_ms,
                None => {
                    last = middle;
                    found = next.at_ms;
                }
            }
        }
        found
    }
}

impl Calendar {
    fn next(&self, after_ms: i64) -> Option<Next> {
        let after_s = after_ms.div_euclid(1_000);
        let mut passed_over_ms = None;
        let mut after = Timestamp::from_second(after_s).ok()?;
        let mut offset = self.zone.to_offset(after).seconds();
        let mut changes = self.zone.following(after);
        let mut change = changes.next();
        loop {
            let wall = self.on_the_wall(after, offset)?;
            let at_s = since_epoch_s(wall) - i64::from(offset);
            if at_s - after_s > HORIZON_S {
                return None;
            }
            if let Some(changed) = change.as_ref().filter(|changed| at_s >= changed.timestamp().as_second()) {
                // Clocks change first. What the expression names within a gap does not take place.
                let (change_s, new_offset) = (changed.timestamp().as_second(), changed.offset().seconds());
                let gap_s = i64::from(new_offset - offset);
                if !self.every_hour && passed_over_ms.is_none() && at_s < change_s + gap_s {
                    passed_over_ms = Some(at_s * 1_000);
                }
                after = Timestamp::from_second(change_s - 1).ok()?;
                offset = new_offset;
                change = changes.next();
                continue;
            }
            if self.every_hour || !self.is_second_time(wall, offset) {
                return Some(Next { at_ms: at_s * 1_000, passed_over_ms });
            }
            after = Timestamp::from_second(at_s).ok()?;
        }
    }

    /// The first wall-clock time that the expression names after an instant, clocks being at this offset.
    fn on_the_wall(&self, after: Timestamp, offset_s: i32) -> Option<DateTime> {
        let wall = TimeZone::UTC.to_datetime(after.checked_add(SignedDuration::from_secs(i64::from(offset_s))).ok()?);
        self.cron.find_next_occurrence(&Wall(wall), false).ok().map(|Wall(found)| found)
    }

    /// Whether clocks show this time for the second time.
    fn is_second_time(&self, wall: DateTime, offset_s: i32) -> bool {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Fold { after, .. } => after.seconds() == offset_s,
            _ => false,
        }
    }
}

fn since_epoch_s(wall: DateTime) -> i64 {
    wall.duration_since(date(1970, 1, 1).at(0, 0, 0, 0)).as_secs()
}

/// What a clock on the wall shows: all that `croner` is asked about.
#[derive(Debug, Clone)]
struct Wall(DateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let part = |value: i8| u32::from(value.unsigned_abs());
        let Self(wall) = self;
        // jiff keeps every part in range.
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(wall.year()), part(wall.month()), part(wall.day())),
            CivilTime::from_parts_unchecked(part(wall.hour()), part(wall.minute()), part(wall.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> std::result::Result<Resolution<Self>, CronError> {
        let part = |value: u32| i8::try_from(value).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        DateTime::new(year, month, day, hour, minute, second, 0)
            .map(|wall| Resolution::Single(Self(wall)))
            .map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::{format_ms, parse_rfc3339};
    use proptest::prelude::*;

    fn schedule(expression: &str, zone: &str) -> Schedule {
        Schedule::parse("expression", expression, zone).unwrap().0
    }

    fn at(text: &str) -> i64 {
        parse_rfc3339(text).unwrap()
    }

    /// The first `count` occurrences after a time, as text without the fraction.
    fn occurrences(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
        let mut after = at(after);
        let mut found = Vec::new();
        while found.len() < count {
            after = schedule.next(after).unwrap().at_ms;
            found.push(format_ms(after).replace(".000Z", "Z"));
        }
        found
    }

    fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
        assert_eq!(occurrences(&schedule(expression, zone), after, expected.len()), expected, "{expression} in {zone}");
    }

    #[test]
    fn expressions_name_their_times() {
        let start = "2026-11-24T08:59:59.999Z"; // a Tuesday
        check("0 9 * * *", "UTC", start, &["2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z"]);
        check("0 9 * * *", "UTC", "2026-11-24T09:00:00Z", &["2026-11-25T09:00:00Z"]);
        check("*/15 * * * *", "UTC", "2026-11-24T09:14:59Z", &["2026-11-24T09:15:00Z", "2026-11-24T09:30:00Z"]);
        check("*/10 * * * * *", "UTC", "2026-11-24T09:00:05Z", &["2026-11-24T09:00:10Z", "2026-11-24T09:00:20Z"]);
        check("0 9 * * MON-FRI", "UTC", "2026-11-27T10:00:00Z", &["2026-11-30T09:00:00Z"]);
        check("0 0 * * 7", "UTC", start, &["2026-11-29T00:00:00Z"]);
        check(
            "0 0 L * *",
            "UTC",
            start,
            &["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z"],
        );
        check("0 0 LW * *", "UTC", "2027-01-01T00:00:00Z", &["2027-01-29T00:00:00Z"]);
        check("0 0 15W * *", "UTC", start, &["2026-12-15T00:00:00Z", "2027-01-15T00:00:00Z", "2027-02-15T00:00:00Z"]);
        check("0 0 15W 8 *", "UTC", start, &["2027-08-16T00:00:00Z"]);
        check("0 0 * * FRI#3", "UTC", start, &["2026-12-18T00:00:00Z"]);
        check("0 0 * * 5L", "UTC", start, &["2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z"]);
        check("0 0 29 2 *", "UTC", start, &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
        check("0 0 31 * *", "UTC", start, &["2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"]);
        // Day of month or day of week, as Vixie's cron has it.
        check(
            "0 0 13 * FRI",
            "UTC",
            start,
            &["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"],
        );
        check("@hourly", "UTC", start, &["2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"]);
        check("@weekly", "UTC", start, &["2026-11-29T00:00:00Z"]);
        check("@yearly", "UTC", start, &["2027-01-01T00:00:00Z"]);
        check("0 9 * * *", "Asia/Tokyo", start, &["2026-11-25T00:00:00Z"]);
        check("0 9 * * *", "America/New_York", start, &["2026-11-24T14:00:00Z"]);
        check("30 5 * * *", "Asia/Kolkata", start, &["2026-11-25T00:00:00Z"]);
        check("@every 90s", "UTC", "2026-11-24T09:00:05Z", &["2026-11-24T09:01:35Z", "2026-11-24T09:03:05Z"]);
        assert_eq!(schedule("@every 1500ms", "UTC").next(100).unwrap().at_ms, 1_600);
    }

    #[test]
    fn an_expression_that_never_fires_has_no_next() {
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(schedule(never, "Europe/Berlin").next(at("2026-11-24T09:00:00Z")), None, "{never}");
        }
    }

    #[test]
    fn what_clocks_pass_over_does_not_fire() {
        // New York, 2027-03-14: 2:00 EST is 3:00 EDT.
        let daily = schedule("30 2 * * *", "America/New_York");
        let next = daily.next(at("2027-03-13T12:00:00Z")).unwrap();
        assert_eq!(format_ms(next.at_ms), "2027-03-15T06:30:00.000Z");
        assert_eq!(next.passed_over_ms, Some(at("2027-03-14T07:30:00Z")));
        assert_eq!(daily.next(at("2027-03-12T12:00:00Z")).unwrap().passed_over_ms, None);
        // Neither the hour before nor the hour after is touched.
        check(
            "0 1,3 * * *",
            "America/New_York",
            "2027-03-14T05:00:00Z",
            &["2027-03-14T06:00:00Z", "2027-03-14T07:00:00Z"],
        );
        check(
            "30 1 * * *",
            "America/New_York",
            "2027-03-14T05:00:00Z",
            &["2027-03-14T06:30:00Z", "2027-03-15T05:30:00Z"],
        );
        // Schedules of every hour lose nothing: an hour of wall time is not there.
        check(
            "0 * * * *",
            "America/New_York",
            "2027-03-14T05:30:00Z",
            &["2027-03-14T06:00:00Z", "2027-03-14T07:00:00Z", "2027-03-14T08:00:00Z"],
        );
        assert_eq!(
            schedule("0 * * * *", "America/New_York").next(at("2027-03-14T06:30:00Z")).unwrap().passed_over_ms,
            None
        );
        // Lord Howe moves by half an hour: 2026-10-04, 2:00 is 2:30.
        check("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-04T15:15:00Z"]);
        check("45 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:45:00Z"]);
        // Apia had no 2011-12-30 at all.
        check("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["2012-12-29T22:00:00Z"]);
    }

    #[test]
    fn what_clocks_show_twice_fires_the_first_time() {
        // New York, 2026-11-01: 2:00 EDT is 1:00 EST.
        check(
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T04:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        );
        // Asked in between, too.
        check("30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", &["2026-11-02T06:30:00Z"]);
        check("30 1 * * *", "America/New_York", "2026-11-01T06:15:00Z", &["2026-11-02T06:30:00Z"]);
        // Berlin, 2026-10-25: 3:00 CEST is 2:00 CET.
        check(
            "0 2,3 * * *",
            "Europe/Berlin",
            "2026-10-24T22:30:00Z",
            &["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"],
        );
        // Lord Howe, 2027-04-04: 2:00 is 1:30.
        check(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2027-04-03T12:00:00Z",
            &["2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z"],
        );
        // Schedules of every hour follow real time.
        check(
            "0 * * * *",
            "America/New_York",
            "2026-11-01T04:30:00Z",
            &["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"],
        );
        check(
            "*/30 * * * *",
            "Australia/Lord_Howe",
            "2027-04-03T14:20:00Z",
            &["2027-04-03T14:30:00Z", "2027-04-03T15:00:00Z", "2027-04-03T15:30:00Z"],
        );
        // A window of hours counts once.
        check(
            "0 0-3 * * *",
            "America/New_York",
            "2026-11-01T03:30:00Z",
            &["2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z", "2026-11-01T08:00:00Z"],
        );
    }

    #[test]
    fn the_latest_occurrence_is_found_over_any_distance() {
        for (expression, from, now, latest) in [
            ("* * * * * *", "2025-11-24T09:00:00Z", "2026-11-24T09:00:00.500Z", "2026-11-24T09:00:00Z"),
            ("*/5 * * * *", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z"),
            ("*/5 * * * *", "2026-11-20T09:00:00Z", "2026-11-24T09:04:59Z", "2026-11-24T09:00:00Z"),
            ("* 0 * * *", "2026-11-20T00:00:00Z", "2026-11-24T12:00:00Z", "2026-11-24T00:59:00Z"),
            ("0 0 29 2 *", "2000-02-29T00:00:00Z", "2026-11-24T09:00:00Z", "2024-02-29T00:00:00Z"),
            ("0 9 * * *", "2026-11-23T09:00:00Z", "2026-11-24T08:59:59Z", "2026-11-23T09:00:00Z"),
            ("@every 1h", "2026-11-20T00:07:00Z", "2026-11-24T09:06:59Z", "2026-11-24T08:07:00Z"),
            ("@every 1h", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z"),
        ] {
            let found = schedule(expression, "UTC").latest(at(from), at(now));
            assert_eq!(format_ms(found), format_ms(at(latest)), "{expression}");
        }
    }

    /// What the specification says, second by second: the instant's wall-clock time is named, and (unless every hour is)
    /// it is not shown for the second time.
    fn brute_force(schedule: &Schedule, after_ms: i64, until_ms: i64) -> Option<i64> {
        let Kind::Calendar(calendar) = &schedule.0 else { panic!("a calendar") };
        let mut at_s = after_ms.div_euclid(1_000) + 1;
        while at_s * 1_000 <= until_ms {
            let instant = Timestamp::from_second(at_s).unwrap();
            let wall = calendar.zone.to_datetime(instant);
            let offset = calendar.zone.to_offset(instant).seconds();
            if calendar.cron.is_time_matching(&Wall(wall)).unwrap()
                && (calendar.every_hour || !calendar.is_second_time(wall, offset))
            {
                return Some(at_s * 1_000);
            }
            at_s += 1;
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        /// Around the changes of clocks in five zones, what is computed is what a clock on the wall would do.
        #[test]
        fn schedules_agree_with_a_clock_on_the_wall(
            zone in proptest::sample::select(vec![
                ("America/New_York", 1_793_512_800i64),
                ("America/New_York", 1_805_007_600),
                ("Europe/Berlin", 1_792_890_000),
                ("Australia/Lord_Howe", 1_791_041_400),
                ("Australia/Lord_Howe", 1_806_764_400),
                ("Africa/Casablanca", 1_801_965_600),
                ("America/Sao_Paulo", 1_550_368_800),
            ]),
            seconds in proptest::sample::select(vec!["", "0 ", "*/20 ", "59 "]),
            minutes in proptest::sample::select(vec!["*", "0", "30", "*/7", "15,45", "59"]),
            hours in proptest::sample::select(vec!["*", "0-4", "1", "2", "3", "*/2", "1,2", "0-23"]),
            start_s in -14_400i64..14_400,
        ) {
            let (zone, change) = zone;
            let schedule = schedule(&format!("{seconds}{minutes} {hours} * * *"), zone);
            let after_ms = (change + start_s) * 1_000;
            let until_ms = after_ms + 6 * 3_600_000;
            let found = schedule.next(after_ms).map(|next| next.at_ms);
            prop_assert_eq!(found.filter(|at| *at <= until_ms), brute_force(&schedule, after_ms, until_ms));
        }

        #[test]
        fn latest_is_the_last_one_that_is_not_after_now(
            expression in proptest::sample::select(vec!["*/7 * * * *", "0 */5 * * *", "13 2 * * 1-3", "0 0 1 * *", "*/9 3 * * * *"]),
            from in 0i64..10_000_000_000, wait in 0i64..3_000_000_000,
        ) {
            let schedule = schedule(expression, "Europe/Berlin");
            let from = schedule.next(1_790_000_000_000 + from).unwrap().at_ms;
            let now = from + wait;
            let latest = schedule.latest(from, now);
            prop_assert!(from <= latest && latest <= now);
            prop_assert!(schedule.next(latest).unwrap().at_ms > now);
            prop_assert!(latest == from || schedule.next(latest - 1_000).unwrap().at_ms == latest);
        }
    }
}
