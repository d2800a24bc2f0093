//! Cron expressions (OJS cron sections 3 and 4). `croner` matches them; what it would let pass that the specification
//! does not is refused here first, with the field named.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Longest expression, bytes.
pub const MAX_EXPRESSION_BYTES: usize = 255;

/// The shorthands every server must know (section 4), and what they stand for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// One field: its name, its range, and what may stand in it besides numbers.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
    /// `L` and `W` (day of month) or `L` and `#` (day of week).
    modifiers: Modifiers,
}

#[derive(Clone, Copy, PartialEq)]
enum Modifiers {
    None,
    Day,
    Weekday,
}

const fn field(name: &'static str, min: u32, max: u32) -> Field {
    Field { name, min, max, names: &[], modifiers: Modifiers::None }
}

const FIELDS: [Field; 6] = [
    field("second", 0, 59),
    field("minute", 0, 59),
    field("hour", 0, 23),
    Field { modifiers: Modifiers::Day, ..field("day of month", 1, 31) },
    Field { names: &MONTHS, ..field("month", 1, 12) },
    Field { names: &DAYS, modifiers: Modifiers::Weekday, ..field("day of week", 0, 7) },
];

/// Reads an expression of 5 or 6 fields, or a shorthand.
///
/// # Errors
/// What is wrong with it, to follow the name of the request's field.
pub(super) fn parse(text: &str) -> Result<Cron, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("must have at most {MAX_EXPRESSION_BYTES} bytes"));
    }
    let text = if text.starts_with('@') { shorthand(text)? } else { text };
    let parts: Vec<&str> = text.split_whitespace().collect();
    let fields = match parts.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        n => return Err(format!("must have 5 fields, or 6 with seconds, not {n}")),
    };
    for (part, field) in parts.iter().zip(fields) {
        field.check(part).map_err(|problem| format!("is not a cron expression: {} '{part}' {problem}", field.name))?;
    }
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
        .parse(text)
        .map_err(|error| format!("is not a cron expression: {error}"))
}

fn shorthand(text: &str) -> Result<&'static str, String> {
    let found = SHORTHANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, stands_for)| *stands_for).ok_or_else(|| {
        let known: Vec<&str> = SHORTHANDS.iter().map(|(name, _)| *name).collect();
        format!("is no shorthand; known are {} and '@every <duration>'", known.join(", "))
    })
}

impl Field {
    /// Checks a list of numbers, ranges and steps.
    fn check(&self, text: &str) -> Result<(), String> {
        text.split(',').try_for_each(|item| self.check_item(&item.to_ascii_uppercase()))
    }

    fn check_item(&self, item: &str) -> Result<(), String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        if let Some(step) = step {
            let most = self.max - self.min + 1;
            if !number(step).is_some_and(|step| (1..=most).contains(&step)) {
                return Err(format!("has a step that is not a number from 1 to {most}"));
            }
            if range != "*" && !range.contains('-') {
                return Err("has a step without a range; write 'FROM-TO/STEP' or '*/STEP'".to_owned());
            }
        }
        match range.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (self.value(from)?, self.value(to)?);
                // A week may be said to end on Sunday.
                let to = if self.modifiers == Modifiers::Weekday && to == 0 { 7 } else { to };
                if from <= to { Ok(()) } else { Err("has a range that ends before it begins".to_owned()) }
            }
            None if range == "*" => Ok(()),
            None => self.check_single(range),
        }
    }

    fn check_single(&self, text: &str) -> Result<(), String> {
        match self.modifiers {
            // The last day, the last weekday.
            Modifiers::Day if matches!(text, "L" | "LW" | "?") => Ok(()),
            Modifiers::Weekday if text == "?" => Ok(()),
            // The weekday nearest to a day.
            Modifiers::Day if text.ends_with('W') => self.value(&text[..text.len() - 1]).map(|_| ()),
            // The last Friday, the third Friday.
            Modifiers::Weekday if text.ends_with('L') => {
                let day = text[..text.len() - 1].trim_end_matches('#');
                self.value(day).map(|_| ())
            }
            Modifiers::Weekday if text.contains('#') => {
                let (day, nth) = text.split_once('#').unwrap_or((text, ""));
                if !number(nth).is_some_and(|nth| (1..=5).contains(&nth)) {
                    return Err("has an occurrence in the month that is not from 1 to 5".to_owned());
                }
                self.value(day).map(|_| ())
            }
            _ => self.value(text).map(|_| ()),
        }
    }

    /// A number in range, or a name.
    fn value(&self, text: &str) -> Result<u32, String> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            return Ok(self.min + u32::try_from(at).unwrap_or(0));
        }
        let names = if self.names.is_empty() {
            String::new()
        } else {
            format!(" or {} to {}", self.names[0], self.names[self.names.len() - 1])
        };
        number(text)
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| format!("must be from {} to {}{names}", self.min, self.max))
    }
}

