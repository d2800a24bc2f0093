//! ISO 8601 durations (OJS retry section 14).

const SECOND_MS: f64 = 1_000.0;
const MINUTE_MS: f64 = 60.0 * SECOND_MS;
const HOUR_MS: f64 = 60.0 * MINUTE_MS;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// A hundred years: beyond any schedule, and far from overflow.
const MAX_MS: f64 = 36_525.0 * DAY_MS;

/// Reads an ISO 8601 duration such as `PT1.5S`, `P1DT12H` or `P2W`; the result is in ms.
///
/// A year counts 365 days and a month 30. Fractions are allowed on seconds only. `None` when the text is not of
/// that form, has no component, or is longer than a hundred years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let date_ms = components(date, &[('Y', 365.0 * DAY_MS), ('M', 30.0 * DAY_MS), ('W', 7.0 * DAY_MS), ('D', DAY_MS)])?;
    let time_ms = components(time, &[('H', HOUR_MS), ('M', MINUTE_MS), ('S', SECOND_MS)])?;
    let total = (date_ms + time_ms).round();
    #[allow(clippy::cast_possible_truncation)]
    (total <= MAX_MS).then_some(total as i64)
}

/// Sums `<number><unit>` pairs whose units come in the given order, each at most once.
fn components(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut units = units.iter();
    let mut total = 0.0;
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = (&text[..end], text[end..].chars().next()?);
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total += number_of(number, unit == 'S')? * unit_ms;
        text = &text[end + 1..];
    }
    Some(total)
}

fn number_of(text: &str, fraction_allowed: bool) -> Option<f64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if fraction_allowed => (whole, Some(fraction)),
        Some(_) => return None,
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && fraction.is_none_or(digits)).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("PT1S", 1_000),
            ("PT0.5S", 500),
            ("PT1.0005S", 1_001),
            ("PT5M", 300_000),
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
            ("P1DT1S", 86_401_000),
            ("P2W", 1_209_600_000),
            ("P1Y", 31_536_000_000),
            ("P1M", 2_592_000_000),
            ("PT0S", 0),
        ] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "P",
            "PT",
            "1S",
            "PT1",
            "PTS",
            "PT-1S",
            "PT1.S",
            "PT.5S",
            "PT1,5S",
            "P1S",
            "PT1S1M",
            "PT1M1M",
            "P1DT",
            "pt1s",
            "PT1.5M",
            "PT 1S",
            "P1H",
            "PT99999999999999999999S",
            "+PT1S",
            "PT1é",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
