//! Every capture of a real run, held against what really happened, twice: with the exit status of the command, as a
//! wrapper would know it, and without, as a filter sees the stream.
//!
//! The truth comes from the store's database, the `.drv` files and the kept build logs, never from the stream; see
//! `tests/fixtures/README.md`. Each question is asked of every case that it fits, and one line says how many were right.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what was asked and answered is worth reading")]

use std::collections::BTreeSet;

use crate::common::corpus::{self, Case};
use crate::common::play;
use serde_json::{Value, json};

// Exceptions: what the stream does not tell, so that no reader can know it.

/// Up to 2.8 Nix gives no position for throw and abort, and none for the module system's errors, which are throws.
const NO_POSITION: [&str; 6] = [
    "09-eval-aborting",
    "09-eval-deep",
    "09-eval-nix-build",
    "09-eval-throwing",
    "10-module-option",
    "10-module-type",
];
const NO_POSITION_UP_TO: [&str; 3] = ["2.3.7", "2.6.0", "2.8.0"];
/// The client of a daemon leaves at once when interrupted, before the daemon's last records arrive.
const LAST_RECORDS_LOST: &str = "24-daemon-sigint";
/// Without --keep-going a second builder may fail in the same instant: Nix counts it but never names it.
const UNNAMED_FAILURES: &str = "07-no-keep-going";
/// A failed download ends the run while others are being finished: the store gets up to two more than Nix reports.
const COPIES_IN_FLIGHT: &str = "11-nar-broken";
/// Killed: the stream just stops, and what stopped it is not in it.
const KILLED: &str = "17-sigkill";
/// Of those that found no machine, newer versions name one and older ones none.
const NO_MACHINE: &str = "13-remote-refused";
/// In 2.3.7, where both commands are human-readable, one of the two is silent.
const HALF_SILENT: &str = "25-concurrent-mixed";

/// What was asked, and how it was answered.
struct Answer {
    question: &'static str,
    right: bool,
    said: Value,
    wanted: Value,
}

/// The answers of one case.
#[derive(Default)]
struct Answers(Vec<Answer>);

impl Answers {
    fn is(&mut self, question: &'static str, said: impl Into<Value>, wanted: impl Into<Value>) {
        let (said, wanted) = (said.into(), wanted.into());
        self.holds(question, said == wanted, said, wanted);
    }

    fn is_one_of(&mut self, question: &'static str, said: &Value, wanted: &[Value]) {
        self.holds(question, wanted.contains(said), said.clone(), wanted.to_vec());
    }

    fn is_within(&mut self, question: &'static str, said: &Value, least: u64, most: u64) {
        let right = said.as_u64().is_some_and(|said| (least..=most).contains(&said));
        self.holds(question, right, said.clone(), json!([least, most]));
    }

    fn holds(
        &mut self,
        question: &'static str,
        right: bool,
        said: impl Into<Value>,
        wanted: impl Into<Value>,
    ) {
        self.0.push(Answer { question, right, said: said.into(), wanted: wanted.into() });
    }
}

#[test]
fn every_capture_is_told_as_it_happened() {
    let cases = corpus::archive();
    assert_eq!(cases.len(), 855, "captures are missing");
    let answers: Vec<(String, Answers)> =
        cases.iter().map(|case| case.name.clone()).zip(corpus::each(&cases, ask)).collect();
    report(&answers);
}

#[test]
fn the_plain_cases_are_told_as_they_happened() {
    let cases = corpus::plain();
    let answers: Vec<(String, Answers)> =
        cases.iter().map(|case| case.name.clone()).zip(corpus::each(&cases, ask)).collect();
    report(&answers);
}

