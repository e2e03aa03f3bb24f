//! Meaning of Nix's error texts.
//!
//! Nix says only in words what failed: no record of its JSON log ties an error to an activity, and the words differ
//! between versions, between Nix, Lix and Determinate Nix, and between a daemon and a single-user store. This is the
//! one place that knows them. It reads the texts of `msg` records and of human-readable output alike, and is unaware of
//! activities and of other errors: whether an error was fatal is for the caller to find out.
//!
//! A new message is one line in `rules.rs`, a new kind one line in `kind.rs`.

mod crash;
mod ending;
mod kind;
mod layout;
mod limits;
mod location;
mod message;
mod rules;
#[cfg(test)]
mod tests;

pub use crash::{ends_with_crash, is_crash};
pub use ending::{ends_in_failure, fails_step, is_exception};
pub use kind::{FailureKind, Stage};
pub use location::Location;

use crate::template::Captures;
use layout::Layout;

use crate::escapes::{sanitize, strip_escapes};

/// Frames kept in an error.
const MAX_FRAMES: usize = 32;
/// Frames of the user's own files kept in an error.
const MAX_TRACE: usize = 8;
/// Derivations and paths kept of a list.
const MAX_LISTED: usize = 64;
/// Characters of a message that the rules look at.
const MAX_SUBJECT: usize = 8 * 1024;
/// Failures inside failures that are followed: `build of … failed: build of … failed: …`.
const MAX_NESTING: usize = 4;

/// An error as Nix printed it. All texts may contain terminal escapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorText<'a> {
    /// The text for people: `msg` of a record, or the lines of human-readable output that belong together.
    pub msg: &'a str,
    /// The message without `error:`, frames and indentation (`raw_msg` of a record).
    pub raw_msg: Option<&'a str>,
    /// File of the position; since 2.20 with `:LINE:COLUMN` at its end.
    pub file: Option<&'a str>,
    /// Line of the position, from 1; 0 is none.
    pub line: Option<u64>,
    /// Column of the position, from 1.
    pub column: Option<u64>,
    /// Frames of the record (`trace`, with `--show-trace` only), innermost first.
    pub trace: &'a [TraceFrame<'a>],
}

/// A frame as a record has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceFrame<'a> {
    /// The action that was under way: `while calling the 'throw' builtin`.
    pub raw_msg: &'a str,
    /// File of the position; since 2.20 with `:LINE:COLUMN` at its end.
    pub file: Option<&'a str>,
    /// Line of the position, from 1; 0 is none.
    pub line: Option<u64>,
    /// Column of the position, from 1.
    pub column: Option<u64>,
}

/// A frame of the evaluation in which an error occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The action that was under way, without the leading `…`.
    pub message: String,
    /// Its position.
    pub location: Option<Location>,
}

/// The hashes of a mismatch, as printed: `sha256-…` in base 64, in Nix 2.3 `sha256:…` in Nix's base 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashMismatch {
    /// The hash that the derivation or lock file gives.
    pub specified: String,
    /// The hash of what was produced or downloaded.
    pub got: String,
    /// The probable source of the file, which only Lix names.
    pub likely_url: Option<String>,
}

