/// Writes ms as an ISO 8601 duration of hours, minutes and seconds: `PT24H`, `PT1M30S`, `PT0.5S`; `PT0S` for none.
///
/// [`parse_duration`](super::parse_duration) reads it back.
#[must_use]
pub fn format_duration(ms: i64) -> String {
    let ms = ms.max(0);
    let (hours, minutes, seconds, fraction) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let mut text = "PT".to_owned();
    for (number, unit) in [(hours, 'H'), (minutes, 'M')] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if fraction > 0 {
        let thousandths = format!("{fraction:03}");
        text.push_str(&format!("{seconds}.{}S", thousandths.trim_end_matches('0')));
    } else if seconds > 0 || text.len() == 2 {
        text.push_str(&format!("{seconds}S"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::parse_duration;

    #[test]
    fn durations_are_written_short() {
        for (ms, text) in [
            (1, "PT0.001S"),
            (500, "PT0.5S"),
            (1_000, "PT1S"),
            (1_050, "PT1.05S"),
            (60_000, "PT1M"),
            (90_000, "PT1M30S"),
            (3_600_000, "PT1H"),
            (3_600_001, "PT1H0.001S"),
            (86_400_000, "PT24H"),
            (31_536_000_000, "PT8760H"),
            (0, "PT0S"),
            (-1, "PT0S"),
        ] {
            assert_eq!(format_duration(ms), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in prop_oneof![0i64..200_000, 0i64..=3_155_760_000_000]) {
            prop_assert_eq!(parse_duration(&format_duration(ms)), Some(ms));
        }
    }
}
