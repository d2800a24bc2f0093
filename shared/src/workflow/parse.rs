use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{Callback, Definition, Kind, Step, When};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::Ids;
use crate::job::parse_enqueue;
use crate::json::{Fields, Json, raw};

/// Most jobs of a group or batch.
pub const MAX_STEPS: usize = 1_000;
/// Most steps where steps depend on others: all of them are in one item.
pub const MAX_GRAPH_STEPS: usize = 200;
/// Largest definition, bytes of JSON: a DynamoDB item holds 400 KiB.
pub const MAX_DEFINITION_BYTES: usize = 300 * 1_024;
/// Longest name of a workflow or step, characters.
const MAX_NAME_CHARS: usize = 255;
/// Most names in one `depends_on`.
const MAX_PARENTS: usize = MAX_GRAPH_STEPS;

/// Reads a request for a workflow (workflows section 4 to 6; HTTP binding section 14.1), and checks each of its jobs.
///
/// # Errors
/// `invalid_request` for a workflow that cannot be: without steps, with too many, with ids that are there twice or not at all, with
/// a cycle; as for an enqueue for each job; `unsupported` for nested workflows and unique jobs; `payload_too_large`.
pub fn parse_workflow(mut fields: Fields, now_ms: i64, ids: &Ids) -> Result<Definition> {
    let kind = fields.take_string("type")?;
    let name = take_name(&mut fields, "name")?;
    let defaults = fields.take_kind("options", "object")?;
    let steps = fields.take_kind("steps", "array")?;
    let jobs = fields.take_kind("jobs", "array")?;
    let callbacks = fields.take_kind("callbacks", "object")?;
    let (kind, list, member) = match (kind.as_deref(), steps, jobs) {
        (Some("chain"), Some(steps), None) => (Kind::Chain, steps, "steps"),
        (Some("group"), None, Some(jobs)) => (Kind::Group, jobs, "jobs"),
        (Some("batch"), None, Some(jobs)) => (Kind::Batch, jobs, "jobs"),
        (None | Some("graph" | "dag"), Some(steps), None) => (Kind::Graph, steps, "steps"),
        (Some("chain"), ..) => {
            return Err(Error::field("steps", "is required in a chain, and 'jobs' has no place there"));
        }
        (Some("group" | "batch"), ..) => {
            return Err(Error::field("jobs", "is required in a group or batch, and 'steps' has no place there"));
        }
        (None | Some("graph" | "dag"), ..) => {
            return Err(Error::field("steps", "is required, unless 'type' is 'group' or 'batch'"));
        }
        (Some(_), ..) => return Err(Error::field("type", "must be 'chain', 'group', 'batch' or 'graph'")),
    };
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(Error::internal)?;
    let most = if kind.is_flat() { MAX_STEPS } else { MAX_GRAPH_STEPS };
    if list.is_empty() || list.len() > most {
        return Err(
            Error::field(member, format_args!("must have 1 to {most} entries, not {}", list.len())).with("max", most)
        );
    }
    // Options are copied into each step: what grows too large ends here, not in memory.
    let mut size = defaults.as_ref().map_or(0, |defaults| defaults.get().len());
    if size > MAX_DEFINITION_BYTES {
        return Err(Error::too_large("workflow", size, MAX_DEFINITION_BYTES));
    }
    size = 0;
    let mut steps = Vec::with_capacity(list.len());
    let mut parents = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let field = format!("{member}[{index}]");
        let (step, on) = read_step(&field, value, kind, defaults.as_ref(), now_ms, ids)?;
        size += step.job.get().len();
        if size > MAX_DEFINITION_BYTES {
            return Err(Error::too_large("workflow", size, MAX_DEFINITION_BYTES));
        }
        steps.push(step);
        parents.push(on);
    }
    match kind {
        Kind::Chain => steps.iter_mut().enumerate().skip(1).for_each(|(index, step)| step.after = vec![index - 1]),
        Kind::Graph => steps = order(steps, parents)?,
        Kind::Group | Kind::Batch => {}
    }
    let callbacks = read_callbacks(kind, callbacks.as_ref(), defaults.as_ref(), now_ms, ids)?;
    let definition = Definition { kind, name, steps, callbacks };
    let size = serde_json::to_string(&definition).map_err(Error::internal)?.len();
    if size > MAX_DEFINITION_BYTES {
        return Err(Error::too_large("workflow", size, MAX_DEFINITION_BYTES));
    }
    Ok(definition)
}

