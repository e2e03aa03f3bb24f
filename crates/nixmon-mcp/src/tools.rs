//! The table of the tools, as clients see them.

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, MetaObject, ToolAnnotations};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::access::Profile;
use crate::answers::{
    EventAnswer, HistoryAnswer, JobsAnswer, ListAnswer, PackageHistoryAnswer, PackageStatusAnswer,
    PlanAnswer, StartAnswer, StatusAnswer, StopAnswer, WaitAnswer,
};

/// The longest that a tool may take, in seconds: clients give up after a minute.
pub(crate) const MAX_WAIT: u64 = 50;
/// Greatest number of lines of a log.
pub(crate) const MAX_LINES: u64 = 200;
/// Greatest number of runs in a list.
pub(crate) const MAX_RUNS: u64 = 50;

/// A tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    title: &'static str,
    description: &'static str,
    /// A call that works, for messages about calls that do not.
    pub(crate) example: &'static str,
    /// The profile that a client needs at least.
    pub(crate) needs: Profile,
    effect: Effect,
    /// Clients that hide tools behind a search show this one at once.
    always_load: bool,
    input: Value,
    output: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing changes.
    Look,
    /// Something new happens.
    Start,
    /// Something ends or is replaced.
    Replace,
}

impl Tool {
    /// Returns the names of the arguments.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let properties = self.input.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }

    /// Returns the tool as the protocol describes it.
    pub(crate) fn described(&self) -> rmcp::model::Tool {
        let object = |value: &Value| Arc::new(value.as_object().cloned().unwrap_or_default());
        let is_look = self.effect == Effect::Look;
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(is_look)
            .destructive(self.effect == Effect::Replace)
            .idempotent(is_look)
            .open_world(!is_look);
        let mut tool = rmcp::model::Tool::new(self.name, self.description, object(&self.input))
            .with_title(self.title)
            .with_annotations(annotations);
        if let Some(output) = &self.output {
            tool = tool.with_raw_output_schema(object(output));
        }
        if self.always_load {
            let mut meta = JsonObject::new();
            meta.insert("anthropic/alwaysLoad".to_owned(), Value::Bool(true));
            tool = tool.with_meta(MetaObject(meta));
        }
        tool
    }
}

/// Returns the tool of this name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Returns all tools that a profile may call.
pub(crate) fn all(profile: Profile) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| profile >= tool.needs)
}

