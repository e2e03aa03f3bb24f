//! Knowledge about what is built: the project's targets, the jobs of the command, and an earlier run of the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::Context;
use crate::nix_commands::behind_wrappers;
use nixmon_core::state::{DerivationId, Insight, Phase, State};
use nixmon_history::name::DrvName;
use nixmon_history::packages::BuildExtent;
use nixmon_history::record::{BuildOutcome, UnitRecord};
use nixmon_history::store::{Store, StoredRun};
use nixmon_progress::packages::{Disk, Origin, Project};
use nixmon_progress::{Hints, Past, PastUnit, Stage, Tool, jobs};
use nixmon_runs::Facts;

/// Earlier runs that are looked at for one that fits.
const RUNS: u32 = 12;
/// Share of a project's files that an earlier run must have compiled to be one of the same project.
const SAME: f64 = 0.6;
/// Questions that wait at most. Of further builds nothing is known from earlier ones.
const MOST_WAITING: usize = 256;

/// The command that builds, as far as it says what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    /// The words of the command.
    words: Vec<String>,
    /// The directory in which it runs.
    directory: PathBuf,
    /// The build directory that the user names.
    project: Option<PathBuf>,
}

impl Builder {
    /// Takes the words of a command, the directory in which it runs, and the build directory that the user names.
    pub(crate) fn new(words: &[String], directory: PathBuf, project: Option<PathBuf>) -> Self {
        Self { words: words.to_vec(), directory, project }
    }

    /// Takes the command of a run.
    pub(crate) fn of_run(facts: &Facts) -> Self {
        Self::new(&facts.command, PathBuf::from(&facts.directory), facts.project.as_ref().map(PathBuf::from))
    }

    /// Returns the build directory that the user names.
    pub(crate) fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// Returns the tool that the command runs.
    fn tool(&self) -> Option<Tool> {
        Tool::of_program(behind_wrappers(&self.words).first()?)
    }

    /// Lists the directories in which the project may be described, the best first.
    fn directories(&self) -> Vec<PathBuf> {
        if let Some(project) = &self.project {
            return vec![self.directory.join(project)];
        }
        let words = behind_wrappers(&self.words);
        let (names, own): (&[&str], bool) = match self.tool() {
            Some(Tool::CMake) => (&["--build"], false),
            Some(Tool::Ninja | Tool::Make) => (&["-C", "--directory"], true),
            _ => return Vec::new(),
        };
        let named = option(words, names).map(|name| self.directory.join(name));
        named.or_else(|| own.then(|| self.directory.clone())).into_iter().collect()
    }

    /// Lists the directories in which the tool writes down how long its steps took.
    pub(super) fn written_in(&self) -> Vec<PathBuf> {
        match self.tool() {
            Some(Tool::Cargo) => vec![self.directory.clone()],
            _ => self.directories(),
        }
    }

    fn read_project(&self) -> Option<Project> {
        if self.tool() == Some(Tool::Cargo) {
            return self.read_workspace();
        }
        let project = self.directories().iter().find_map(|directory| Project::read(&Disk::new(directory)))?;
        // A directory of sources may be built by something else.
        (self.project.is_some() || project.origin != Origin::CmakeLists).then_some(project)
    }

    /// Reads the crates of a workspace of which nothing is built yet: of what is built, cargo prints nothing, so that crates
    /// which are there already would count as work to be done.
    fn read_workspace(&self) -> Option<Project> {
        let is_elsewhere = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        if is_elsewhere || self.directory.ancestors().any(|above| above.join("target").is_dir()) {
            return None;
        }
        let mut project = crate::packages::cargo_project(&self.directory)
            .inspect_err(|reason| tracing::debug!(%reason, "cargo does not tell its crates"))
            .ok()?;
        // cargo prints one line for a crate, however many targets it has.
        project.targets.iter_mut().for_each(|target| target.sources.truncate(1));
        Some(project)
    }

    /// Reads what is known without a history.
    fn hints(&self) -> Hints {
        Hints {
            jobs: tool_jobs(&self.words),
            ninja_status: std::env::var("NINJA_STATUS").ok(),
            tools: self.tool().into_iter().collect(),
            project: self.read_project(),
            ..Hints::default()
        }
    }
}

