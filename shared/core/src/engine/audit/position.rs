//! Where the walk has got to, as it is noted between ticks.

use serde::{Deserialize, Serialize};

/// The walk's place. Times are ms since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// When this pass began.
    pub(super) began_at: i64,
    /// When the pass before it began; `None` in the first.
    #[serde(default)]
    pub(super) before_at: Option<i64>,
    /// Keys of the item that was read last; `None` once the pass has ended.
    #[serde(default)]
    pub(super) after: Option<(String, String)>,
    /// Items that this pass has read.
    #[serde(default)]
    pub(super) items: u64,
    /// Jobs whose message it has sent again.
    #[serde(default)]
    pub(super) resent: u64,
}

impl Position {
    /// Reads a note; what another version has noted starts the walk over.
    pub(super) fn read(note: Option<&str>) -> Option<Self> {
        serde_json::from_str(note?).ok()
    }

    /// The note.
    pub(super) fn noted(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where to go on at `now`: in the pass under way, or with a new one, once `period_ms` have passed since the last one began.
    /// `None` until then.
    pub(super) fn go_on(noted: Option<Self>, now: i64, period_ms: i64) -> Option<Self> {
        let Some(noted) = noted else { return Some(Self { began_at: now, ..Self::default() }) };
        if noted.after.is_some() {
            return Some(noted);
        }
        let next = Self { began_at: now, before_at: Some(noted.began_at), ..Self::default() };
        (now - noted.began_at >= period_ms).then_some(next)
    }

    /// How long something that has waited since `since` had waited, at `now` less the time since the last pass, ms: what the last
    /// pass saw of it, or a little less.
    pub(super) fn waited_before(&self, since: i64) -> i64 {
        self.before_at.map_or(0, |before| (before - since).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_goes_on_to_its_end_and_the_next_begins_a_period_after_it_began() {
        let first = Position::go_on(None, 1_000, 60);
        assert_eq!(first, Some(Position { began_at: 1_000, ..Position::default() }));
        let under_way = Position { began_at: 1_000, after: Some(("p".into(), "s".into())), ..Position::default() };
        assert_eq!(Position::go_on(Some(under_way.clone()), 9_000, 60), Some(under_way));
        let over = Position { began_at: 1_000, items: 7, ..Position::default() };
        assert_eq!(Position::go_on(Some(over.clone()), 1_059, 60), None);
        let next = Position { began_at: 1_060, before_at: Some(1_000), ..Position::default() };
        assert_eq!(Position::go_on(Some(over), 1_060, 60), Some(next.clone()));
        assert_eq!((next.waited_before(900), next.waited_before(1_001)), (100, 0));
    }

    #[test]
    fn a_note_reads_back_and_another_versions_starts_over() {
        let position =
            Position { began_at: 5, before_at: Some(4), after: Some(("a".into(), "b".into())), items: 3, resent: 1 };
        assert_eq!(Position::read(Some(&position.noted())), Some(position));
        for note in [None, Some(""), Some("JOB#x"), Some("{}")] {
            assert_eq!(Position::read(note), None, "{note:?}");
        }
    }
}
