//! colmena: job lines behind a node's label, and log lines.

use crate::activation::{
    MachinePhase,
    Tool::Colmena,
    rule::{EarlyStage, Effect::*, Program, rule},
};

const JOB: &str = "CO:src/job.rs";
const LOG: &str = "CO:src/nix/deployment/mod.rs";
const CLI: &str = "CO:src/cli.rs";

/// Forms begin with the layer, see [`split`].
pub(super) static PROGRAM: Program = Program {
    within: &[Colmena],
    rules: &[
        rule("colmena apply{any}", Command(Colmena), CLI),
        rule("colmena apply-local{any}", Command(Colmena), CLI),
        rule("log| Using flake: {any}", Introduces(Colmena), LOG),
        rule("log| Using configuration: {any}", Introduces(Colmena), LOG),
        rule("log| Enumerating nodes...", Introduces(Colmena), LOG),
        rule("log| Selected {any}", Introduces(Colmena), LOG),
        rule("log| Operation failed with error: {any}", OperationFailed, CLI),
        rule("log| Failed to evaluate {any}", OperationFailed, JOB),
        rule("log| Failed to {any}", OperationFailed, JOB),
        // The summary repeats lines already seen.
        rule("log| {any}", Note, JOB),
        rule("Hint: Backtrace available{any}", Note, CLI),
        rule("job| Activating system profile", Begin(Colmena), JOB),
        rule("job| Activation successful{any}", Done, JOB),
        rule("job| Will be activated next boot", Done, JOB),
        rule("job| Dry activation successful", Done, JOB),
        rule("job| Activation failed: Child process exited with error code: {code}", Failed, JOB),
        rule("job| Activation failed: {any}", Failed, JOB),
        rule("job| Evaluation failed: {any}", StageFailed(EarlyStage::Evaluation), JOB),
        rule("job| Build failed: {any}", StageFailed(EarlyStage::Build), JOB),
        rule("job| Push failed: {any}", StageFailed(EarlyStage::Copy), JOB),
        rule("job| Key upload failed: {any}", SwitchFailed(Colmena), JOB),
        rule("job| Reboot failed: {any}", OperationFailed, JOB),
        rule("all| Failed: {any}", OperationFailed, JOB),
        rule("all| {any}", Note, JOB),
        rule("job| Evaluating {any}", NodePhase(MachinePhase::Evaluating), JOB),
        rule("job| Evaluated {any}", NodePhase(MachinePhase::Evaluating), JOB),
        rule("job| Building {any}", NodePhase(MachinePhase::Building), JOB),
        rule("job| Built {any}", NodePhase(MachinePhase::Building), JOB),
        rule("job| Pushing system closure", NodePhase(MachinePhase::Copying), JOB),
        rule("job| Pushed system closure", NodePhase(MachinePhase::Copying), JOB),
        rule("job| No {word} keys to upload", Note, JOB),
        rule("job| Uploading {any}", Note, JOB),
        rule("job| Uploaded {any}", Note, JOB),
        rule("job| Rebooting", Note, JOB),
        rule("job| Rebooted", Note, JOB),
    ],
};

/// Released versions, then those that log by tracing's default format.
const LEVELS: [&str; 8] =
    ["[INFO ] ", "[ERROR] ", "[WARN ] ", "[DEBUG] ", " INFO ", "ERROR ", " WARN ", "DEBUG "];

/// The text of a log line: `[INFO ] text`.
pub(in crate::activation) fn logged(line: &str) -> Option<String> {
    LEVELS.iter().find_map(|level| line.strip_prefix(level)).map(|text| format!("log| {text}"))
}

/// `  web | text` into label and text. The label is right-aligned to at least five columns; it is empty for the whole
/// operation and `(...)` for a job on several nodes.
pub(in crate::activation) fn split(line: &str) -> Option<(&str, &str)> {
    memchr::memchr(b'|', line.as_bytes())?;
    let (label, text) = match line.split_once(" | ") {
        Some(split) => split,
        None => (line.strip_suffix(" |")?, ""),
    };
    let name = label.trim_start();
    (label.len() >= 5 && label.len() <= 256 && !name.contains(char::is_whitespace)).then_some((name, text))
}
