//! Priority tiers: one SQS queue for each priority in use, up to a limit.

/// Most tiers that priorities of their own choice get, that of priority 0 included: a fetch that finds nothing asks each.
pub const MAX_TIERS: usize = 10;

/// Tiers beyond [`MAX_TIERS`], so that the ends of the range stay what they are: the highest priority has a tier that no other joins, and
/// the last two are for what fits no other.
const RESERVED: [i64; 3] = [100, 99, -100];

/// Most tiers of a queue, with those.
pub const MAX_ALL_TIERS: usize = MAX_TIERS + RESERVED.len();

/// Whether there is always room for this priority's tier.
#[must_use]
pub fn is_reserved(priority: i64) -> bool {
    RESERVED.contains(&priority)
}

/// The tier that jobs of `priority` join where `tiers` (without 0, which is always there) are in use and there is no room for
/// one more: their own; else, above 0, the next higher one below 100, or 99; below 0, the next lower one, or -100. So no job waits behind one of a lower
/// priority if its own is above 0, and none goes before one of a higher priority if its own is below.
#[must_use]
pub fn nearest_tier(priority: i64, tiers: &[i64]) -> i64 {
    let others = || tiers.iter().copied();
    if priority == 0 || is_reserved(priority) {
        priority
    } else if priority > 0 {
        others().filter(|tier| (priority..100).contains(tier)).min().unwrap_or(99)
    } else {
        others().filter(|tier| *tier <= priority).max().unwrap_or(-100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_without_a_tier_joins_a_neighbour() {
        let tiers = [10, 50, -5, 100];
        for (priority, tier) in [
            (10, 10),
            (50, 50),
            (9, 10),
            (11, 50),
            (51, 99),
            (98, 99),
            (99, 99),
            (100, 100),
            (0, 0),
            (-1, -5),
            (-5, -5),
            (-6, -100),
            (-100, -100),
        ] {
            assert_eq!(nearest_tier(priority, &tiers), tier, "{priority}");
        }
        assert_eq!((nearest_tier(7, &[]), nearest_tier(-7, &[])), (99, -100));
    }

    #[test]
    fn no_job_of_a_positive_priority_waits_behind_a_lower_one() {
        let tiers = [20, 40, 60, -20, -60];
        for (high, low) in (-100..=100).flat_map(|low| (low + 1..=100).map(move |high| (high, low))) {
            let (above, below) = (nearest_tier(high, &tiers), nearest_tier(low, &tiers));
            assert!(above >= below, "{high} in {above}, {low} in {below}");
            assert!(high != 100 || below < above, "{low} shares the tier of 100");
        }
    }
}
