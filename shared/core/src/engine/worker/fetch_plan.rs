//! Which SQS queues a fetch asks, in what order, and how many at once.

use crate::transport::SqsQueue;

/// Most SQS queues that one fetch asks.
pub(in crate::engine) const MAX_LINES: usize = 32;
/// Of more than that, every fetch asks the most preferred queues, up to this many SQS queues; the others take turns.
const PREFERRED: usize = 16;
/// SQS queues that are asked one after the other. A receive hides messages, and what a preferred queue makes superfluous has to
/// be returned, so that few queues are not asked at once.
const ALONE: usize = 4;
/// Most SQS queues that are asked at once.
const MAX_WAVE: usize = 8;

/// The SQS queues that a fetch asks, of those of each OJS queue, which come in order of preference: all of them up to
/// [`MAX_LINES`]. Of more, `start`, any number, says with which of the less preferred OJS queues the turn begins.
/// The tiers of one OJS queue stay together, so that its priorities keep their order.
pub(in crate::engine) fn choose(queues: Vec<Vec<SqsQueue>>, start: usize) -> Vec<SqsQueue> {
    if queues.iter().map(Vec::len).sum::<usize>() <= MAX_LINES {
        return queues.into_iter().flatten().collect();
    }
    let mut room = PREFERRED;
    let preferred = queues
        .iter()
        .take_while(|sqs_queues| {
            let fits = sqs_queues.len() <= room;
            room = room.saturating_sub(sqs_queues.len());
            fits
        })
        .count();
    let mut chosen: Vec<SqsQueue> = queues[..preferred].iter().flatten().cloned().collect();
    let others = &queues[preferred..];
    let start = start % others.len().max(1);
    // Those from the start of the list on are less preferred than those before its end: they come first all the same, for
    // otherwise the last of the list would hardly have a turn.
    for sqs_queues in others[start..].iter().chain(&others[..start]) {
        if chosen.len() + sqs_queues.len() > MAX_LINES {
            break;
        }
        chosen.extend(sqs_queues.iter().cloned());
    }
    chosen
}

/// How many SQS queues are asked at once after `asked` of them had too little.
pub(in crate::engine) fn wave(asked: usize) -> usize {
    if asked < ALONE { 1 } else { asked.min(MAX_WAVE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// `count` OJS queues of `tiers` SQS queues each.
    fn queues(count: usize, tiers: i64) -> Vec<Vec<SqsQueue>> {
        let sqs_queues = |queue: usize| (0..tiers).rev().map(|tier| SqsQueue::tier(&queue.to_string(), tier)).collect();
        (0..count).map(sqs_queues).collect()
    }

    #[test]
    fn few_are_all_asked_in_their_order() {
        for (count, tiers) in [(1, 1), (3, 10), (32, 1)] {
            let all: Vec<SqsQueue> = queues(count, tiers).into_iter().flatten().collect();
            assert_eq!(choose(queues(count, tiers), 7), all);
        }
    }

    #[test]
    fn of_many_none_starves_and_the_preferred_ones_are_always_asked() {
        for (count, tiers) in [(33, 1), (100, 1), (4, 10), (100, 10), (100, 3)] {
            let mut asked: HashMap<SqsQueue, usize> = HashMap::new();
            for start in 0..count {
                let chosen = choose(queues(count, tiers), start);
                assert!(chosen.len() <= MAX_LINES && chosen.len() > MAX_LINES - 10, "{}", chosen.len());
                assert_eq!(chosen[0], queues(count, tiers)[0][0]);
                // Each OJS queue is asked whole, its priorities from the highest down.
                for sqs_queues in chosen.chunk_by(|a, b| a.queue == b.queue) {
                    let queue: usize = sqs_queues[0].queue.parse().unwrap_or(usize::MAX);
                    assert_eq!(sqs_queues, queues(count, tiers)[queue]);
                }
                for sqs_queue in chosen {
                    *asked.entry(sqs_queue).or_default() += 1;
                }
            }
            assert_eq!(asked.len(), queues(count, tiers).into_iter().flatten().count());
        }
    }

    #[test]
    fn waves_grow() {
        let (mut asked, mut waves) = (0, Vec::new());
        while asked < MAX_LINES {
            waves.push(wave(asked));
            asked += wave(asked);
        }
        assert_eq!(waves, [1, 1, 1, 1, 4, 8, 8, 8]);
    }
}