/// The meaning of an error. All texts are free of escapes and control characters, and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NixError {
    /// The kind of failure.
    pub kind: FailureKind,
    /// Path of the derivation that failed, if named.
    pub derivation: Option<String>,
    /// Path of an output, where the message names one: in 2.3 often in place of the derivation.
    pub output_path: Option<String>,
    /// Name of the derivation without digest and `.drv`. Where only an output path is named it is that path's name, so
    /// it ends in the output's name for outputs other than `out`.
    pub name: Option<String>,
    /// Every derivation of a message about several: `build of 'A', 'B' failed`.
    pub failed_derivations: Vec<String>,
    /// Exit status of the builder or of [`program`](Self::program).
    pub exit_status: Option<i32>,
    /// Signal that killed the builder or the program.
    pub signal: Option<i32>,
    /// URI of the machine that the message is about.
    pub machine: Option<String>,
    /// URL of a failed download, a cache or a flake.
    pub url: Option<String>,
    /// The program that failed: the post-build hook, `git`, the builder.
    pub program: Option<String>,
    /// Attribute that could not be built, as `nix flake check` names it: `checks.x86_64-linux.test`.
    pub attribute: Option<String>,
    /// The hashes of a mismatch.
    pub hashes: Option<HashMismatch>,
    /// Number of dependencies that failed.
    pub failed_dependencies: Option<u64>,
    /// One line that says what is wrong: of nested errors the innermost, of failed assertions the first.
    pub message: String,
    /// Further lines that say why, at most 12: code, hashes, required features, definitions of an option.
    pub details: Vec<String>,
    /// Position of the error, else of its innermost frame.
    pub location: Option<Location>,
    /// The best place in the user's own files rather than in nixpkgs. The line is missing where a module is only named.
    pub user_location: Option<Location>,
    /// Frames of the evaluation, innermost first, at most 32.
    pub frames: Vec<Frame>,
    /// Those of all frames that a reader looks at, if Nix was asked for a trace: in the user's own files, innermost
    /// first, each place once and not the one that stands for the error, at most 8. Where none is the user's they are
    /// the innermost.
    pub trace: Vec<Frame>,
    /// Nix has printed every frame there was: `--show-trace` would say no more.
    pub whole_trace: bool,
    /// The last lines of the build log, which Nix adds in human-readable output and through a daemon.
    pub log_tail: Vec<String>,
    /// The command that Nix gives for the whole log: `nix log /nix/store/….drv`.
    pub full_log: Option<String>,
}

impl NixError {
    fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            derivation: None,
            output_path: None,
            name: None,
            failed_derivations: Vec::new(),
            exit_status: None,
            signal: None,
            machine: None,
            url: None,
            program: None,
            attribute: None,
            hashes: None,
            failed_dependencies: None,
            message: String::new(),
            details: Vec::new(),
            location: None,
            user_location: None,
            frames: Vec::new(),
            trace: Vec::new(),
            whole_trace: false,
            log_tail: Vec::new(),
            full_log: None,
        }
    }

    /// Returns whether the failure only follows from others. Such an error is never a root cause.
    pub fn is_cascade(&self) -> bool {
        self.kind.is_cascade()
    }

    /// Returns one line on what to do next, where that is certain.
    ///
    /// Says more than [`FailureKind::advice`] where the message allows it.
    pub fn advice(&self) -> Option<&'static str> {
        let mentions = |text: &str| self.message.contains(text);
        match self.kind {
            FailureKind::KilledBySignal if self.signal == Some(9) => {
                Some("probably out of memory: use fewer jobs or cores (--max-jobs, --cores), or add memory")
            }
            FailureKind::EvalMissingFile if mentions("not tracked by Git") => {
                Some("git add the file: a flake sees only files that Git tracks")
            }
            FailureKind::EvalMissingFile if mentions("-source/") => {
                Some("if the file exists, git add it: a flake sees only files that Git tracks")
            }
            FailureKind::EvalMissingFile if mentions("Nix search path") => {
                Some("set NIX_PATH or pass -I, or use a flake input instead of <…>")
            }
            FailureKind::EvalThrow if mentions("unfree license") => {
                Some("allow it with nixpkgs.config.allowUnfree, or NIXPKGS_ALLOW_UNFREE=1 and --impure")
            }
            FailureKind::EvalThrow if mentions("marked as broken") => {
                Some("allow it with nixpkgs.config.allowBroken, or NIXPKGS_ALLOW_BROKEN=1 and --impure")
            }
            FailureKind::EvalThrow if mentions("marked as insecure") || mentions("known vulnerabilities") => {
                Some(
                    "allow it with nixpkgs.config.permittedInsecurePackages, or NIXPKGS_ALLOW_INSECURE=1 and --impure",
                )
            }
            // They are there.
            FailureKind::EvalInfiniteRecursion if self.whole_trace => None,
            kind => kind.advice(),
        }
    }
}

