//! IANA time zones (OJS cron section 5.1), from the copy of the database that is compiled in: all instances then agree.

use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();

/// The zone of that name, and the name as the database spells it.
///
/// Offsets (`+05:00`), abbreviations (`EST`) and other names without a region are not accepted, though the database
/// has some of them: they do not say what daylight saving time does. `UTC` is.
pub(super) fn find(name: &str) -> Option<(TimeZone, String)> {
    if name.eq_ignore_ascii_case("UTC") {
        return Some((TimeZone::UTC, "UTC".to_owned()));
    }
    if !name.contains('/') {
        return None;
    }
    let zone = DATABASE.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
    let spelled = zone.iana_name()?.to_owned();
    Some((zone, spelled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_zones_and_offsets_are_not() {
        for (name, spelled) in [
            ("UTC", "UTC"),
            ("utc", "UTC"),
            ("Asia/Tokyo", "Asia/Tokyo"),
            ("America/New_York", "America/New_York"),
            ("america/new_york", "America/New_York"),
            ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
            ("Etc/UTC", "Etc/UTC"),
        ] {
            assert_eq!(find(name).map(|(_, name)| name).as_deref(), Some(spelled), "{name}");
        }
        for bad in [
            "",
            "EST",
            "PST",
            "CST",
            "EST5EDT",
            "GMT",
            "Japan",
            "+05:00",
            "-08:00",
            "UTC+5",
            "UTC-5",
            "GMT+1",
            "Z",
            "local",
            "Mars/Olympus",
            "America/Nowhere",
            "America/New York",
            "/",
            "../../etc/passwd",
            "Europe/Zürich",
        ] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }
}
