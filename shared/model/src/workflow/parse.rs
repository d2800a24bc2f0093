use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::order::order;
use super::{Callback, Definition, Kind, Step, When, Work};
use crate::batch::check_queues;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::Ids;
use crate::job::parse_enqueue;
use crate::json::{Fields, Json, raw};

/// Most jobs of a group or batch, and of a workflow with all workflows inside it.
pub const MAX_STEPS: usize = 1_000;
/// Most levels of workflows inside each other, the outermost counted (workflows section 10.2 asks for 3).
pub const MAX_LEVELS: usize = 5;
/// Most steps where steps depend on others: all of them are in one item.
pub const MAX_GRAPH_STEPS: usize = 200;
/// Largest definition, bytes of JSON: a DynamoDB item holds 400 KiB.
pub const MAX_DEFINITION_BYTES: usize = 300 * 1_024;
/// Longest name of a workflow or step, characters.
const MAX_NAME_CHARS: usize = 255;
/// Most names in one `depends_on`.
const MAX_PARENTS: usize = MAX_GRAPH_STEPS;

/// Members of an object in a request.
type Members = BTreeMap<String, Json>;

/// What a workflow and those inside it have used of the limits.
struct Reader<'a> {
    now_ms: i64,
    ids: &'a Ids,
    /// Jobs of steps read so far.
    jobs: usize,
    /// Bytes of their requests: options are copied into each, so what grows too large ends here, not in memory.
    bytes: usize,
    /// Where they go: queue and priority.
    queues: Vec<(String, i64)>,
}

/// Reads a request for a workflow (workflows sections 4 to 6 and 10; HTTP binding section 14.1), and checks each of its jobs.
///
/// ```
/// use ojs_model::workflow::{Kind, parse_workflow};
/// use ojs_model::{Ids, json::Fields};
///
/// let chain = br#"{"type": "chain", "steps": [
///     {"type": "order.charge", "args": [42]},
///     {"type": "order.ship", "args": [42]}
/// ]}"#;
/// let workflow = parse_workflow(Fields::from_body(chain)?, 1_700_000_000_000, &Ids::new())?;
/// assert_eq!((workflow.kind, workflow.steps.len()), (Kind::Chain, 2));
///
/// let empty = br#"{"type": "chain", "steps": []}"#;
/// let refused = parse_workflow(Fields::from_body(empty)?, 1_700_000_000_000, &Ids::new()).unwrap_err();
/// assert!(refused.message.contains("'steps'"), "{}", refused.message);
/// # Ok::<(), ojs_model::Error>(())
/// ```
///
/// # Errors
/// `invalid_request` for a workflow that cannot be: without steps, with too many, with ids that are there twice or not at all, with
/// a cycle, with too many levels; as for an enqueue for each job; `unsupported` for unique jobs; `payload_too_large`.
pub fn parse_workflow(fields: Fields, now_ms: i64, ids: &Ids) -> Result<Definition> {
    let mut reader = Reader { now_ms, ids, jobs: 0, bytes: 0, queues: Vec::new() };
    let definition = reader.workflow(fields, None, 1)?;
    let member = if definition.kind.is_flat() { "jobs" } else { "steps" };
    check_queues(member, reader.queues.iter().map(|(queue, priority)| (queue.as_str(), *priority)))?;
    let size = serde_json::to_string(&definition).map_err(Error::internal)?.len();
    if size > MAX_DEFINITION_BYTES {
        return Err(Error::too_large("workflow", size, MAX_DEFINITION_BYTES));
    }
    Ok(definition)
}

