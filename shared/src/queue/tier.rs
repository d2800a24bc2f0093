//! Priority tiers: one SQS queue for each priority in use, up to a limit.

/// Most tiers of a queue, that of priority 0 included: a fetch that finds nothing asks each of them.
pub const MAX_TIERS: usize = 10;

/// The tier that jobs of `priority` join where `tiers` (without 0, which is always there) are in use and none is to be
/// added: their own; else the next lower one; else, below all, the lowest.
#[must_use]
pub fn nearest_tier(priority: i64, tiers: &[i64]) -> i64 {
    let all = || tiers.iter().copied().chain([0]);
    all().filter(|tier| *tier <= priority).max().or_else(|| all().min()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_without_a_tier_joins_the_next_lower_one() {
        let tiers = [10, 50, -5];
        for (priority, tier) in
            [(10, 10), (50, 50), (100, 50), (49, 10), (9, 0), (0, 0), (-1, -5), (-5, -5), (-100, -5)]
        {
            assert_eq!(nearest_tier(priority, &tiers), tier, "{priority}");
        }
        assert_eq!((nearest_tier(7, &[]), nearest_tier(-7, &[])), (0, 0));
    }
}
