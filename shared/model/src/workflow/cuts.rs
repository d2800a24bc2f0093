use super::{Definition, Kind, Work};

/// A part of a definition is one read unit, and whole write units: bytes of JSON, beside its key.
const PART_BYTES: usize = 4_000;
/// Most parts: all are written in one transaction, which holds 100 items.
const MAX_PARTS: usize = 40;

/// Where the definition of a chain is cut, so that a step that starts the next one reads a part and not all of it: the first step
/// of each part but the first. Empty for what is small, and for what is needed as a whole: where steps depend on others than the
/// one before them, or are workflows.
#[must_use]
pub fn cuts_of(definition: &Definition) -> Vec<usize> {
    let is_job = |step: &super::Step| matches!(step.work, Work::Job(_));
    if definition.kind != Kind::Chain || !definition.steps.iter().all(is_job) {
        return Vec::new();
    }
    // And a comma.
    let size = |step: &super::Step| serde_json::to_string(step).map_or(0, |text| text.len() + 1);
    let sizes: Vec<usize> = definition.steps.iter().map(size).collect();
    // Two parts in a row are larger than one may be, so there are at most twice as many.
    let most = PART_BYTES.max(sizes.iter().sum::<usize>().div_ceil(MAX_PARTS));
    let head = definition.name.as_ref().map_or(0, String::len) + r#"{"kind":"chain","name":"","steps":[]}"#.len();
    let (mut cuts, mut bytes) = (Vec::new(), head);
    for (at, size) in sizes.into_iter().enumerate() {
        if at > 0 && bytes + size > most {
            cuts.push(at);
            bytes = 0;
        }
        bytes += size;
    }
    cuts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::json::Fields;
    use crate::workflow::parse_workflow;
    use serde_json::{Value, json};

    fn cuts(body: &Value) -> Vec<usize> {
        let fields = Fields::from_body(body.to_string().as_bytes()).unwrap();
        cuts_of(&parse_workflow(fields, 1, &Ids::new()).unwrap())
    }

    fn job(bytes: usize) -> Value {
        json!({"type": "a", "args": ["x".repeat(bytes)]})
    }

    #[test]
    fn a_part_is_a_read_unit_and_all_of_them_fit_into_a_transaction() {
        let chain = |steps: Vec<Value>| json!({"type": "chain", "steps": steps});
        assert_eq!(cuts(&chain(vec![job(100); 20])), [0; 0]);
        let cut = cuts(&chain(vec![job(100); 200]));
        assert!(cut.windows(2).all(|two| (20..30).contains(&(two[1] - two[0]))), "{cut:?}");
        // Large ones between small ones.
        let mixed: Vec<Value> = (0..148).map(|at| job(if at % 2 == 0 { 3_980 } else { 10 })).collect();
        assert!((20..=80).contains(&cuts(&chain(mixed)).len()));
        let inside = json!({"type": "group", "jobs": [job(5_000)]});
        assert_eq!(cuts(&chain(vec![job(5_000), inside])), [0; 0]);
        assert_eq!(cuts(&json!({"type": "group", "jobs": vec![job(5_000); 3]})), [0; 0]);
    }
}
