//! `@every <duration>`, with the duration as Go writes it (OJS cron section 4.1).

/// Shortest period, ms: schedules are not evaluated more often than once a second (OJS cron section 7.3).
const MIN_MS: f64 = 1_000.0;
/// Longest period, ms: ten years.
const MAX_MS: f64 = 3_650.0 * 86_400_000.0;

/// Reads `1h30m`, `45s`, `1.5h` or `2500ms` as ms.
///
/// # Errors
/// What is wrong with it, to follow the field's name.
pub(super) fn parse(text: &str) -> Result<i64, &'static str> {
    const MALFORMED: &str = "must give a duration such as '30m', '1h30m' or '45s' after '@every'";
    let (mut rest, mut total) = (text.trim(), 0.0);
    if rest.is_empty() {
        return Err(MALFORMED);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(MALFORMED)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return Err(MALFORMED),
        };
        let plain = !number.is_empty() && number.matches('.').count() <= 1 && number != ".";
        let number: f64 = if plain { number.parse().map_err(|_| MALFORMED)? } else { return Err(MALFORMED) };
        total += number * unit_ms;
        rest = tail;
    }
    if total < MIN_MS {
        return Err("must repeat at most once a second");
    }
    if total > MAX_MS {
        return Err("must repeat at least once in ten years");
    }
    #[allow(clippy::cast_possible_truncation)]
    let ms = total.round() as i64;
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        for (text, ms) in [
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("2h45m30s", 9_930_000),
            ("45s", 45_000),
            ("1s", 1_000),
            ("1500ms", 1_500),
            ("1.5h", 5_400_000),
            (" 5m ", 300_000),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for bad in
            ["", "5", "m", "5 m", "5x", "-5m", "1..5h", ".s", "500ms", "0s", "999999h", "5m!", "1h 30m", "5µs", "٣s"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
