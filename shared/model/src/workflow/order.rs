use std::collections::HashMap;

use super::Step;
use crate::error::{Error, Result};

/// Finds the steps that others depend on, and puts each after them.
pub(super) fn order(steps: Vec<Step>, parents: Vec<Vec<String>>) -> Result<Vec<Step>> {
    let mut places = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        if let Some(first) = places.insert(step.name.clone().unwrap_or_default(), index) {
            let problem = format_args!("is the id of step {first}, too");
            return Err(Error::field(&format!("steps[{index}].id"), problem));
        }
    }
    let mut after = Vec::with_capacity(steps.len());
    for (index, names) in parents.iter().enumerate() {
        let mut on = Vec::with_capacity(names.len());
        for name in names {
            let shown: String = name.chars().take(64).collect();
            let place = places.get(name).copied().ok_or_else(|| {
                Error::field(&format!("steps[{index}].depends_on"), format_args!("names '{shown}', which is no step"))
            })?;
            if !on.contains(&place) {
                on.push(place);
            }
        }
        after.push(on);
    }
    // Those that depend on nothing left, until none is left.
    let mut sorted: Vec<usize> = Vec::with_capacity(steps.len());
    while sorted.len() < steps.len() {
        let free: Vec<usize> = (0..steps.len())
            .filter(|at| !sorted.contains(at) && after[*at].iter().all(|on| sorted.contains(on)))
            .collect();
        if free.is_empty() {
            let stuck = (0..steps.len()).find(|at| !sorted.contains(at)).unwrap_or(0);
            return Err(Error::field(&format!("steps[{stuck}].depends_on"), "leads back to the step itself"));
        }
        sorted.extend(free);
    }
    let new_place: HashMap<usize, usize> = sorted.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut placed = Vec::with_capacity(sorted.len());
    for old in sorted {
        if let Some(step) = steps[old].take() {
            placed.push(Step { after: after[old].iter().map(|on| new_place[on]).collect(), ..step });
        }
    }
    Ok(placed)
}
