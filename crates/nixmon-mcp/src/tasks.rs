//! Tasks: a wait for the end of a run, with the id of the run, answered from the store.

use nixmon_runs::Status;
use nixmon_runs::clock::unix_ms;
use rmcp::model::{CallToolResult, DetailedTask, ErrorData, GetTaskResult, Task, TaskPayload, TaskStatus};

use crate::program::Program;
use crate::refusal::Refusal;
use crate::wait;
use crate::words::{self, SHORT};

/// Time between two looks of a client.
const POLL_MS: u64 = 5_000;

/// Makes the task of a run.
pub(crate) fn task(status: &Status) -> Task {
    let moment = |ms: u64| {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    };
    let updated = status.ended_at.unwrap_or(status.heartbeat_at).max(status.created_at);
    Task::new(words::id(status.id), TaskStatus::Working, moment(status.created_at), moment(updated))
        .with_status_message(words::clean(&status.line, 100))
        .with_poll_interval_ms(POLL_MS)
}

/// Looks at a run.
pub(crate) fn look(program: &dyn Program, id: &str) -> Result<Status, Refusal> {
    let runs = program.runs()?;
    let dir = words::find(&runs, Some(id))?;
    Ok(runs.look(&dir, unix_ms())?.status)
}

/// Returns a task as it stands now.
pub(crate) fn get(status: &Status, is_cancelled: bool) -> Result<GetTaskResult, ErrorData> {
    let payload = if is_cancelled {
        TaskPayload::Cancelled
    } else if status.has_ended() {
        let answer = wait::answer(status, Vec::new(), None, SHORT);
        let written = serde_json::to_value(&answer).and_then(|value| {
            let mut result = CallToolResult::structured(value);
            result.is_error = Some(words::has_failed(status));
            serde_json::to_value(result)
        });
        let result = written.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        TaskPayload::Completed { result: result.as_object().cloned().unwrap_or_default() }
    } else {
        TaskPayload::Working
    };
    Ok(GetTaskResult::new(DetailedTask::new(task(status), payload)))
}
