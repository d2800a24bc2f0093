//! Times on the wire: RFC 3339 in, UTC with milliseconds out (OJS JSON format section 5.3).

use jiff::Timestamp;
use jiff::civil::{DateTime, date};

use super::Moment;
use super::parse_duration;

/// Formats ms since the Unix epoch as `2026-11-24T09:00:00.000Z`.
///
/// Times outside the years -9999 to 9999 are clamped.
#[must_use]
pub fn format_ms(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    format!("{time:.3}")
}

/// Reads an RFC 3339 date and time with an offset; the result is in ms since the Unix epoch.
///
/// `None` for anything else, a missing offset included.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    if !has_rfc3339_shape(text.as_bytes()) {
        return None;
    }
    // Not as a `Timestamp`, which ends a day before the year 9999 does: `9999-12-31T23:59:59Z` is a common "never".
    let (local, offset_min) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len() - 6)?;
            let (hours, minutes): (i64, i64) = (offset[1..3].parse().ok()?, offset[4..].parse().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            (local, if offset.starts_with('-') { -minutes } else { minutes })
        }
    };
    let since_epoch = local.parse::<DateTime>().ok()?.duration_since(date(1970, 1, 1).at(0, 0, 0, 0));
    i64::try_from(since_epoch.as_millis()).ok()?.checked_sub(offset_min * 60_000)
}

/// Reads a time as requests give it: RFC 3339, or `+<ISO 8601 duration>` from `now_ms`.
///
/// An absolute time keeps its text, to be echoed unchanged.
#[must_use]
pub fn parse_when(text: &str, now_ms: i64) -> Option<Moment> {
    if let Some(duration) = text.strip_prefix('+') {
        return Some(Moment::at(now_ms.checked_add(parse_duration(duration)?)?));
    }
    let at_ms = parse_rfc3339(text)?;
    let canonical = format_ms(at_ms) == text;
    Some(Moment { at_ms, text: (!canonical).then(|| text.to_owned()) })
}

/// `YYYY-MM-DD` `T` `hh:mm:ss` [`.f+`] (`Z` | `±hh:mm`): the parser itself accepts more than RFC 3339 does.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    let shape = |part: &[u8], pattern: &[u8]| {
        part.len() == pattern.len()
            && part.iter().zip(pattern).all(|(b, p)| match p {
                b'0' => b.is_ascii_digit(),
                b'T' => b.eq_ignore_ascii_case(p),
                _ => b == p,
            })
    };
    let Some((head, mut tail)) = text.split_at_checked(19) else { return false };
    if !shape(head, b"0000-00-00T00:00:00") {
        return false;
    }
    if let Some(fraction) = tail.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return false;
        }
        tail = &fraction[digits..];
    }
    matches!(tail, b"Z" | b"z") || shape(tail, b"+00:00") || shape(tail, b"-00:00")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn formats_with_milliseconds() {
        assert_eq!(format_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_ms(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert!(format_ms(i64::MAX).starts_with("9999-"));
    }

    #[test]
    fn reads_rfc3339_only() {
        for (text, ms) in [
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T01:00:00.5+01:00", 500),
            ("1970-01-01t00:00:00.123456789z", 123),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "2020-01-01",
            "2020-01-01T00:00:00",
            "2020-01-01 00:00:00Z",
            "2020-13-01T00:00:00Z",
            "2020-02-30T00:00:00Z",
            "2020-01-01T25:00:00Z",
            "2020-01-01T00:00:00+0100",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00Z[UTC]",
            "now",
            "1700000000",
            "2020-01-01T00:00:00é",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn absolute_times_keep_their_text_relative_ones_are_resolved() {
        let at = parse_when("2099-12-31T23:59:59Z", 0).unwrap();
        assert_eq!(at.to_wire(), "2099-12-31T23:59:59Z");
        assert_eq!(parse_when("+PT2S", 1_000).unwrap().to_wire(), "1970-01-01T00:00:03.000Z");
        assert_eq!(parse_when("+2S", 0), None);
        assert_eq!(parse_when("+P100Y", i64::MAX - 5), None);
    }
}
