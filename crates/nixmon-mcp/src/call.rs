//! Calls of tools, from arguments to results. They block, since the store is read from files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nixmon_core::text::nearest;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::Stopping;
use nixmon_runs::{RunId, Status, StoreError};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::access::{Access, remote_host};
use crate::answers::{
    EventAnswer, HistoryAnswer, JobsAnswer, ListAnswer, ListedRun, PackageHistoryAnswer, PackageStatusAnswer,
    PlanAnswer, StartAnswer, StopAnswer,
};
use crate::args::Args;
use crate::logs::{self, Excerpt};
use crate::plan::{self, Plan};
use crate::program::{CommandKind, Generation, Order, Program, StartError};
use crate::refusal::Refusal;
use crate::tools::{MAX_LINES, MAX_RUNS, MAX_WAIT, Tool};
use crate::wait::{self, Until, Wait};
use crate::words::{self, LONG, SHORT};

/// Runs that a list has unless more are asked for.
const RUNS: u64 = 5;
/// Lines of a log unless more are asked for.
const LINES: u64 = 50;
/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// Time after which `build_stop` returns even if the run has not ended.
const MAX_STOP: Duration = Duration::from_secs(20);
/// Time that `build_plan` waits for the dry run.
const MAX_PLAN: Duration = Duration::from_secs(45);
/// Time between two looks whether a run has ended.
const POLL: Duration = Duration::from_millis(50);

type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A call of a tool.
pub(crate) struct Call<'a> {
    pub(crate) program: &'a dyn Program,
    pub(crate) access: &'a Access,
    pub(crate) tool: &'static Tool,
    pub(crate) values: &'a Map<String, Value>,
    /// The user has agreed to switch another host.
    pub(crate) has_consent: bool,
    pub(crate) is_cancelled: &'a AtomicBool,
}