/// Returns the number of jobs that a build tool's command line and its environment ask for.
pub(crate) fn tool_jobs(words: &[String]) -> Option<u32> {
    const VARIABLES: [&str; 4] =
        ["MAKEFLAGS", "CMAKE_BUILD_PARALLEL_LEVEL", "CARGO_BUILD_JOBS", "CTEST_PARALLEL_LEVEL"];
    let environment: BTreeMap<&str, String> =
        VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect();
    let words: Vec<&str> = behind_wrappers(words).iter().map(String::as_str).collect();
    jobs(&words, |name| environment.get(name).map(String::as_str))
}

/// Returns the value of an option in any of its forms: `-C DIR`, `-CDIR`, `--directory=DIR`.
fn option<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    let words = words.iter().map(String::as_str).take_while(|word| *word != "--");
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        for name in names {
            let Some(rest) = word.strip_prefix(name) else { continue };
            match rest.strip_prefix('=') {
                Some(value) if name.starts_with("--") => return Some(value),
                None if rest.is_empty() => return words.next(),
                None if !name.starts_with("--") => return Some(rest),
                _ => {}
            }
        }
    }
    None
}

/// Something of which more may be known.
#[derive(Debug)]
enum Question {
    /// The command.
    Command,
    /// A build of a derivation.
    Build { id: DerivationId, path: String, name: String },
}

/// The answer to a question.
#[derive(Debug)]
pub(crate) struct Learned {
    /// The path of the derivation; `None` is the command.
    pub(crate) derivation: Option<String>,
    /// The facts.
    pub(crate) insight: Insight,
}

/// Finds out what is known of what is built, beside a pipeline.
pub(crate) struct Insights {
    engine: Engine,
    asked: BTreeSet<DerivationId>,
    /// A project was looked for once its configuration had ended.
    looked_again: bool,
    /// Facts about the command come from elsewhere.
    is_told: bool,
}

enum Engine {
    Here(Box<Finder>),
    Thread { questions: SyncSender<Question>, answers: Receiver<Learned> },
}

impl std::fmt::Debug for Insights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insights").field("asked", &self.asked.len()).finish_non_exhaustive()
    }
}

impl Insights {
    /// Makes one that answers at once, for a replay. `is_told`: the recording has the facts about the command.
    pub(crate) fn here(context: Option<&Context>, builder: Builder, is_told: bool) -> Self {
        Self::new(Engine::Here(Box::new(Finder::new(context, builder))), is_told)
    }

    /// Makes one that works on a thread, and asks about the command. Without the thread nothing is known.
    pub(crate) fn beside(context: Option<&Context>, builder: Builder) -> Option<Self> {
        let (questions, todo) = sync_channel::<Question>(MOST_WAITING);
        let (said, answers) = sync_channel(MOST_WAITING);
        let context = context.cloned();
        let work = move || {
            let mut finder = Finder::new(context.as_ref(), builder);
            while let Ok(question) = todo.recv() {
                if let Some(known) = finder.answer(question)
                    && said.send(known).is_err()
                {
                    return;
                }
            }
        };
        thread::Builder::new().name("insights".to_owned()).spawn(work).ok()?;
        // There is room for the first question.
        let _ = questions.try_send(Question::Command);
        Some(Self::new(Engine::Thread { questions, answers }, false))
    }

    fn new(engine: Engine, is_told: bool) -> Self {
        Self { engine, asked: BTreeSet::new(), looked_again: false, is_told }
    }

    /// Returns what is known of the command of a replay, before its first step.
    pub(crate) fn of_command(&mut self) -> Option<Learned> {
        match &mut self.engine {
            Engine::Here(finder) if !self.is_told => finder.answer(Question::Command),
            _ => None,
        }
    }