/// One step, and the names of those that it depends on.
fn read_step(
    field: &str,
    value: &RawValue,
    kind: Kind,
    defaults: Option<&Json>,
    now_ms: i64,
    ids: &Ids,
) -> Result<(Step, Vec<String>)> {
    let mut fields = Fields::from_member(field, value)?;
    let mut name = take_name(&mut fields, "name")?;
    let mut parents = Vec::new();
    if kind == Kind::Graph {
        let id = take_name(&mut fields, "id")?;
        name =
            Some(id.ok_or_else(|| Error::field(&format!("{field}.id"), "is required where steps depend on others"))?);
        parents = fields.take_strings("depends_on", MAX_PARENTS)?.unwrap_or_default();
    }
    Ok((Step { name, job: read_job(field, fields, defaults, now_ms, ids)?, after: Vec::new() }, parents))
}

/// The request of a job, with the workflow's options where it has none of its own.
fn read_job(field: &str, fields: Fields, defaults: Option<&Json>, now_ms: i64, ids: &Ids) -> Result<Json> {
    let mut members = fields.rest();
    if members.contains_key("steps") || members.contains_key("jobs") {
        return Err(Error::unsupported("Workflows inside workflows are not supported.").with("field", field));
    }
    if members.contains_key("id") {
        return Err(Error::field(&format!("{field}.id"), "has no place here: a step's job gets an id of the server's"));
    }
    if let Some(defaults) = defaults {
        let mut options = Fields::from_member("options", defaults)?.rest();
        if let Some(own) = members.get("options").filter(|own| own.get() != "null") {
            options.extend(Fields::from_member(&format!("{field}.options"), own)?.rest());
        }
        members.insert("options".to_owned(), raw(serde_json::to_string(&options).map_err(Error::internal)?)?);
    }
    let job = raw(serde_json::to_string(&members).map_err(Error::internal)?)?;
    // Made once now, so that nothing can be wrong with it when its turn comes.
    let made = Fields::from_request(&job).and_then(|request| parse_enqueue(request, now_ms, ids));
    let made = made.map_err(|error| within(field, error))?;
    if made.unique.is_some() {
        let message = "Unique jobs inside workflows are not supported: a step must not be another job's duplicate.";
        return Err(Error::unsupported(message).with("field", format!("{field}.options.unique")));
    }
    Ok(job)
}

fn read_callbacks(
    kind: Kind,
    callbacks: Option<&Json>,
    defaults: Option<&Json>,
    now_ms: i64,
    ids: &Ids,
) -> Result<Vec<Callback>> {
    let Some(callbacks) = callbacks else {
        return match kind {
            Kind::Batch => Err(Error::field("callbacks", "is required in a batch")),
            _ => Ok(Vec::new()),
        };
    };
    if kind != Kind::Batch {
        return Err(Error::field("callbacks", "has no place outside a batch"));
    }
    let mut fields = Fields::from_member("callbacks", callbacks)?;
    let mut read = Vec::new();
    for when in When::ALL {
        if let Some(value) = fields.take_kind(when.as_str(), "object")? {
            let field = format!("callbacks.{}", when.as_str());
            let job = read_job(&field, Fields::from_member(&field, &value)?, defaults, now_ms, ids)?;
            read.push(Callback { when, job });
        }
    }
    if let Some(unknown) = fields.rest().into_keys().next() {
        let unknown: String = unknown.chars().take(64).collect();
        return Err(Error::field(&format!("callbacks.{unknown}"), "is no callback of a batch"));
    }
    if read.is_empty() {
        return Err(Error::field("callbacks", "must have 'on_complete', 'on_success' or 'on_failure'"));
    }
    Ok(read)
}