impl Reader<'_> {
    /// One workflow; `outer`: the options of the one that it is in.
    fn workflow(&mut self, mut fields: Fields, outer: Option<&Json>, level: usize) -> Result<Definition> {
        let kind = fields.take_string("type")?;
        let name = take_name(&mut fields, "name")?;
        let defaults = merged("options", outer, fields.take_kind("options", "object")?.as_ref())?;
        let steps = fields.take_kind("steps", "array")?;
        let jobs = fields.take_kind("jobs", "array")?;
        let callbacks = fields.take_kind("callbacks", "object")?;
        let (kind, list, member) = kind_of(kind.as_deref(), steps, jobs)?;
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(Error::internal)?;
        let most = if kind.is_flat() { MAX_STEPS } else { MAX_GRAPH_STEPS };
        if list.is_empty() || list.len() > most {
            let problem = format_args!("must have 1 to {most} entries, not {}", list.len());
            return Err(Error::field(member, problem).with("max", most));
        }
        let size = defaults.as_ref().map_or(0, |defaults| defaults.get().len());
        if size > MAX_DEFINITION_BYTES {
            return Err(Error::too_large("workflow", size, MAX_DEFINITION_BYTES));
        }
        let mut steps = Vec::with_capacity(list.len());
        let mut parents = Vec::with_capacity(list.len());
        for (index, value) in list.into_iter().enumerate() {
            let (step, on) = self.step(&format!("{member}[{index}]"), value, kind, defaults.as_ref(), level)?;
            steps.push(step);
            parents.push(on);
        }
        match kind {
            Kind::Chain => steps.iter_mut().enumerate().skip(1).for_each(|(index, step)| step.after = vec![index - 1]),
            Kind::Graph => steps = order(steps, parents)?,
            Kind::Group | Kind::Batch => {}
        }
        let callbacks = self.callbacks(kind, callbacks.as_ref(), defaults.as_ref())?;
        Ok(Definition { kind, name, steps, callbacks })
    }

    /// One step, and the names of those that it depends on.
    fn step(
        &mut self,
        field: &str,
        value: &RawValue,
        kind: Kind,
        defaults: Option<&Json>,
        level: usize,
    ) -> Result<(Step, Vec<String>)> {
        let mut fields = Fields::from_member(field, value)?;
        let mut name = None;
        let mut parents = Vec::new();
        if kind == Kind::Graph {
            let id = take_name(&mut fields, "id")?;
            let missing = || Error::field(&format!("{field}.id"), "is required where steps depend on others");
            name = Some(id.ok_or_else(missing)?);
            parents = fields.take_strings("depends_on", MAX_PARENTS)?.unwrap_or_default();
        }
        let given = take_name(&mut fields, "name")?;
        let members = fields.rest();
        let work = if members.contains_key("steps") || members.contains_key("jobs") {
            if level == MAX_LEVELS {
                let problem = format_args!("is a workflow {} levels deep; {MAX_LEVELS} are possible", level + 1);
                return Err(Error::field(field, problem).with("max", MAX_LEVELS));
            }
            let inner = raw(serde_json::to_string(&members).map_err(Error::internal)?)?;
            let inner = Fields::from_request(&inner).and_then(|inner| self.workflow(inner, defaults, level + 1));
            let mut inner = inner.map_err(|error| within(field, error))?;
            inner.name.clone_from(&given);
            Work::Workflow(Box::new(inner))
        } else {
            self.jobs += 1;
            if self.jobs > MAX_STEPS {
                let problem = format_args!("is more than the {MAX_STEPS} jobs that a workflow may have in all");
                return Err(Error::field(field, problem).with("max", MAX_STEPS));
            }
            Work::Job(self.job(field, members, defaults)?)
        };
        Ok((Step { name: name.or(given), work, after: Vec::new() }, parents))
    }

    /// The request of a job, with the workflow's options where it has none of its own.
    fn job(&mut self, field: &str, mut members: Members, defaults: Option<&Json>) -> Result<Json> {
        if members.contains_key("id") {
            let problem = "has no place here: a step's job gets an id of the server's";
            return Err(Error::field(&format!("{field}.id"), problem));
        }
        if defaults.is_some()
            && let Some(options) = merged(&format!("{field}.options"), defaults, members.get("options"))?
        {
            members.insert("options".to_owned(), options);
        }
        let job = raw(serde_json::to_string(&members).map_err(Error::internal)?)?;
        self.bytes += job.get().len();
        if self.bytes > MAX_DEFINITION_BYTES {
            return Err(Error::too_large("workflow", self.bytes, MAX_DEFINITION_BYTES));
        }
        // Made once now, so that nothing can be wrong with it when its turn comes.
        let made = Fields::from_request(&job).and_then(|request| parse_enqueue(request, self.now_ms, self.ids));
        let made = made.map_err(|error| within(field, error))?;
        if made.unique.is_some() {
            let message = "Unique jobs inside workflows are not supported: a step must not be another job's duplicate.";
            return Err(Error::unsupported(message).with("field", format!("{field}.options.unique")));
        }
        self.queues.push((made.job.queue, made.job.priority));
        Ok(job)
    }

    fn callbacks(&mut self, kind: Kind, callbacks: Option<&Json>, defaults: Option<&Json>) -> Result<Vec<Callback>> {
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
                let job = self.job(&field, Fields::from_member(&field, &value)?.rest(), defaults)?;
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
}

/// Which kind of workflow it is, its members, and what they are called.
fn kind_of(kind: Option<&str>, steps: Option<Json>, jobs: Option<Json>) -> Result<(Kind, Json, &'static str)> {
    Ok(match (kind, steps, jobs) {
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
    })
}