/// Returns whether a message is an error at all: `error: …`, or one of those that Nix 2.3 and the build hook print
/// without that.
///
/// Looks at the beginning of the text only. `warning: error: …` and `error (ignored): …` are none, nor is
/// `(use '--show-trace' …)`. The level of a record does not tell: `builtins.trace` writes at the level of errors, and so
/// may any builder.
pub fn is_error(msg: &str) -> bool {
    /// Long enough for a message with a store path and a machine in it.
    const LOOKED_AT: usize = 2048;
    /// Empty lines before the first one.
    const LINES: usize = 64;
    let mut rest = msg;
    for _ in 0..LINES {
        let (line, after) = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(at) => (rest[..at].strip_suffix('\r').unwrap_or(&rest[..at]), &rest[at + 1..]),
            None if rest.is_empty() => return false,
            None => (rest, ""),
        };
        rest = after;
        let line = strip_escapes(limits::cut(layout::shown(line), LOOKED_AT));
        let line = line.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if !line.is_empty() {
            return line.starts_with("error:") || rules::is_bare_error(line);
        }
    }
    false
}

/// Beginning of an error after which Nix goes on.
pub const IGNORED: &str = "error (ignored):";

/// Returns whether a line of human-readable output belongs to the error that began with the line `first`.
///
/// `previous` is the line before. Empty lines belong to an error only if more of it follows, so the caller holds them
/// back; this function says yes to them.
pub(crate) fn continues_error(first: &str, previous: &str, line: &str) -> bool {
    let line = strip_escapes(limits::clip(line));
    let line = line.trim_end();
    let first = strip_escapes(limits::clip(layout::shown(first)));
    let first = first.trim();
    let is_head = |first: &str| first.starts_with("error:") || first.starts_with(IGNORED);
    let previous = strip_escapes(limits::clip(previous));
    let previous = previous.trim_end();
    if line.is_empty() || line.starts_with("       ") {
        // 2.4 and later. In 2.3 a line of a log may be indented that much.
        return is_head(first) || !line.is_empty() && first.ends_with(':');
    }
    // 2.3: two spaces before lines of logs and paths, none before definitions of an option and frames.
    if line.starts_with("  ") {
        return first.ends_with(':') && !is_head(first);
    }
    if line.starts_with("- In `") {
        return first.starts_with("error:")
            && (previous.ends_with("Definition values:") || previous.starts_with("- In `"));
    }
    // Frames come first, and the message after the last of them.
    first.starts_with("error: while ")
        && (previous.starts_with("error: while ") || previous.starts_with("while "))
}

/// Returns the kind that a line of a build log gives away, where the error itself just says that the builder failed.
///
/// Known are a builder that does not exist and a full disk. In single-user JSON logs the line is the only sign of it.
pub fn kind_of_log_line(line: &str) -> Option<FailureKind> {
    let line = sanitize(limits::clip(line));
    let line = line.trim_start();
    // 2.8 lets the error through in the binary form in which the child hands it to Nix.
    let bare = || line.find("executing '").and_then(|at| line.get(at..));
    rules::classify_log_line(line).or_else(|| rules::classify_log_line(bare()?))
}

/// Reads an error.
///
/// Never fails: a text of unknown meaning is [`FailureKind::Unknown`] with the message Nix gave. The cost is linear in
/// the length of the text up to 256 KiB; of longer texts only beginning and end are read.
pub fn parse_error(text: &ErrorText<'_>) -> NixError {
    let mut layout = Layout::parse(text.msg);
    if let Some(raw) = text.raw_msg {
        let raw = Layout::parse_raw(raw);
        if raw.message.iter().any(|line| !line.trim().is_empty()) {
            layout.message = raw.message;
            layout.log_tail = raw.log_tail;
            layout.full_log = raw.full_log.or(layout.full_log);
        }
    }
    let in_record = !text.trace.is_empty();
    if in_record {
        layout.frames = text.trace.iter().take(layout::FRAMES).map(Frame::from_trace).collect();
    }
    let own_position = Location::from_fields(text.file, text.line, text.column)
        .or_else(|| layout.position.take())
        .or_else(|| message::take_position(&mut layout.message));

    let subject = message::subject(&layout.message, MAX_SUBJECT);
    let mut error = classify(&subject, 0);
    error.correct_by_frames(&layout, &subject);
    error.correct_by_log(&layout);
    error.locate(own_position, &layout, &subject);
    let checked = message::checked_output(&layout);
    error.whole_trace = in_record || !layout.frames.is_empty() && !layout.truncated;
    if in_record || error.whole_trace && layout.is_asked_for() {
        error.take_trace(&layout);
    }
    message::describe(&mut error, &layout, rules::innermost(&subject));
    if let Some(checked) = checked.filter(|_| error.kind.stage() == Some(Stage::Evaluation)) {
        error.details.insert(0, checked);
    }
    error.frames =
        std::mem::take(&mut layout.frames).into_iter().take(MAX_FRAMES).map(Frame::clean).collect();
    if error.message.is_empty() {
        // Cut off before the message, or made of nothing else.
        let frame = error.frames.first().map(|frame| frame.message.clone()).filter(|text| !text.is_empty());
        error.message = frame.unwrap_or_else(|| message::any_visible_line(text.msg, text.raw_msg));
    }
    error.log_tail = layout.log_tail;
    error.full_log = layout.full_log;
    error
}