impl Call<'_> {
    /// Returns the question to put to the user before this call.
    pub(crate) fn question(&self) -> Result<Option<String>> {
        let order = match self.tool.name {
            "build_start" => self.order(&self.args()?)?,
            "build_apply" => {
                let runs = self.program.runs()?;
                let wanted = self.args()?.required("plan")?;
                plan::checked(self.program, &runs, &wanted)?.0
            }
            _ => return Ok(None),
        };
        self.access.tool(self.tool.name, self.tool.needs)?;
        let kind = self.program.kind(&order.command);
        let is_switch = kind == CommandKind::Switch || kind == CommandKind::Other;
        let host = remote_host(&order.command).filter(|_| is_switch);
        Ok(host.map(|host| {
            format!(
                "Switch {} to another configuration? The command is: {}",
                words::clean(&host, 60),
                words::clean(&order.command.join(" "), 200)
            )
        }))
    }

    /// Answers the call. `on_look` is called after each look at a run that is waited for.
    pub(crate) fn answer(&self, on_look: impl FnMut(&Status)) -> Result<CallToolResult> {
        self.access.tool(self.tool.name, self.tool.needs)?;
        let args = self.args()?;
        match self.tool.name {
            "build_start" => self.start(&args),
            "build_wait" => self.wait(&args, on_look),
            "build_status" => {
                let full = args.choice("detail", &["short", "full"])? == "full";
                structured(&wait::status(self.program, args.text("id")?.as_deref(), full)?)
            }
            "why_failed" => Ok(text(logs::why_failed(self.program, &args.required("id")?)?)),
            "build_log" => self.log(&args),
            "build_stop" => self.stop(&args),
            "build_list" => self.list(&args),
            "build_plan" => self.plan(&args),
            "build_apply" => self.apply(&args),
            _ => self.about_the_past(&args),
        }
    }

    fn args(&self) -> Result<Args<'_>> {
        Args::new(self.tool, self.values)
    }

    /// Reads which command to run, and checks that it may.
    fn order(&self, args: &Args<'_>) -> Result<Order> {
        let given = [
            args.text("installable")?.is_some(),
            args.text("target")?.is_some(),
            args.command("command")?.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let several = given.contains(&true);
            let message = if several { "more than one of" } else { "none of" };
            return Err(args.wrong(format!("{message} installable, target and command was given; give one")));
        }
        let jobs = args.whole("jobs", 1, 1024, "builds at once")?;
        if jobs.is_some() && args.text("installable")?.is_none() {
            return Err(
                args.wrong("`jobs` goes with installable; put --max-jobs or -j into the command itself")
            );
        }
        let mut order = if let Some(installable) = args.text("installable")? {
            if installable.starts_with('-') {
                return Err(args.wrong("`installable` begins with -; options go into command"));
            }
            let mut command = vec!["nix".to_owned(), "build".to_owned(), installable];
            if let Some(jobs) = jobs {
                command.extend(["--max-jobs".to_owned(), jobs.to_string()]);
            }
            Order { command, ..Order::default() }
        } else {
            self.target_or_command(args)?
        };
        if let Some(name) = args.text("name")? {
            order.name = Some(
                self.program.checked_name(&name).map_err(|error| args.wrong(format!("`name`: {error}")))?,
            );
        }
        order.after = args.text("after")?.map(|after| words::reference(&after).to_owned());
        self.checked(args, order)
    }

    fn target_or_command(&self, args: &Args<'_>) -> Result<Order> {
        let Some(target) = args.text("target")? else {
            let command = args.command("command")?.unwrap_or_default();
            return Ok(Order { command, ..Order::default() });
        };
        self.program.target(&target).ok_or_else(|| {
            let names = self.program.targets();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let meant = match nearest(&target, &names) {
                Some(name) => format!("did you mean {name}?"),
                None if names.is_empty() => "the configuration has none; pass command instead".to_owned(),
                None => format!("there are {}", words::clean(&names.join(", "), 200)),
            };
            args.wrong(format!("there is no target {}; {meant}", words::clean(&target, 40)))
        })
    }

    fn checked(&self, args: &Args<'_>, mut order: Order) -> Result<Order> {
        if let Some(cwd) = args.text("cwd")? {
            let cwd = PathBuf::from(cwd);
            if !cwd.is_absolute() {
                return Err(args.wrong("`cwd` is an absolute path"));
            }
            order.directory = Some(cwd);
        }
        let directory = order.directory.clone().unwrap_or_else(|| self.program.directory());
        let real = directory.canonicalize().ok().filter(|directory| directory.is_dir()).ok_or_else(|| {
            args.wrong(format!(
                "there is no directory {}",
                words::clean(&directory.display().to_string(), 200)
            ))
        })?;
        self.access.directory(&real)?;
        order.directory = Some(real);
        self.access.command(&order.command, self.program.kind(&order.command))?;
        Ok(order)
    }

    fn start(&self, args: &Args<'_>) -> Result<CallToolResult> {
        let order = self.order(args)?;
        self.launch(&order, None)
    }

    fn launch(&self, order: &Order, generation: Option<Generation>) -> Result<CallToolResult> {
        let kind = self.program.kind(&order.command);
        if kind != CommandKind::Build && !self.has_consent && remote_host(&order.command).is_some() {
            return Err(Refusal::new(
                "a switch of another host needs the user's consent, and this client cannot ask for it",
                "ask the user to run the command in a terminal: nixmon run -- …",
            ));
        }
        let expected = self.program.history().expected(order);
        let run = self.program.start(order).map_err(not_started)?;
        let runs = self.program.runs()?;
        let dir = runs.store().run(run)?;
        let look = runs.look(&dir, unix_ms())?;
        let id = words::id(run);
        let eta_ms = expected.remaining_ms.or(look.status.expected_ms);
        structured(&StartAnswer {
            next: format!("build_wait {{\"id\":\"{id}\"}}"),
            id,
            name: look.status.name.clone(),
            state: look.status.state,
            eta_ms,
            wait_s: eta_ms.map(wait::before_end).filter(|seconds| *seconds > 0),
            eta_low_ms: expected.range_ms.map(|(low, _)| low),
            eta_high_ms: expected.range_ms.map(|(_, high)| high),
            eta_note: words::reservation(&expected),
            // The store keeps fewer runs than the history, and either may be empty.
            first_run: match (expected.is_first, look.facts.filter(|facts| facts.name.is_some())) {
                (None, None) => None,
                (first, facts) => Some(first != Some(false) && facts.is_none_or(|facts| facts.is_first)),
            },
            generation,
        })
    }

    fn wait(&self, args: &Args<'_>, on_look: impl FnMut(&Status)) -> Result<CallToolResult> {
        let wait = self.read_wait(args)?;
        let (answer, status) = wait::wait(self.program, &wait, self.is_cancelled, on_look)?;
        let mut result = structured(&answer)?;
        result.is_error = Some(words::has_failed(&status));
        Ok(result)
    }

    /// Returns the run that a call waits to end.
    pub(crate) fn waits_for_end(&self) -> Result<Option<RunId>> {
        if self.tool.name != "build_wait" {
            return Ok(None);
        }
        let wait = self.read_wait(&self.args()?)?;
        if wait.until != Until::End {
            return Ok(None);
        }
        let runs = self.program.runs()?;
        Ok(Some(words::find(&runs, Some(&wait.run))?.id()))
    }

    fn read_wait(&self, args: &Args<'_>) -> Result<Wait> {
        let seconds =
            args.whole("max_wait_s", 0, MAX_WAIT, "clients give up on longer calls; call again with since")?;
        let max_bytes = args.whole("max_bytes", SHORT as u64, LONG as u64, "bytes of the answer")?;
        Ok(Wait {
            run: args.required("id")?,
            since: args.whole("since", 0, u64::MAX, "the cursor of the last answer")?,
            until: match args.choice("until", &["end", "change", "phase"])? {
                "change" => Until::Change,
                "phase" => Until::Phase,
                _ => Until::End,
            },
            max_wait: Duration::from_secs(seconds.unwrap_or(MAX_WAIT)),
            max_bytes: max_bytes.map_or(SHORT, |bytes| usize::try_from(bytes).unwrap_or(LONG)),
        })
    }

    fn log(&self, args: &Args<'_>) -> Result<CallToolResult> {
        let derivation = args.text("derivation")?.or(args.text("package")?);
        let unit = args.text("unit")?;
        if derivation.is_some() && unit.is_some() {
            return Err(args.wrong("give derivation or unit, not both"));
        }
        let excerpt = Excerpt {
            run: args.required("id")?,
            derivation,
            unit,
            grep: args.text("grep")?,
            from: args.whole("from", 1, u64::MAX, "lines are counted from 1")?,
            lines: args.whole("lines", 1, MAX_LINES, "use grep or from for others")?.unwrap_or(LINES),
        };
        Ok(text(logs::log(self.program, &excerpt)?))
    }

    fn stop(&self, args: &Args<'_>) -> Result<CallToolResult> {
        let wanted = args.required("id")?;
        let runs = self.program.runs()?;
        let dir = words::find(&runs, Some(&wanted))?;
        let first = runs.look(&dir, unix_ms())?;
        let had_ended = !first.life.goes_on();
        let mut stopping = Stopping::default();
        let mut last = first;
        if !had_ended {
            dir.mark_stopped()?;
            let begun = unix_ms();
            while last.life.goes_on() {
                let elapsed = Duration::from_millis(unix_ms().saturating_sub(begun));
                if elapsed > MAX_STOP {
                    break;
                }
                stopping.signal(&last, elapsed, GRACE)?;
                std::thread::sleep(POLL);
                last = runs.look(&dir, unix_ms())?;
            }
        }
        structured(&StopAnswer {
            id: words::id(last.status.id),
            state: last.status.state,
            outcome: last.status.outcome,
            had_ended,
            killed: stopping.has_killed(),
        })
    }

    fn list(&self, args: &Args<'_>) -> Result<CallToolResult> {
        let limit = args.whole("limit", 1, MAX_RUNS, "the newest runs")?;
        let runs = self.program.runs()?;
        let (ids, older) = runs.list(Some(usize::try_from(limit.unwrap_or(RUNS)).unwrap_or(0)))?;
        let now = unix_ms();
        let mut answer = ListAnswer { runs: Vec::new(), older };
        for id in ids {
            answer.runs.push(match runs.listed(id, now).look {
                Ok(look) => ListedRun {
                    id: words::id(id),
                    name: words::name(&look.status),
                    state: words::state(&look.status).to_owned(),
                    s: words::elapsed_ms(&look.status, now).map(|ms| ms / 1000),
                },
                Err(_) => ListedRun {
                    id: words::id(id),
                    name: String::new(),
                    state: "unreadable".to_owned(),
                    s: None,
                },
            });
        }
        let most = if limit.is_none() { SHORT } else { LONG };
        while words::size(&answer) > most && answer.runs.pop().is_some() {
            answer.older += 1;
        }
        structured(&answer)
    }

    fn plan(&self, args: &Args<'_>) -> Result<CallToolResult> {
        if args.text("target")?.is_some() == args.command("command")?.is_some() {
            return Err(args.wrong("give a target or the command of a switch"));
        }
        let order = self.target_or_command(args)?;
        let order = self.checked(args, order)?;
        let (run, plan) = plan::make(self.program, &order)?;
        let wait = Wait {
            run: run.to_string(),
            since: None,
            until: Until::End,
            max_wait: MAX_PLAN,
            max_bytes: LONG,
        };
        let (waited, status) = wait::wait(self.program, &wait, self.is_cancelled, |_| {})?;
        let plan_id = plan::id(run);
        let next = match (status.has_ended(), words::has_failed(&status)) {
            (false, _) => format!("build_wait {{\"id\":\"{}\"}}, then build_apply", waited.id),
            (true, true) => format!("why_failed {{\"id\":\"{}\"}}", waited.id),
            (true, false) => format!("show this to the user, then build_apply {{\"plan\":\"{plan_id}\"}}"),
        };
        let mut answer = PlanAnswer {
            plan: plan_id,
            id: waited.id,
            state: status.state,
            outcome: status.outcome,
            lines: waited.lines,
            omitted: waited.omitted,
            generation: plan.generation,
            next,
        };
        // A plan is what was asked for, so it may be longer than other answers.
        while words::size(&answer) > LONG / 4 && !answer.lines.is_empty() {
            answer.lines.remove(0);
            answer.omitted += 1;
        }
        let mut result = structured(&answer)?;
        result.is_error = Some(words::has_failed(&status));
        Ok(result)
    }

    fn apply(&self, args: &Args<'_>) -> Result<CallToolResult> {
        let wanted = args.required("plan")?;
        let runs = self.program.runs()?;
        let (order, Plan { generation, .. }) = plan::checked(self.program, &runs, &wanted)?;
        if let Some(directory) = &order.directory {
            self.access.directory(directory)?;
        }
        self.access.command(&order.command, self.program.kind(&order.command))?;
        self.launch(&order, generation)
    }

    /// Answers from history, packages and sensor, which a program may not have.
    fn about_the_past(&self, args: &Args<'_>) -> Result<CallToolResult> {
        const NO_HISTORY: &str = "nothing is known of it yet; runs that end fill the history";
        const NO_JOBS: &str = "no successful run with a known number of jobs yet";
        const NO_SENSOR: &str = "there is no sensor of processes here; runs that nixmon started: build_list";
        let note = || Some(NO_HISTORY.to_owned());
        match self.tool.name {
            "build_package_status" => {
                let runs = self.program.runs()?;
                let look = runs.look(&words::find(&runs, Some(&args.required("session_id")?))?, unix_ms())?;
                let session_id = words::id(look.status.id);
                let full = args.choice("detail", &["short", "full"])? == "full";
                let note =
                    Some("no packages were seen in this run; build_status says how it stands".to_owned());
                let none = PackageStatusAnswer { session_id, note, ..Default::default() };
                structured(&self.program.packages().status(&look, full).unwrap_or(none))
            }
            "build_package_history" => {
                let package_name = args.required("package_name")?;
                let jobs = args.whole("job_count", 1, 1024, "builds at once")?;
                let known = self.program.packages().history(&package_name, jobs);
                let none = PackageHistoryAnswer {
                    package_name: words::clean(&package_name, 80),
                    note: Some("the history has no successful build of this package".to_owned()),
                    ..Default::default()
                };
                structured(&known.unwrap_or(none))
            }
            "build_optimal_jobs" => {
                let target = args.required("target")?;
                let none = || JobsAnswer { note: Some(NO_JOBS.to_owned()), ..JobsAnswer::default() };
                let known = self.program.history().optimal_jobs(&target).unwrap_or_else(none);
                structured(&short_jobs(&target, known))
            }
            "build_history" => {
                let target = args.required("target")?;
                let none = || HistoryAnswer { note: note(), ..HistoryAnswer::default() };
                let known = self.program.history().history(&target).unwrap_or_else(none);
                structured(&short_history(&target, known))
            }
            _ => {
                let cursor = args.whole("since", 0, u64::MAX, "the cursor of the last answer, or 0")?;
                let cursor = cursor.ok_or_else(|| args.wrong("`since` is missing; 0 is the beginning"))?;
                let none = EventAnswer { events: None, cursor, note: Some(NO_SENSOR.to_owned()) };
                structured(&self.program.events().since(cursor).unwrap_or(none))
            }
        }
    }

    /// Returns whether the wait was given up by the client.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// Makes an answer about jobs short and free of control characters. The first sentences of advice matter most.