/// Finds the steps that others depend on, and puts each after them.
fn order(steps: Vec<Step>, parents: Vec<Vec<String>>) -> Result<Vec<Step>> {
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

fn take_name(fields: &mut Fields, name: &str) -> Result<Option<String>> {
    let Some(text) = fields.take_string(name)? else { return Ok(None) };
    if text.is_empty() || text.chars().count() > MAX_NAME_CHARS {
        return Err(Error::field(&fields.name(name), format_args!("must have 1 to {MAX_NAME_CHARS} characters")));
    }
    Ok(Some(text))
}

/// Says which step an error of its job is about.
fn within(prefix: &str, mut error: Error) -> Error {
    if let Some(Value::String(field)) = error.details.get("field").cloned() {
        let full = if field == "$" { prefix.to_owned() } else { format!("{prefix}.{field}") };
        error.message = error.message.replacen(&format!("'{field}'"), &format!("'{full}'"), 1);
        error.details.insert("field".to_owned(), Value::String(full));
    } else if error.code == ErrorCode::PayloadTooLarge {
        error.message = format!("{prefix}: {}", error.message);
    }
    error
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(body: &str) -> Result<Definition> {
        parse_workflow(Fields::from_body(body.as_bytes()).unwrap(), 1_700_000_000_000, &Ids::new())
    }

    #[test]
    fn every_kind_is_read() {
        let chain =
            parse(r#"{"type":"chain","name":"n","steps":[{"type":"a","args":[]},{"type":"b","args":[]}]}"#).unwrap();
        assert_eq!((chain.kind, chain.name.as_deref()), (Kind::Chain, Some("n")));
        assert_eq!((chain.steps[0].after.as_slice(), chain.steps[1].after.as_slice()), ([].as_slice(), [0].as_slice()));
        let batch =
            r#"{"type":"batch","jobs":[{"type":"a","args":[]}],"callbacks":{"on_failure":{"type":"f","args":[]}}}"#;
        assert_eq!(parse(batch).unwrap().callbacks[0].when, When::OnFailure);
        let graph = r#"{"name":"g","options":{"queue":"q"},"steps":[
            {"id":"c","type":"c","args":[],"depends_on":["a","b"],"options":{"priority":5}},
            {"id":"a","type":"a","args":[],"depends_on":[]},{"id":"b","type":"b","args":[],"options":{"queue":"r"}}]}"#;
        let graph = parse(graph).unwrap();
        let names: Vec<_> = graph.steps.iter().map(|step| step.name.clone().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(graph.steps[2].after, [0, 1]);
        assert_eq!(graph.steps[2].job.get(), r#"{"args":[],"options":{"priority":5,"queue":"q"},"type":"c"}"#);
        assert_eq!(graph.steps[1].job.get(), r#"{"args":[],"options":{"queue":"r"},"type":"b"}"#);
        let again: Definition = serde_json::from_str(&serde_json::to_string(&graph).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{graph:?}"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_field() {
        let job = r#"{"type":"a","args":[]}"#;
        let many = vec![job; MAX_STEPS + 1].join(",");
        let long = vec![job; MAX_GRAPH_STEPS + 1].join(",");
        for (body, code, field) in [
            ("{}".to_owned(), "invalid_request", "steps"),
            (r#"{"type":"tree","steps":[]}"#.to_owned(), "invalid_request", "type"),
            (r#"{"type":"chain","steps":[]}"#.to_owned(), "invalid_request", "steps"),
            (r#"{"type":"chain"}"#.to_owned(), "invalid_request", "steps"),
            (format!(r#"{{"type":"chain","jobs":[{job}]}}"#), "invalid_request", "steps"),
            (format!(r#"{{"type":"group","steps":[{job}]}}"#), "invalid_request", "jobs"),
            (format!(r#"{{"type":"group","jobs":[{many}]}}"#), "invalid_request", "jobs"),
            (format!(r#"{{"type":"chain","steps":[{long}]}}"#), "invalid_request", "steps"),
            (r#"{"type":"chain","steps":[{"args":[]}]}"#.to_owned(), "invalid_request", "steps[0].type"),
            (r#"{"type":"chain","steps":[5]}"#.to_owned(), "invalid_request", "steps[0]"),
            (format!(r#"{{"type":"batch","jobs":[{job}]}}"#), "invalid_request", "callbacks"),
            (format!(r#"{{"type":"batch","jobs":[{job}],"callbacks":{{}}}}"#), "invalid_request", "callbacks"),
            (
                format!(r#"{{"type":"batch","jobs":[{job}],"callbacks":{{"on_end":{job}}}}}"#),
                "invalid_request",
                "callbacks.on_end",
            ),
            (
                r#"{"type":"batch","jobs":[{"type":"a","args":[]}],"callbacks":{"on_success":{"type":"A","args":5}}}"#
                    .to_owned(),
                "invalid_request",
                "callbacks.on_success.type",
            ),
            (
                format!(r#"{{"type":"group","jobs":[{job}],"callbacks":{{"on_success":{job}}}}}"#),
                "invalid_request",
                "callbacks",
            ),
            (r#"{"steps":[{"type":"a","args":[]}]}"#.to_owned(), "invalid_request", "steps[0].id"),
            (
                r#"{"steps":[{"id":"a","type":"a","args":[]},{"id":"a","type":"a","args":[]}]}"#.to_owned(),
                "invalid_request",
                "steps[1].id",
            ),
            (
                r#"{"steps":[{"id":"a","type":"a","args":[],"depends_on":["b"]}]}"#.to_owned(),
                "invalid_request",
                "steps[0].depends_on",
            ),
            (
                r#"{"steps":[{"id":"a","type":"a","args":[],"depends_on":["a"]}]}"#.to_owned(),
                "invalid_request",
                "steps[0].depends_on",
            ),
            (
                r#"{"steps":[{"id":"r","type":"a","args":[]},{"id":"a","type":"a","args":[],"depends_on":["b"]},
                    {"id":"b","type":"a","args":[],"depends_on":["a","r"]}]}"#
                    .to_owned(),
                "invalid_request",
                "steps[1].depends_on",
            ),
            (
                r#"{"type":"group","jobs":[{"type":"group","jobs":[{"type":"a","args":[]}]}]}"#.to_owned(),
                "unsupported",
                "jobs[0]",
            ),
            (
                r#"{"type":"group","jobs":[{"type":"a","args":[],"options":{"unique":{}}}]}"#.to_owned(),
                "unsupported",
                "jobs[0].options.unique",
            ),
        ] {
            let error = parse(&body).unwrap_err();
            let shown: String = body.chars().take(200).collect();
            assert_eq!((error.code.as_str(), error.details["field"].as_str()), (code, Some(field)), "{shown}: {error}");
        }
        let options = format!(r#"{{"type":"group","options":{{"x":"{}"}},"jobs":[{job},{job}]}}"#, "x".repeat(200_000));
        assert_eq!(parse(&options).unwrap_err().code.as_str(), "payload_too_large", "copied into each step");
        let large = format!(r#"{{"type":"a","args":["{}"]}}"#, "x".repeat(100_000));
        let error = parse(&format!(r#"{{"type":"group","jobs":[{}]}}"#, vec![large; 4].join(","))).unwrap_err();
        assert_eq!((error.code.as_str(), &error.details["what"]), ("payload_too_large", &Value::from("workflow")));
    }
}