impl Frame {
    fn from_trace(frame: &TraceFrame<'_>) -> Self {
        let mut frame = Self {
            message: sanitize(limits::clip(frame.raw_msg)).into_owned(),
            location: Location::from_fields(frame.file, frame.line, frame.column),
        };
        frame.split_name_position();
        frame
    }

    /// Takes the position out of `while evaluating derivation 'x' whose name attribute is located at POSITION`, which
    /// has no other (2.18 and later, and Lix).
    fn split_name_position(&mut self) {
        if self.location.is_none()
            && let Some((message, position)) = self.message.split_once("whose name attribute is located at ")
            && let Some(location) = location::position(position)
        {
            self.message = message.trim_end().to_owned();
            self.location = Some(location);
        }
    }

    fn clean(self) -> Self {
        Self { message: sanitize(self.message.trim()).into_owned(), location: self.location }
    }
}

/// Finds kind and names in a message that is free of escapes and of `error:`.
fn classify(subject: &str, nesting: usize) -> NixError {
    let Some((kind, captures)) = rules::classify(subject) else { return NixError::new(FailureKind::Unknown) };
    let mut error = NixError::new(kind);
    error.take_captures(&captures);
    match kind {
        FailureKind::BuildFailed if error.derivation.is_some() && captures.get("rest").is_none() => {
            error.take_reason(subject);
        }
        // Nix rejects a derivation for either reason with one text.
        FailureKind::PlatformMismatch if captures.get("system") == captures.get("own") => {
            error.kind = FailureKind::MissingFeature;
        }
        FailureKind::HashMismatch | FailureKind::InputHashMismatch | FailureKind::NarHashMismatch => {
            error.hashes = error.hashes.or_else(|| message::hashes(subject));
        }
        FailureKind::PostBuildHook | FailureKind::DownloadFailed => error.take_program(&captures),
        FailureKind::RemoteMachine => {
            if let Some(drv) = message::labelled(subject, "derivation:") {
                error.take_path(drv);
            }
        }
        _ => {}
    }
    if let Some(rest) = captures.get("rest")
        && kind != FailureKind::RemoteMachine
        && nesting < MAX_NESTING
    {
        let rest = rest.trim_start();
        let inner = classify(rest.strip_prefix("error:").unwrap_or(rest).trim_start(), nesting + 1);
        error.take_inner(inner);
    }
    error
}