    /// Asks about builds that have begun. Returns what has become known.
    pub(crate) fn tick(&mut self, state: &State) -> Vec<Learned> {
        if state.phase() == Phase::Done {
            return Vec::new();
        }
        let mut questions = Vec::new();
        for (id, derivation) in state.derivations().building() {
            if self.asked.insert(id) {
                let (path, name) = (derivation.path.to_string(), derivation.name().to_owned());
                questions.push(Question::Build { id, path, name });
            }
        }
        let compiles = || state.plain_scope()?.unit().map(|unit| unit.stage == Stage::Compile);
        if !self.looked_again && !self.is_told && compiles() == Some(true) {
            self.looked_again = true;
            questions.push(Question::Command);
        }
        match &mut self.engine {
            Engine::Here(finder) => {
                questions.into_iter().filter_map(|question| finder.answer(question)).collect()
            }
            Engine::Thread { questions: sender, answers } => {
                for question in questions {
                    // A build about which nothing is asked is read without its past.
                    let _ = sender.try_send(question);
                }
                answers.try_iter().collect()
            }
        }
    }
}

/// Looks into the project and the history.
struct Finder {
    builder: Builder,
    target: Option<String>,
    store: Option<Store>,
    /// Names of derivations of which units are known, by their name without the version.
    scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The command was answered, with a project.
    had_project: Option<bool>,
}

impl Finder {
    fn new(context: Option<&Context>, builder: Builder) -> Self {
        let store = context.and_then(|context| {
            Store::open_read_only(&context.path)
                .inspect_err(|error| tracing::debug!(%error, "no past is read"))
                .ok()
        });
        let target = context.and_then(|context| context.subject.target.clone());
        Self { builder, target, store, scopes: None, had_project: None }
    }

    fn answer(&mut self, question: Question) -> Option<Learned> {
        match question {
            Question::Command => self
                .command()
                .map(|hints| Learned { derivation: None, insight: Insight { scope: None, hints } }),
            Question::Build { id, path, name } => self.build(&name).map(|past| Learned {
                derivation: Some(path),
                insight: Insight { scope: Some(id), hints: Hints { past: Some(past), ..Hints::default() } },
            }),
        }
    }

    /// Returns what is known of the command. Asked again, only a project is news.
    fn command(&mut self) -> Option<Hints> {
        if self.had_project == Some(true) {
            return None;
        }
        let is_first = self.had_project.is_none();
        let mut hints = self.builder.hints();
        self.had_project = Some(hints.project.is_some());
        if !is_first && hints.project.is_none() {
            return None;
        }
        let is_builder = self.builder.tool().is_some_and(|tool| !tool.downloads());
        if is_builder || hints.project.is_some() {
            hints.past = self.past_of_command(hints.project.as_ref());
        }
        (!hints.is_empty()).then_some(hints)
    }

    /// Finds the newest full run of the same target, else of the same project.
    fn past_of_command(&self, project: Option<&Project>) -> Option<Past> {
        let store = self.store.as_ref()?;
        let target = self.target.as_deref();
        let of_target = target.and_then(|target| self.newest(store, Some(target), project));
        // A project is known by its files, whatever the command was called.
        of_target.or_else(|| self.newest(store, None, Some(project?)))
    }

    fn newest(&self, store: &Store, target: Option<&str>, project: Option<&Project>) -> Option<Past> {
        let runs = store.runs_with_units(target, None, RUNS).ok()?;
        // One by one: of a known project the newest full run is enough.
        let mut compiled = runs.into_iter().filter_map(|run| {
            let units = compiles_of(store.units(&run).ok()?, None);
            (!units.is_empty()).then_some((run, units))
        });
        let is_full =
            |units: &[UnitRecord], n_files| BuildExtent::of(units.len() as u64, n_files) == BuildExtent::Full;
        let (run, units) = match project {
            Some(project) => {
                let (files, n_files) = (file_names(project), n_expected(project));
                compiled.find(|(_, units)| is_of_project(units, &files) && is_full(units, n_files))?
            }
            None => {
                let all: Vec<(StoredRun, Vec<UnitRecord>)> = compiled.collect();
                let n_files = all.iter().map(|(_, units)| units.len() as u64).max()?;
                all.into_iter().find(|(_, units)| is_full(units, n_files))?
            }
        };
        past(run.record.elapsed_ms?, 0, units)
    }

