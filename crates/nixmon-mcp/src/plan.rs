//! Plans of switches: a recorded dry run, and the state of the flake beside it.

use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::Runs;
use nixmon_runs::{RunDir, RunId};
use serde::{Deserialize, Serialize};

use crate::program::{Generation, Order, PlanCheck, Program};
use crate::refusal::Refusal;
use crate::words;

/// The file in the directory of the dry run.
const FILE: &str = "plan.json";

/// A plan as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) command: Vec<String>,
    pub(crate) directory: Option<std::path::PathBuf>,
    pub(crate) name: Option<String>,
    pub(crate) is_target: bool,
    pub(crate) fingerprint: String,
    pub(crate) generation: Option<Generation>,
}

/// Returns the name of a plan, as `plan-41`.
pub(crate) fn id(run: RunId) -> String {
    format!("plan-{run}")
}

/// Starts the dry run of a switch and stores the plan beside it.
pub(crate) fn make(program: &dyn Program, order: &Order) -> Result<(RunId, Plan), Refusal> {
    let check = program.plan(order).map_err(|error| {
        Refusal::new(
            error,
            "plan a home-manager, nixos-rebuild, darwin-rebuild or nh switch of a flake in a directory",
        )
    })?;
    let PlanCheck { dry_run, fingerprint, generation } = check;
    let plan = Plan {
        command: order.command.clone(),
        directory: order.directory.clone(),
        name: order.name.clone(),
        is_target: order.is_target,
        fingerprint,
        generation,
    };
    let dry = Order { command: dry_run, directory: order.directory.clone(), ..Order::default() };
    let run = program.start(&dry).map_err(crate::call::not_started)?;
    let dir = program.runs()?.store().run(run)?;
    write(&dir, &plan)
        .map_err(|error| Refusal::new(format!("cannot store the plan: {error}"), "tell the user"))?;
    Ok((run, plan))
}

#[expect(clippy::disallowed_methods, reason = "the plan lies in the directory of its run")]
fn write(dir: &RunDir, plan: &Plan) -> std::io::Result<()> {
    std::fs::write(dir.file(FILE), serde_json::to_vec(plan)?)
}

#[expect(clippy::disallowed_methods, reason = "the plan lies in the directory of its run")]
fn read(dir: &RunDir) -> Option<Plan> {
    serde_json::from_slice(&std::fs::read(dir.file(FILE)).ok()?).ok()
}

/// Returns the order of a plan, if it is still true.
pub(crate) fn checked(
    program: &dyn Program,
    runs: &Runs<'_>,
    wanted: &str,
) -> Result<(Order, Plan), Refusal> {
    let number = wanted.trim().strip_prefix("plan-").unwrap_or(wanted.trim());
    let unknown = || {
        Refusal::new(
            format!("there is no plan {}", words::clean(wanted, 40)),
            "build_plan {\"target\":…} makes one; its answer has the plan, as plan-41",
        )
    };
    let number: u64 = number.parse().map_err(|_| unknown())?;
    let dir = runs.store().run(RunId(number)).map_err(|_| unknown())?;
    let plan = read(&dir).ok_or_else(unknown)?;
    let status = runs.look(&dir, unix_ms())?.status;
    let id = words::id(status.id);
    if !status.has_ended() {
        return Err(Refusal::new(
            format!("plan {} is not ready: its dry run {id} is in progress", words::clean(wanted, 40)),
            format!("build_wait {{\"id\":\"{id}\"}}, then build_apply again"),
        ));
    }
    if words::has_failed(&status) {
        return Err(Refusal::new(
            format!("the dry run {id} of this plan failed"),
            format!("why_failed {{\"id\":\"{id}\"}}, then build_plan again"),
        ));
    }
    let order = Order {
        command: plan.command.clone(),
        directory: plan.directory.clone(),
        name: plan.name.clone(),
        is_target: plan.is_target,
        after: None,
    };
    let again = "build_plan again, and show the new plan to the user";
    let now = program.plan(&order).map_err(|error| Refusal::new(error, again))?;
    if now.fingerprint != plan.fingerprint {
        return Err(Refusal::new("the flake or its lock file has changed since the plan was made", again));
    }
    if now.generation.as_ref().map(|generation| generation.number)
        != plan.generation.as_ref().map(|generation| generation.number)
    {
        return Err(Refusal::new("another generation has become active since the plan was made", again));
    }
    Ok((order, plan))
}