impl NixError {
    fn take_captures(&mut self, captures: &Captures<'_>) {
        let text = |name| captures.get(name).map(|text| sanitize(limits::clip(text)).into_owned());
        if let Some(drv) = captures.get("drv") {
            self.take_path(drv);
        }
        if let Some(goal) = captures.get("goal") {
            // The name of a goal: `building of 'DRV^out' from .drv file`; or just the derivation's name.
            match message::quoted(goal).next() {
                Some(path) => self.take_path(path),
                None if !goal.contains(' ') => self.name = text("goal"),
                None => {}
            }
        }
        if let Some(out) = captures.get("out").filter(|out| out.starts_with('/')) {
            self.take_output(out);
        }
        if let Some(list) = captures.get("list") {
            let paths = message::quoted(list).filter_map(message::derivation_path).take(MAX_LISTED);
            self.failed_derivations = paths.collect();
            if let [one] = self.failed_derivations.as_slice() {
                self.take_path(&one.clone());
            }
        }
        self.exit_status = captures.number("exit");
        self.signal = captures.number("signal");
        self.machine = text("uri");
        self.url = text("url");
        self.program = text("program");
        self.attribute = text("attr");
        if self.kind == FailureKind::DependencyFailed {
            self.failed_dependencies = captures.number("n");
        }
        if let (Some(specified), Some(got)) = (text("specified"), text("got")) {
            self.hashes = Some(HashMismatch { specified, got, likely_url: None });
        }
    }

    /// Takes the path of a derivation, or of an output where a version names that instead.
    fn take_path(&mut self, path: &str) {
        if let Some(drv) = message::derivation_path(path) {
            self.name =
                message::store_name(&drv).map(|name| name.strip_suffix(".drv").unwrap_or(name).to_owned());
            self.derivation = Some(drv);
        } else {
            self.take_output(path);
        }
    }

    fn take_output(&mut self, path: &str) {
        if self.name.is_none() {
            let name = message::store_name(path);
            self.name = name.map(|name| sanitize(name.strip_suffix(".drv").unwrap_or(name)).into_owned());
        }
        if path.starts_with('/') {
            self.output_path.get_or_insert_with(|| sanitize(limits::clip(path)).into_owned());
        }
    }

    /// Takes what stands after `Reason:`, in Nix 2.29 and later.
    fn take_reason(&mut self, subject: &str) {
        let Some(reason) = message::labelled(subject, "Reason:") else { return };
        let Some((kind, captures)) = rules::classify_reason(reason) else { return };
        self.kind = kind;
        self.exit_status = captures.number("exit");
        self.signal = captures.number("signal");
        self.failed_dependencies = captures.number("n");
        if let Some(out) = captures.get("out") {
            self.take_output(out);
        }
        if kind == FailureKind::PlatformMismatch {
            let system =
                |label| message::labelled(subject, label).and_then(|line| line.split(" with ").next());
            let required = system("Required system:");
            if required.is_some() && required == system("Current system:") {
                self.kind = FailureKind::MissingFeature;
            }
        }
    }

    /// Tells the post-build hook, which is set by an absolute path, from what fetchers run.
    fn take_program(&mut self, captures: &Captures<'_>) {
        const FETCHERS: &[&str] = &["curl", "git", "git-lfs", "hg", "ssh", "svn", "tar", "unzip"];
        if self.kind == FailureKind::PostBuildHook
            && let Some(program) = captures.get("program")
        {
            let name = program.rsplit('/').next().unwrap_or(program);
            if FETCHERS.contains(&name) {
                self.kind = FailureKind::DownloadFailed;
            }
            self.program = self.program.take().map(|program| format!("/{program}"));
        }
    }

    /// Takes over what a failure inside this one says.
    fn take_inner(&mut self, inner: Self) {
        if inner.kind != FailureKind::Unknown {
            self.kind = inner.kind;
        }
        self.derivation = inner.derivation.or_else(|| self.derivation.take());
        self.output_path = inner.output_path.or_else(|| self.output_path.take());
        self.name = inner.name.or_else(|| self.name.take());
        self.exit_status = inner.exit_status;
        self.signal = inner.signal;
        self.machine = self.machine.take().or(inner.machine);
        self.url = inner.url;
        self.program = inner.program;
        self.attribute = self.attribute.take().or(inner.attribute);
        self.hashes = inner.hashes;
        self.failed_dependencies = inner.failed_dependencies;
    }