fn short_jobs(target: &str, mut answer: JobsAnswer) -> JobsAnswer {
    for columns in [80, 40] {
        answer.target = words::clean(target, columns);
        answer.build_history_key = answer.build_history_key.map(|key| words::clean(&key, columns));
        answer.recommendations =
            answer.recommendations.iter().map(|text| words::clean(text, 2 * columns)).collect();
        answer.note = answer.note.map(|note| words::clean(&note, 2 * columns));
        while words::size(&answer) > SHORT && answer.recommendations.len() > 1 {
            answer.recommendations.pop();
        }
    }
    answer
}

/// Makes an answer about a target's past short and free of control characters. The newest runs matter most.
fn short_history(target: &str, mut answer: HistoryAnswer) -> HistoryAnswer {
    for columns in [80, 40] {
        answer.target = words::clean(target, columns);
        answer.build_history_key = answer.build_history_key.map(|key| words::clean(&key, columns));
        answer.note = answer.note.map(|note| words::clean(&note, 2 * columns));
        for run in &mut answer.runs {
            run.id = words::clean(&run.id, columns / 2);
        }
        while words::size(&answer) > SHORT && answer.runs.len() > 1 {
            answer.runs.pop();
        }
    }
    answer
}

/// Says why a run did not start.
pub(crate) fn not_started(error: StartError) -> Refusal {
    match error {
        StartError::Store(StoreError::Busy { id, name, .. }) => {
            let id = words::id(id);
            Refusal::new(
                format!("a run called {} is in progress already: {id}", words::clean(&name, 64)),
                format!("build_wait {{\"id\":\"{id}\"}}, or start with another name, or with after \"{id}\""),
            )
        }
        StartError::Store(error) => error.into(),
        StartError::NotStarted { program, reason } => Refusal::new(
            format!("{} cannot be started: {reason}", words::clean(&program, 80)),
            "check the program's name and cwd; a builtin or a line with | needs [\"sh\",\"-c\",\"LINE\"]",
        ),
        StartError::Monitor(error) => Refusal::new(words::clean(&error, 200), "tell the user"),
    }
}

/// Makes a result whose text and structured content say the same.
fn structured(answer: &impl Serialize) -> Result<CallToolResult> {
    let value = serde_json::to_value(answer)
        .map_err(|error| Refusal::new(format!("the answer cannot be written: {error}"), "tell the user"))?;
    Ok(CallToolResult::structured(value))
}

fn text(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}