/// The options of a job or workflow (`field`): those of the workflow that it is in, and over them its own.
fn merged(field: &str, outer: Option<&Json>, own: Option<&Json>) -> Result<Option<Json>> {
    let own = own.filter(|own| own.get() != "null");
    let Some(outer) = outer else { return Ok(own.cloned()) };
    let mut options = Fields::from_member("options", outer)?.rest();
    if let Some(own) = own {
        options.extend(Fields::from_member(field, own)?.rest());
    }
    raw(serde_json::to_string(&options).map_err(Error::internal)?).map(Some)
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

    fn request(definition: &Definition, index: usize) -> &str {
        match &definition.steps[index].work {
            Work::Job(job) => job.get(),
            Work::Workflow(_) | Work::Unread => panic!("no job"),
        }
    }

    /// Chains of `levels` levels, one inside the other, and a job in the innermost.
    fn nested(levels: usize) -> String {
        let job = r#"{"type":"a","args":[]}"#.to_owned();
        (0..levels).fold(job, |inner, _| format!(r#"{{"type":"chain","steps":[{inner}]}}"#))
    }

    #[test]
    fn workflows_are_read_inside_workflows() {
        let inner = r#"{"id":"x","name":"n","type":"batch","options":{"priority":2},"depends_on":["y"],
            "jobs":[{"type":"b","args":[]},{"type":"chain","steps":[{"type":"c","args":[],"options":{"priority":3}}]}],
            "callbacks":{"on_success":{"type":"d","args":[]}}}"#;
        let body = format!(r#"{{"options":{{"queue":"q"}},"steps":[{inner},{{"id":"y","type":"a","args":[]}}]}}"#);
        let graph = parse(&body).unwrap();
        assert_eq!((graph.steps[1].name.as_deref(), graph.steps[1].after.as_slice()), (Some("x"), [0].as_slice()));
        let batch = graph.nested(1).unwrap();
        assert_eq!((batch.kind, batch.name.as_deref()), (Kind::Batch, Some("n")));
        assert_eq!(request(batch, 0), r#"{"args":[],"options":{"priority":2,"queue":"q"},"type":"b"}"#);
        let chain = batch.nested(1).unwrap();
        assert_eq!(request(chain, 0), r#"{"args":[],"options":{"priority":3,"queue":"q"},"type":"c"}"#);
        assert_eq!(batch.callbacks[0].job.get(), r#"{"args":[],"options":{"priority":2,"queue":"q"},"type":"d"}"#);
        let again: Definition = serde_json::from_str(&serde_json::to_string(&graph).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{graph:?}"));

        assert!(parse(&nested(MAX_LEVELS)).is_ok());
        let error = parse(&nested(MAX_LEVELS + 1)).unwrap_err();
        assert_eq!(error.details["field"], "steps[0].steps[0].steps[0].steps[0].steps[0]", "{error}");
        assert_eq!(error.details["max"], MAX_LEVELS);
        let group = format!(r#"{{"type":"group","jobs":[{}]}}"#, vec![r#"{"type":"a","args":[]}"#; 501].join(","));
        let error = parse(&format!(r#"{{"type":"chain","steps":[{group},{group}]}}"#)).unwrap_err();
        assert_eq!(error.details["field"], "steps[1].jobs[499]", "{error}");
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
        assert_eq!(request(&graph, 2), r#"{"args":[],"options":{"priority":5,"queue":"q"},"type":"c"}"#);
        assert_eq!(request(&graph, 1), r#"{"args":[],"options":{"queue":"r"},"type":"b"}"#);
        let again: Definition = serde_json::from_str(&serde_json::to_string(&graph).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{graph:?}"));
    }

    #[test]
    fn a_workflow_names_a_bounded_number_of_sqs_queues() {
        let group = |queues: usize| {
            let job = |queue| format!(r#"{{"type":"a","args":[],"options":{{"queue":"q{queue}"}}}}"#);
            let jobs = (0..queues).map(job).collect::<Vec<_>>().join(",");
            let body = format!(r#"{{"type":"group","jobs":[{jobs}]}}"#);
            parse_workflow(Fields::from_body(body.as_bytes()).unwrap(), 1_700_000_000_000, &Ids::new())
        };
        assert!(group(100).is_ok());
        assert_eq!(group(101).unwrap_err().details["field"], "jobs");
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
                r#"{"type":"group","jobs":[{"type":"chain","steps":[{"args":[]}]}]}"#.to_owned(),
                "invalid_request",
                "jobs[0].steps[0].type",
            ),
            (r#"{"type":"group","jobs":[{"type":"tree","jobs":[]}]}"#.to_owned(), "invalid_request", "jobs[0].type"),
            (
                r#"{"type":"chain","steps":[{"type":"batch","jobs":[{"type":"a","args":[]}]}]}"#.to_owned(),
                "invalid_request",
                "steps[0].callbacks",
            ),
            (
                format!(
                    r#"{{"type":"batch","jobs":[{job}],"callbacks":{{"on_success":{{"type":"group","jobs":[{job}]}}}}}}"#
                ),
                "invalid_request",
                "callbacks.on_success.args",
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