/// One line for each question, the wrong answers, and a failure if there are any.
fn report(answers: &[(String, Answers)]) {
    let mut questions: Vec<(&str, usize, usize)> = Vec::new();
    for answer in answers.iter().flat_map(|(_, answers)| &answers.0) {
        let at = questions.iter().position(|(question, ..)| *question == answer.question);
        let at = at.unwrap_or_else(|| {
            questions.push((answer.question, 0, 0));
            questions.len() - 1
        });
        questions[at].1 += usize::from(answer.right);
        questions[at].2 += 1;
    }
    for (question, right, total) in questions {
        println!("{:6.1} %  {right}/{total} {question}", 100.0 * right as f64 / total as f64);
    }
    let wrong: Vec<String> = answers
        .iter()
        .flat_map(|(name, answers)| answers.0.iter().filter(|a| !a.right).map(move |a| (name, a)))
        .map(|(name, Answer { question, said, wanted, .. })| {
            format!("{name}: {question}: said {said}, true is {wanted}")
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

/// Asks every question that fits a case.
fn ask(case: &Case) -> Answers {
    let mut answers = Answers::default();
    let (known, _) = play::summary(&case.log, Some(case.exit_status()));
    let (filter, code) = play::summary(&case.log, None);
    for summary in [&known, &filter] {
        answers.holds("summary of the agreed shape", has_agreed_shape(summary), summary.clone(), "wire.md");
    }
    let exit = match filter["outcome"].as_str().unwrap() {
        "success" => 0,
        "interrupted" => 130,
        _ => 1,
    };
    answers.is(
        "filter's exit code is the one it reports",
        json!([code, filter["exit_code"]]),
        json!([exit, exit]),
    );
    if case.scenario().is_empty() {
        ask_of_transcript(case, &known, &filter, &mut answers);
    } else {
        ask_of_outcome(case, &known, &filter, &mut answers);
        ask_of_counts(case, &known, &mut answers);
        ask_of_failures(case, &known, &filter, &mut answers);
    }
    answers
}

fn has_agreed_shape(summary: &Value) -> bool {
    const FIELDS: [&str; 9] = [
        "outcome",
        "exit_code",
        "failed_stage",
        "elapsed_ms",
        "counts",
        "failures",
        "activation",
        "flake_inputs",
        "input",
    ];
    const COUNTS: [&str; 7] =
        ["built", "failed", "cancelled", "not_started", "fetched", "fetched_bytes", "uploaded"];
    summary["type"] == "summary"
        && summary["schema"] == 1
        && FIELDS.iter().all(|field| summary.get(field).is_some())
        && COUNTS.iter().all(|count| summary["counts"][count].is_u64())
}

fn ask_of_outcome(case: &Case, known: &Value, filter: &Value, answers: &mut Answers) {
    let (outcome, scenario) = (case.truth["outcome"].as_str().unwrap(), case.scenario());
    let wanted: &[Value] = &match outcome {
        _ if scenario == KILLED => vec![json!("incomplete"), json!("interrupted")],
        "success" | "interrupted" => vec![json!(outcome)],
        "build-error-then-success" => vec![json!("failure"), json!("success")],
        _ => vec![json!("failure")],
    };
    answers.is_one_of("outcome, exit status known", &known["outcome"], wanted);
    // An empty stream is that of a quiet success.
    if scenario != KILLED || !case.log.is_empty() {
        answers.is_one_of("outcome, from the stream alone", &filter["outcome"], wanted);
    }
    let stage = match outcome {
        "build-error" if ["11-", "12-", "13-"].iter().any(|kind| scenario.starts_with(kind)) => {
            Some(vec![json!("build"), json!("fetch")])
        }
        "build-error" => Some(vec![json!("build")]),
        "eval-error" => Some(vec![json!("evaluation")]),
        "activation-error" => Some(vec![json!("activation")]),
        _ => None,
    };
    if let Some(stage) = stage {
        answers.is_one_of("failed stage", &known["failed_stage"], &stage);
        answers.is_one_of("filter's failed stage", &filter["failed_stage"], &stage);
        let told = !failures(known).is_empty() && !failures(filter).is_empty();
        answers.is("a failure is reported", told, true);
    }
    if outcome == "success" {
        let told: Vec<&Value> =
            failures(known).iter().chain(failures(filter)).map(|f| &f["message"]).collect();
        answers.is("no false failure", json!(told), json!([]));
    }
    let activated = scenario.starts_with("26-") && ["success", "activation-error"].contains(&outcome);
    answers.is("an activation or none", !known["activation"].is_null(), activated);
    if scenario == "14-flake-update" {
        answers.is("flake inputs updated", known["flake_inputs"]["updated"].clone(), json!(["a"]));
    }
}

fn ask_of_counts(case: &Case, known: &Value, answers: &mut Answers) {
    let (truth, scenario) = (&case.truth, case.scenario());
    let Some(derivations) = truth.get("derivations") else { return };
    let (said, count) = (&known["counts"], |name: &str| derivations["counts"][name].as_u64().unwrap());
    let n_failed = failed(truth).len() as u64;
    // Human-readable output does not say when a build ends; in a success every build that began was built.
    let began = case.human
        && truth["outcome"] == "success"
        && scenario != HALF_SILENT
        && case.log.split(|b| *b == b'\n').any(|line| line.starts_with(b"building '/nix/store/"));
    if (began || !case.human) && scenario != LAST_RECORDS_LOST {
        answers.is("built", said["built"].clone(), count("built"));
    }
    if scenario != NO_MACHINE {
        let least = if scenario == UNNAMED_FAILURES { 1 } else { n_failed };
        answers.is_within("failed", &said["failed"], least, n_failed);
    }
    if case.human {
        return;
    }
    if scenario != LAST_RECORDS_LOST {
        let n = count("cancelled");
        let most = if scenario == UNNAMED_FAILURES { n + count("failed") - 1 } else { n };
        answers.is_within("cancelled", &said["cancelled"], n, most);
    }
    let n = count("substituted");
    let least = if scenario == COPIES_IN_FLIGHT { n - 2 } else { n };
    answers.is_within("fetched", &said["fetched"], least, n);
}

fn ask_of_failures(case: &Case, known: &Value, filter: &Value, answers: &mut Answers) {
    let (truth, scenario) = (&case.truth, case.scenario());
    let outcome = truth["outcome"].as_str().unwrap();
    let failed = failed(truth);
    if !failed.is_empty() && outcome.starts_with("build-error") {
        for (question, summary) in [("root causes", known), ("filter's root causes", filter)] {
            let mut names: Vec<&str> = failures(summary)
                .iter()
                .filter(|failure| failure["stage"] == "build")
                .filter_map(|failure| failure["name"].as_str())
                .collect();
            names.sort_unstable();
            let some = !names.is_empty() && names.iter().all(|name| failed.contains(name));
            let right = names == failed || scenario == UNNAMED_FAILURES && some;
            answers.holds(question, right, json!(names), json!(failed));
        }
    }
    let first = failures(known).first().unwrap_or(&Value::Null);
    if let Some(status) = truth.get("failed_exit_code") {
        answers.is("exit status of the builder", first["exit_status"].clone(), status.clone());
    }
    let evaluated = scenario.starts_with("09-") || scenario.starts_with("10-");
    if outcome == "eval-error" && evaluated && scenario != "09-eval-attr" {
        let old = NO_POSITION_UP_TO.iter().any(|version| truth["nix_version"] == *version);
        if !(old && NO_POSITION.contains(&scenario)) {
            let place = &first["location"];
            let right = place["file"].as_str().is_some_and(|file| !file.is_empty())
                && place["line"].as_u64().is_some_and(|line| line > 0);
            answers.holds("evaluation error has file and line", right, place.clone(), "a file and a line");
        }
        let message = first["message"].as_str().unwrap_or_default();
        let clean = !message.is_empty() && !message.contains(['\u{1b}', '\n']);
        answers.holds("message is one clean line", clean, message, "one clean line");
    }
}

/// The names of the root causes. Those refused for their system or features were never started, and yet are some.
fn failed(truth: &Value) -> Vec<&str> {
    let names = |list: &'static str, of: &'static str| {
        truth[of][list].as_array().into_iter().flatten().filter_map(Value::as_str)
    };
    let refused = names("not_started", "derivations").filter(|name| name.starts_with("needs-"));
    let mut failed: Vec<&str> =
        names("failed", "derivations").chain(refused).chain(names("failed", "derivations_known")).collect();
    failed.sort_unstable();
    failed
}

fn failures(summary: &Value) -> &[Value] {
    summary["failures"].as_array().unwrap()
}

fn ask_of_transcript(case: &Case, known: &Value, filter: &Value, answers: &mut Answers) {
    let truth = &case.truth;
    answers.is("outcome, exit status known", known["outcome"].clone(), truth["outcome"].clone());
    // The transcript of a run that was interrupted just stops.
    if truth["exit_code"] != 130 {
        answers.is("outcome, from the stream alone", filter["outcome"].clone(), truth["outcome"].clone());
    }
    let mut stages = vec![truth["failed_phase"].clone()];
    if truth["notes"].as_str().unwrap_or_default().contains("failed_phase null") {
        stages.push(Value::Null);
    }
    answers.is_one_of("failed stage", &known["failed_stage"], &stages);
    let activation = &known["activation"];
    let said = |list: &str| sorted(&activation["units"][list]);
    answers.is("failed units", said("failed"), sorted(&truth["failed_units"]));
    if truth["failed_phase"] == "activation" {
        answers.is("failed step", activation["failed_step"].clone(), truth["failed_step"].clone());
    }
    for (question, list) in [
        ("units started", "started"),
        ("units restarted", "restarted"),
        ("units stopped", "stopped"),
        ("units reloaded", "reloaded"),
    ] {
        answers.is(question, said(list), sorted(&truth["units"][list]));
    }
    let hints = sorted(&truth["log_hints"]);
    if !hints.is_empty() {
        let of_failures = failures(known).iter().map(|failure| &failure["log_hints"]);
        let told: BTreeSet<String> = of_failures
            .chain([&activation["log_hints"]])
            .flat_map(sorted)
            .filter_map(|hint| hint.as_str().map(str::to_owned))
            .collect();
        let has = |hint: &Value| hint.as_str().is_some_and(|hint| told.contains(hint));
        // Of a launchd agent any place will do: its plist is not in the stream.
        let launchd = hints.iter().any(|hint| hint.as_str().unwrap().contains("launchctl"));
        let right = if launchd { hints.iter().any(has) } else { hints.iter().all(has) };
        answers.holds("points at the right log", right, json!(told), json!(hints));
    }
    // nixos-rebuild, its rewrite and the program that both run are one tool.
    let tool = match truth["tool"].as_str().unwrap() {
        "nixos-rebuild-ng" | "switch-to-configuration" => "nixos-rebuild",
        tool => tool,
    };
    if !activation.is_null() {
        answers.is("tool", activation["tool"].clone(), tool);
    }
}

fn sorted(list: &Value) -> Vec<Value> {
    let mut list = list.as_array().cloned().unwrap_or_default();
    list.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    list
}