fn input(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn output<T: JsonSchema>() -> Option<Value> {
    // As they are written: a field that may be left out is not required.
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    strip(&mut schema);
    Some(schema)
}

/// Removes what clients warn of or models pay for: formats like `uint64`, names of types, lower limits.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(Value::is_string) {
                fields.remove("format");
                fields.remove("minimum");
            }
            if fields.get("title").is_some_and(Value::is_string) {
                fields.remove("title");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn id() -> Value {
    json!({ "type": "string", "description": "Id of the run, as run-41, or its name for the newest of that name" })
}

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    vec![
        Tool {
            name: "build_start",
            title: "Start a build",
            description: "Start a Nix build, a switch or any long command in the background, and return its id at once. \
                Give exactly one of installable (for nix build), target (a [target.NAME] of nixmon's configuration) or \
                command (a list of words, not a shell line). Then call build_wait with the id; do not poll with a shell. \
                The build goes on if this server or the client ends. For a switch, build_plan and build_apply show first \
                what would change. Not for commands that take a few seconds: use a shell.",
            example: "build_start {\"installable\":\".#hello\"} or {\"command\":[\"make\",\"home\"],\"name\":\"home\"}",
            needs: Profile::Build,
            effect: Effect::Start,
            always_load: true,
            input: input(
                json!({
                    "installable": { "type": "string", "description": "Argument of nix build, as .#hello" },
                    "target": { "type": "string", "description": "Name of a configured target" },
                    "command": {
                        "type": "array", "items": { "type": "string" }, "minItems": 1,
                        "description": "Program and arguments, as [\"make\",\"home\"]"
                    },
                    "cwd": { "type": "string", "description": "Absolute directory to run in" },
                    "name": { "type": "string", "description": "Name of the run: letters, digits and - _ . @ + :" },
                    "after": { "type": "string", "description": "Id of a run that has to succeed first" },
                    "jobs": {
                        "type": "integer", "minimum": 1, "maximum": 1024,
                        "description": "Builds at once (--max-jobs); with installable only"
                    }
                }),
                &[],
            ),
            output: output::<StartAnswer>(),
        },
        Tool {
            name: "build_wait",
            title: "Wait for a build",
            description: "Wait until a run ends, changes or enters another phase, and return only what is new, a cursor and \
                the next call. Returns after max_wait_s at the latest (at most 50): then after wait_s \
                seconds, in which you may do other work, make the call in next. A failed build is an error with its cause; call why_failed then. Ending a wait never stops the \
                build. Not for a single look: use build_status.",
            example: "build_wait {\"id\":\"run-41\",\"max_wait_s\":50}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: true,
            input: input(
                json!({
                    "id": id(),
                    "since": { "type": "integer", "minimum": 0, "description": "cursor of the last answer; only later lines are new" },
                    "until": {
                        "type": "string", "enum": ["end", "change", "phase"],
                        "description": "end: the run ends (default); change: a new line; phase: evaluating, fetching, building, activating"
                    },
                    "max_wait_s": { "type": "integer", "minimum": 0, "maximum": 50, "description": "Default 50" },
                    "max_bytes": { "type": "integer", "minimum": 400, "maximum": 8192, "description": "Limit of the answer, default 400" }
                }),
                &["id"],
            ),
            output: output::<WaitAnswer>(),
        },
        Tool {
            name: "build_status",
            title: "Look at a build",
            description: "Return the status of a run now: phase, counts, failure, how long. Without id, of the newest run. \
                detail full adds all fields of nixmon status --json. Do not call it in a loop: build_wait tells when \
                something happens.",
            example: "build_status {\"id\":\"run-41\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({
                    "id": id(),
                    "detail": { "type": "string", "enum": ["short", "full"], "description": "Default short" }
                }),
                &[],
            ),
            output: output::<StatusAnswer>(),
        },
        Tool {
            name: "why_failed",
            title: "Explain a failure",
            description: "Return why a run failed: each root cause with the lines that explain it, its place, advice, and where \
                the whole log is. Text of at most 8 KiB. Call it once build_wait or build_status reports a failure, before \
                reading logs.",
            example: "why_failed {\"id\":\"run-41\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: true,
            input: input(json!({ "id": id() }), &["id"]),
            output: None,
        },
        Tool {
            name: "build_log",
            title: "Read a log",
            description: "Return lines of the log of a run, or of one derivation, unit or package of it: the last ones, those \
                that match grep, or a range that begins at from. Text of at most 8 KiB and 200 lines. Call why_failed first: \
                it has the lines that matter.",
            example: "build_log {\"id\":\"run-41\",\"derivation\":\"hello-2.12\",\"grep\":\"error\",\"lines\":40}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({
                    "id": id(),
                    "derivation": { "type": "string", "description": "Name or path of a derivation, or the beginning of it" },
                    "unit": { "type": "string", "description": "A unit of an activation, as sshd.service" },
                    "package": { "type": "string", "description": "Name of a package: the same as derivation" },
                    "grep": { "type": "string", "description": "Regular expression" },
                    "from": { "type": "integer", "minimum": 1, "description": "Number of the first line; default: the last lines" },
                    "lines": { "type": "integer", "minimum": 1, "maximum": 200, "description": "Default 50" }
                }),
                &["id"],
            ),
            output: None,
        },
        Tool {
            name: "build_stop",
            title: "Stop a build",
            description: "End a run: SIGTERM to its processes, SIGKILL after ten seconds. Only if the user wants the build \
                stopped; a wait that you no longer need just ends.",
            example: "build_stop {\"id\":\"run-41\"}",
            needs: Profile::Build,
            effect: Effect::Replace,
            always_load: false,
            input: input(json!({ "id": id() }), &["id"]),
            output: output::<StopAnswer>(),
        },
        Tool {
            name: "build_list",
            title: "List builds",
            description: "List the newest runs with their ids, states and durations; five, or as many as limit says. Use it to \
                find a run whose id you do not have.",
            example: "build_list {\"limit\":20}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({ "limit": { "type": "integer", "minimum": 1, "maximum": 50, "description": "Default 5" } }),
                &[],
            ),
            output: output::<ListAnswer>(),
        },
        Tool {
            name: "build_plan",
            title: "Plan a switch",
            description: "Show what a switch (home-manager, nixos-rebuild, darwin-rebuild, nh) would build and download, without \
                changing anything, and return a plan for build_apply and the generation to roll back to. Give a target of \
                the configuration or the command of the switch.",
            example: "build_plan {\"target\":\"home\"} or {\"command\":[\"home-manager\",\"switch\",\"--flake\",\".\"]}",
            needs: Profile::Build,
            effect: Effect::Start,
            always_load: false,
            input: input(
                json!({
                    "target": { "type": "string", "description": "Name of a configured target" },
                    "command": { "type": "array", "items": { "type": "string" }, "minItems": 1, "description": "The switch" },
                    "cwd": { "type": "string", "description": "Absolute directory to run in" }
                }),
                &[],
            ),
            output: output::<PlanAnswer>(),
        },
        Tool {
            name: "build_apply",
            title: "Apply a plan",
            description: "Start the switch of a plan of build_plan, and return its id and the generation to roll back to. Refused \
                if the flake or its lock file has changed since: plan again then. Show the plan to the user first.",
            example: "build_apply {\"plan\":\"plan-41\"}",
            needs: Profile::Switch,
            effect: Effect::Replace,
            always_load: false,
            input: input(
                json!({ "plan": { "type": "string", "description": "The plan, as plan-41" } }),
                &["plan"],
            ),
            output: output::<StartAnswer>(),
        },
        Tool {
            name: "build_package_status",
            title: "Packages of a build",
            description: "Return the packages that a run works on (CMake targets, crates, directories; of a Nix build its \
                derivations), its critical path and what can run beside it. Short: packages that failed or are in progress. \
                Full: all. Fields are null where nothing is known.",
            example: "build_package_status {\"session_id\":\"run-41\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({
                    "session_id": id(),
                    "detail": { "type": "string", "enum": ["short", "full"], "description": "Default short" }
                }),
                &["session_id"],
            ),
            output: output::<PackageStatusAnswer>(),
        },
        Tool {
            name: "build_package_history",
            title: "Past of a package",
            description: "Return how long a package took before, how sure that is, and which files take longest. Fields are null \
                where nothing is known.",
            example: "build_package_history {\"package_name\":\"hello\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({
                    "package_name": { "type": "string", "description": "Name of a CMake target, crate or directory, or of a derivation without its version" },
                    "job_count": { "type": "integer", "minimum": 1, "maximum": 1024, "description": "Only builds with this many jobs" }
                }),
                &["package_name"],
            ),
            output: output::<PackageHistoryAnswer>(),
        },
        Tool {
            name: "build_optimal_jobs",
            title: "Best number of jobs",
            description: "Return how many jobs are best for a target, from earlier runs. Fields are null where nothing is known.",
            example: "build_optimal_jobs {\"target\":\"home\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({ "target": { "type": "string", "description": "Name of a target or run" } }),
                &["target"],
            ),
            output: output::<JobsAnswer>(),
        },
        Tool {
            name: "build_history",
            title: "Past of a target",
            description: "Return how long a target took before and how its runs ended. Fields are null where nothing is known.",
            example: "build_history {\"target\":\"home\"}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({ "target": { "type": "string", "description": "Name of a target or run" } }),
                &["target"],
            ),
            output: output::<HistoryAnswer>(),
        },
        Tool {
            name: "watch_events",
            title: "Events of the machine",
            description: "Return events of the machine's build processes after a cursor, from nixmon's sensor. Not for a run that \
                you started: build_wait tells more.",
            example: "watch_events {\"since\":0}",
            needs: Profile::ReadOnly,
            effect: Effect::Look,
            always_load: false,
            input: input(
                json!({ "since": { "type": "integer", "minimum": 0, "description": "cursor of the last answer, or 0" } }),
                &["since"],
            ),
            output: output::<EventAnswer>(),
        },
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_described_within_the_limits_of_clients() {
        for tool in TOOLS.iter() {
            assert!(tool.description.len() <= 1024, "{}: {}", tool.name, tool.description.len());
            assert!(tool.example.starts_with(tool.name), "{}", tool.name);
            let known = tool.arguments();
            for required in tool.input["required"].as_array().unwrap() {
                assert!(known.contains(&required.as_str().unwrap()), "{}", tool.name);
            }
            let schemas = format!("{}{:?}", tool.input, tool.output);
            for word in ["uint", "int64", "$ref", "$defs"] {
                assert!(!schemas.contains(word), "{}: {word} in {schemas}", tool.name);
            }
        }
        let total: usize =
            TOOLS.iter().map(|tool| tool.description.len() + tool.input.to_string().len()).sum();
        assert!(total < 12_000, "{total} bytes of descriptions and arguments");
    }

    #[test]
    fn fields_that_are_left_out_are_not_required() {
        let wait = find("build_wait").unwrap().output.as_ref().unwrap();
        assert_eq!(wait["required"], json!(["id", "state", "cursor"]));
    }

    #[test]
    fn a_reader_gets_no_tools_that_start_or_stop() {
        let names: Vec<_> = all(Profile::ReadOnly).map(|tool| tool.name).collect();
        for name in ["build_start", "build_stop", "build_plan", "build_apply"] {
            assert!(!names.contains(&name), "{name}");
            assert!(find(name).unwrap().effect != Effect::Look);
        }
        assert!(names.contains(&"build_wait"));
        assert!(all(Profile::Build).all(|tool| tool.name != "build_apply"));
        assert_eq!(all(Profile::All).count(), TOOLS.len());
    }
}