/// A plain number of at most four digits.
fn number(text: &str) -> Option<u32> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read() {
        for good in [
            "* * * * *",
            "*/5 * * * *",
            "0 9 * * MON-FRI",
            "0 9 * * mon-fri",
            "0 0 1,15 * *",
            "1-5 * * * *",
            "10-50/10 * * * *",
            "0 0 L * *",
            "0 0 LW * *",
            "0 0 15W * *",
            "0 0 * * 5#3",
            "0 0 * * FRI#3",
            "0 0 * * 5L",
            "0 0 * * FRIL",
            "0 0 * * 7",
            "0 0 * * FRI-SUN",
            "0 0 * * 0-7",
            "0 0 31 * *",
            "0 0 29 2 *",
            "0 0 ? * MON",
            "0 0 1 JAN,JUL *",
            "*/10 * * * * *",
            "0 0 0 * * *",
            "  0   9 * * *  ",
            "@hourly",
            "@Daily",
            "@midnight",
            "@weekly",
            "@monthly",
            "@yearly",
            "@annually",
        ] {
            assert!(parse(good).is_ok(), "{good}: {:?}", parse(good));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bad, named) in [
            ("", "empty"),
            ("   ", "empty"),
            ("not a valid cron", "not 4"),
            ("0 0 0 0 0 0 0", "not 7"),
            ("* * * *", "not 4"),
            ("99 25 32 13 8", "minute '99'"),
            ("60 * * * *", "minute '60'"),
            ("* 24 * * *", "hour '24'"),
            ("* * 0 * *", "day of month '0'"),
            ("* * 32 * *", "day of month '32'"),
            ("* * * 0 *", "month '0'"),
            ("* * * 13 *", "month '13'"),
            ("* * * * 8", "day of week '8'"),
            ("60 * * * * *", "second '60'"),
            ("*/0 * * * *", "step"),
            ("*/99 * * * *", "step"),
            ("*/-1 * * * *", "step"),
            ("5/15 * * * *", "without a range"),
            ("/5 * * * *", "without a range"),
            ("5-1 * * * *", "ends before"),
            ("0 0 * * FRI-MON", "ends before"),
            ("1,,2 * * * *", "minute"),
            (", * * * *", "minute"),
            ("1- * * * *", "minute"),
            ("- * * * *", "minute"),
            ("JAN * * * *", "minute 'JAN'"),
            ("0 0 MON * *", "day of month 'MON'"),
            ("0 0 * MON *", "month 'MON'"),
            ("0 0 * * JAN", "day of week 'JAN'"),
            ("0 0 * * MONDAY", "day of week"),
            ("L * * * *", "minute 'L'"),
            ("0 0 * * 15W", "day of week"),
            ("0 0 5#3 * *", "day of month"),
            ("0 0 * * 5#6", "from 1 to 5"),
            ("0 0 * * 5#0", "from 1 to 5"),
            ("0 0 32W * *", "day of month"),
            ("0 0 W * *", "day of month"),
            ("0 0 * * +MON", "day of week"),
            ("@never", "no shorthand"),
            ("@", "no shorthand"),
            ("@daily x", "no shorthand"),
            ("\u{1F600} * * * *", "minute"),
            ("１ * * * *", "minute"),
            ("00000001 * * * *", "minute"),
        ] {
            let problem = parse(bad).expect_err(bad);
            assert!(problem.contains(named), "{bad}: {problem}");
        }
        assert!(parse(&format!("{} * * * *", "1,".repeat(200))).is_err());
    }
}