    /// Corrects the kind by what was being evaluated.
    fn correct_by_frames(&mut self, layout: &Layout, subject: &str) {
        if self.kind.stage() == Some(Stage::Build) || self.kind == FailureKind::EvalModuleOption {
            // A build that the evaluation needs (import from derivation) comes with frames as well.
            return;
        }
        let mut frames = layout.frames.iter();
        if frames.any(|frame| frame.message.starts_with("while evaluating the condition of the assertion")) {
            // 2.20 and later explain why the two sides of `==` differ, and no longer say that an assertion failed.
            if self.kind == FailureKind::Unknown && subject.contains(" is not equal to ") {
                self.kind = FailureKind::EvalAssertion;
                return;
            }
        }
        let innermost = layout.frames.first().map_or("", |frame| frame.message.as_str());
        if innermost.starts_with("while calling the 'throw' builtin") {
            self.kind = FailureKind::EvalThrow;
        } else if self.kind == FailureKind::Unknown {
            let fetching = |frame: &Frame| frame.message.starts_with("while fetching the input");
            if layout.frames.iter().any(fetching) {
                self.kind = FailureKind::DownloadFailed;
            } else if !layout.frames.is_empty() || layout.position.is_some() {
                self.kind = FailureKind::EvalOther;
            }
        }
    }

    /// Corrects the kind by what Nix or the builder says about the reason.
    fn correct_by_log(&mut self, layout: &Layout) {
        if !matches!(self.kind, FailureKind::BuilderFailed | FailureKind::KilledBySignal) {
            return;
        }
        let noted = layout.message.iter().any(|line| line.contains("caused by lack of free disk space"));
        if noted {
            self.kind = FailureKind::DiskFull;
        } else if let Some(kind) = layout.log_tail.iter().find_map(|line| rules::classify_log_line(line)) {
            self.kind = kind;
        }
    }

    /// Sets the positions.
    fn locate(&mut self, own: Option<Location>, layout: &Layout, subject: &str) {
        if own.is_some() && self.kind == FailureKind::Unknown {
            self.kind = FailureKind::EvalOther;
        }
        let frame_positions = || layout.frames.iter().filter_map(|frame| frame.location.as_ref());
        let in_text = || location::first_inline_position(subject).or_else(|| location::file_line(subject));
        let location = own.or_else(|| frame_positions().next().cloned()).or_else(in_text);

        let evaluates = self.kind.stage() == Some(Stage::Evaluation) || !layout.frames.is_empty();
        if evaluates {
            let named: Vec<Location> =
                location::module_files(subject).take(MAX_LISTED).map(Location::of_file).collect();
            let framed: Vec<Vec<Location>> = layout
                .frames
                .iter()
                .map(|frame| location::module_files(&frame.message).take(2).map(Location::of_file).collect())
                .collect();
            let mut places: Vec<&Location> = Vec::new();
            // An option's definitions say more than the place in the module system that found them wrong.
            if self.kind == FailureKind::EvalModuleOption {
                places.extend(&named);
            }
            places.extend(&location);
            for (frame, files) in layout.frames.iter().zip(&framed) {
                places.extend(&frame.location);
                places.extend(files);
            }
            // A missing file is named as well, but nobody can look there.
            if !matches!(self.kind, FailureKind::EvalModuleOption | FailureKind::EvalMissingFile) {
                places.extend(&named);
            }
            self.user_location = location::user_location(&places).cloned();
        }
        self.location = location;
    }

    /// Chooses the frames that are worth reading.
    fn take_trace(&mut self, layout: &Layout) {
        let at: Vec<&Location> = layout.frames.iter().filter_map(|frame| frame.location.as_ref()).collect();
        let places: Vec<&Location> = self.location.iter().chain(at.iter().copied()).collect();
        let own = location::own(&places);
        let mut seen: Vec<&Location> =
            self.user_location.as_ref().or(self.location.as_ref()).into_iter().collect();
        let mut take = |is_wanted: &dyn Fn(&Location) -> bool| {
            let mut frames = Vec::new();
            for frame in &layout.frames {
                if let Some(place) = &frame.location
                    && frames.len() < MAX_TRACE
                    && is_wanted(place)
                    && !seen.contains(&place)
                {
                    seen.push(place);
                    frames.push(frame.clone().clean());
                }
            }
            frames
        };
        let mut trace = take(&own);
        if trace.is_empty() && self.user_location.is_none() {
            trace = take(&|_| true);
        }
        self.trace = trace;
    }
}