    /// Finds the newest build of a derivation of this name, else of the same name with another version.
    fn build(&mut self, name: &str) -> Option<Past> {
        let store = self.store.as_ref()?;
        let scopes = self.scopes.get_or_insert_with(|| {
            let mut scopes = BTreeMap::<String, Vec<String>>::new();
            for scope in store.unit_scopes().unwrap_or_default() {
                scopes.entry(DrvName::parse(&scope).pname).or_default().push(scope);
            }
            scopes
        });
        let candidates = scopes.get(&DrvName::parse(name).pname)?;
        let scope = candidates.iter().find(|scope| *scope == name).or(candidates.last())?;
        let run = store.runs_with_units(None, Some(scope), 1).ok()?.into_iter().next()?;
        let build = store.builds(&run).ok()?.into_iter().find(|build| build.name == *scope)?;
        if build.outcome != BuildOutcome::Built {
            return None;
        }
        let units = compiles_of(store.units(&run).ok()?, Some(scope));
        past(build.elapsed_ms, build.started_ms, units)
    }
}

/// Keeps the units of a scope that compiled something.
fn compiles_of(units: Vec<UnitRecord>, scope: Option<&str>) -> Vec<UnitRecord> {
    let is_wanted = |unit: &UnitRecord| {
        unit.scope.as_deref() == scope
            && unit.outcome == BuildOutcome::Built
            && unit.stage.as_deref().is_none_or(|stage| stage == "compile")
    };
    units.into_iter().filter(is_wanted).collect()
}

/// Makes the past of units whose scope began at a moment of its run.
fn past(elapsed_ms: u64, begun_ms: u64, units: Vec<UnitRecord>) -> Option<Past> {
    let units = units.into_iter().map(|unit| PastUnit {
        package: unit.package,
        file: unit.file,
        started: Duration::from_millis(unit.started_ms.saturating_sub(begun_ms)),
        elapsed: Duration::from_millis(unit.elapsed_ms),
    });
    Past::new(Duration::from_millis(elapsed_ms), units)
}

fn base_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// Returns the number of files that a build of the project compiles.
fn n_expected(project: &Project) -> u64 {
    let expected = project.targets.iter().filter(|target| project.is_expected(target));
    expected.map(|target| target.sources.len() as u64).sum()
}

/// Lists the names of a project's sources, without their directories.
fn file_names(project: &Project) -> BTreeSet<&str> {
    project.targets.iter().flat_map(|target| &target.sources).map(|source| base_name(&source.path)).collect()
}

/// Returns whether units are those of a project: most of them are among its files.
fn is_of_project(units: &[UnitRecord], files: &BTreeSet<&str>) -> bool {
    let compiled: BTreeSet<&str> = units.iter().map(|unit| base_name(&unit.file)).collect();
    let n_found = compiled.iter().filter(|name| files.contains(*name)).count();
    n_found as f64 >= SAME * compiled.len() as f64 && !compiled.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_directory_of_a_project_is_found() {
        let check = |line: &str, expected: Option<&str>| {
            let builder = Builder::new(&words(line), PathBuf::from("/src"), None);
            let found = builder.directories().first().map(|directory| directory.display().to_string());
            assert_eq!(found.as_deref(), expected, "{line}");
        };
        check("make -j4", Some("/src"));
        check("make -C build -j4", Some("/src/build"));
        check("make -Cbuild", Some("/src/build"));
        check("make --directory=/abs/build", Some("/abs/build"));
        check("ninja -C out all", Some("/src/out"));
        check("cmake --build build -j8", Some("/src/build"));
        check("cmake --build=build", Some("/src/build"));
        check("cmake -S . -B build", None);
        check("cmake -P script.cmake", None);
        check("nice -n 10 env CC=clang make -C b", Some("/src/b"));
        check("nix build .#x", None);
        check("sh -c make", None);
        check("cargo build", None);
        let named = Builder::new(&words("sh -c make"), PathBuf::from("/src"), Some(PathBuf::from("b")));
        assert_eq!(named.directories(), [PathBuf::from("/src/b")]);
    }
}
