//! The kinds of failure, and what each of them says about stage and remedy.

use std::fmt;

/// Part of a run in which something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading and evaluating expressions, including flakes and their lock files.
    Evaluation,
    /// Downloads: flake inputs, files, substitutes.
    Fetch,
    /// Building derivations, here or on another machine.
    Build,
    /// The steps that home-manager, NixOS, nix-darwin and the like take after the build. No error of Nix has this stage.
    Activation,
    /// A command that neither evaluates nor builds: `nix log`, `nix copy`, `nix path-info`, `nix store`.
    Command,
}

impl Stage {
    /// Returns the name used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::Activation => "activation",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A property of kinds, written in lower case in the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trait {
    /// See [`FailureKind::is_cascade`].
    Cascade,
    /// See [`FailureKind::is_survivable`].
    Survivable,
    /// See [`FailureKind::may_lack_name`].
    Nameless,
    /// See [`FailureKind::is_told_by_message`].
    Logless,
    /// See [`FailureKind::is_told_by_phrase`].
    Plain,
    /// See [`FailureKind::refuses_path`].
    Refusal,
    /// See [`FailureKind::is_of_tool`].
    Tool,
    /// Nothing is known about such an error.
    Vague,
}

/// One row per kind: variant, name in reports, stage, traits, what became of the derivation, advice.
macro_rules! failure_kinds {
    ($(
        $(#[doc = $doc:expr])+
        $variant:ident $name:literal $stage:ident [$($trait:ident),*] $phrase:literal $advice:expr;
    )+) => {
        /// Meaning of an error, independent of Nix's version and wording.
        ///
        /// The names are part of the reports: a kind is never renamed, and readers must accept names they do not
        /// know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FailureKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl FailureKind {
            /// Every kind, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the kebab-case name used in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Returns the stage that the kind implies; none where it can happen anywhere.
            pub fn stage(self) -> Option<Stage> {
                match self { $(Self::$variant => failure_kinds!(@stage $stage)),+ }
            }

            fn traits(self) -> &'static [Trait] {
                match self { $(Self::$variant => &[$(failure_kinds!(@trait $trait)),*]),+ }
            }

            /// Returns what became of the derivation, as a verb phrase: `timed out`.
            pub fn phrase(self) -> &'static str {
                match self { $(Self::$variant => $phrase),+ }
            }

            /// Returns one line on what to do next, only where that is certain and useful.
            pub fn advice(self) -> Option<&'static str> {
                match self { $(Self::$variant => $advice),+ }
            }
        }
    };
    (@trait cascade) => { Trait::Cascade };
    (@trait survivable) => { Trait::Survivable };
    (@trait nameless) => { Trait::Nameless };
    (@trait logless) => { Trait::Logless };
    (@trait plain) => { Trait::Plain };
    (@trait refusal) => { Trait::Refusal };
    (@trait tool) => { Trait::Tool };
    (@trait vague) => { Trait::Vague };
    (@stage Anywhere) => { None };
    (@stage $stage:ident) => { Some(Stage::$stage) };
}

failure_kinds! {
    /// The builder exited with a status other than zero.
    BuilderFailed "builder-failed" Build [nameless, plain] "failed" None;
    /// The builder died of a signal.
    KilledBySignal "killed-by-signal" Build [nameless, plain] "was killed" None;
    /// A fixed-output derivation produced other content than its hash says.
    HashMismatch "hash-mismatch" Build [logless, plain] "does not match its specified hash"
        Some("if you trust the new content, replace the specified hash with the one after `got`");
    /// The build took longer than `timeout`.
    Timeout "timeout" Build [nameless, plain] "timed out" Some("raise it with --timeout SECONDS, or look for what hangs");
    /// The build printed nothing for longer than `max-silent-time`.
    SilentTimeout "silent-timeout" Build [nameless, plain] "was silent for too long" Some("raise it with --max-silent-time SECONDS, or look for what hangs");
    /// The build log exceeded `max-build-log-size`.
    LogTooLong "log-too-long" Build [nameless, plain] "printed too much" Some("raise max-build-log-size, or make the build print less");
    /// The builder succeeded without making one of its outputs.
    NoOutput "no-output" Build [nameless, plain] "did not produce its output" Some("the builder must create $out and every other output before it exits");
    /// A second build (`--check`) gave a different output.
    NotDeterministic "not-deterministic" Build [logless] "is not deterministic" Some("build with --keep-failed to compare both outputs");
    /// The derivation is for another system than this machine's.
    PlatformMismatch "platform-mismatch" Build [logless] "requires another system"
        Some("build on a machine of the required system, or add one to `builders`");
    /// The derivation requires a system feature that is not available, such as `kvm`.
    MissingFeature "missing-feature" Build [logless] "requires a feature that is missing"
        Some("add the required feature to system-features, here or on a build machine that has it");
    /// `max-jobs` is 0 and no other machine took the build.
    LocalBuildsDisabled "local-builds-disabled" Build [] "has no machine to build on" Some("allow local builds with --max-jobs, or add a build machine");
    /// No build could be started: no machine has what is required.
    NoMachine "no-machine" Build [] "has no machine to build on" Some("check `builders` and that the machines can be reached, or allow local builds");
    /// There was no free disk space left.
    DiskFull "disk-full" Anywhere [plain] "failed: the disk is full" Some("free disk space: nix-collect-garbage, or a larger build directory");
    /// The outputs could not be substituted, and building instead is not allowed without `--fallback`.
    SubstitutionFailed "substitution-failed" Fetch [plain] "could not be fetched" Some("try again, or build from source with --fallback");
    /// No substituter has the path. Nix may go on and build it.
    NoSubstituter "no-substituter" Fetch [survivable] "failed" None;
    /// A download failed: a substitute, a file, a flake input, a Git repository.
    DownloadFailed "download-failed" Fetch [survivable] "failed" None;
    /// The binary cache lists a path but lacks its archive. Not fatal: Nix builds the path.
    MissingNar "missing-nar" Fetch [survivable] "failed" None;
    /// The archive of a substitute cannot be unpacked. Nix may go on to another cache, or build the path.
    CorruptNar "corrupt-nar" Fetch [survivable] "failed" None;
    /// The archive of a substitute differs from the cache's description of it.
    NarHashMismatch "nar-hash-mismatch" Fetch [refusal] "failed" None;
    /// A substitute has no signature that this machine trusts.
    MissingSignature "missing-signature" Fetch [refusal] "failed"
        Some("add the cache's key to trusted-public-keys, or have the path signed");
    /// A flake input or a file fetched during evaluation has another hash than the one given for it.
    InputHashMismatch "input-hash-mismatch" Fetch [] "failed"
        Some("if you trust the new content, update the input in the lock file or the hash in the expression");
    /// A build machine could not be used. Nix tries the next one, or builds here.
    RemoteMachine "remote-machine" Build [survivable] "failed" None;
    /// A build on another machine failed for a reason that is not told.
    RemoteBuildFailed "remote-build-failed" Build [] "failed" None;
    /// The post-build hook failed. The derivation itself was built.
    PostBuildHook "post-build-hook" Build [] "was built, but its post-build hook failed" Some("the build itself succeeded; run the hook's program by hand to see why it fails");
    /// An output refers to a path that it must not refer to.
    ForbiddenReference "forbidden-reference" Build [nameless, logless] "refers to a forbidden path" Some("find the reference with: nix why-depends --precise");
    /// The outputs of a derivation refer to each other in a cycle.
    OutputCycle "output-cycle" Build [nameless, logless] "has outputs that refer to each other" Some("move what both outputs share into one of them, or into a third");
    /// An output failed another check: too large, wrong permissions, a bad reference specifier.
    OutputRejected "output-rejected" Build [nameless, logless] "failed" None;
    /// The builder could not be executed.
    BadBuilder "bad-builder" Build [nameless, plain] "has a builder that cannot be run" Some("the builder or its interpreter does not exist inside the sandbox");
    /// A build failed for a reason this program does not know.
    BuildFailed "build-failed" Build [nameless] "failed" None;
    /// A dependency failed, so this derivation was not built. Never a root cause.
    DependencyFailed "dependency-failed" Build [cascade] "failed" None;
    /// Summary of failures named before. Never a root cause.
    BuildsFailed "builds-failed" Build [cascade] "failed" None;
    /// Nix itself gave up because of something it did not expect.
    NixAborted "nix-aborted" Anywhere [] "failed" None;
    /// A file of the profile would come from two packages.
    ProfileConflict "profile-conflict" Anywhere [] "failed" Some("remove one of the packages, or give one of them another priority");
    /// A database of Nix is locked by another process. Nix waits and tries again.
    StoreBusy "store-busy" Anywhere [survivable] "failed" None;
    /// A file or directory may not be read or written.
    PermissionDenied "permission-denied" Anywhere [] "failed" None;
    /// The Nix daemon could not be reached, or went away.
    DaemonConnection "daemon-connection" Anywhere [] "failed" Some("check that nix-daemon runs");
    /// The store or its database is damaged, or lacks a path.
    StoreError "store-error" Anywhere [] "failed" None;
    /// A command could not do what it was asked for, and nothing was to be built.
    CommandFailed "command-failed" Command [] "failed" None;
    /// A program that Nix calls is not installed.
    MissingProgram "missing-program" Anywhere [] "failed" None;

    /// A compiler rejected a source.
    CompileError "compile-error" Build [tool] "failed" None;
    /// A linker could not make a program or library.
    LinkError "link-error" Build [tool] "failed" None;
    /// The configuration of a build failed: CMake, Meson, `configure`.
    ConfigureError "configure-error" Build [tool] "failed" None;
    /// Tests failed.
    TestFailure "test-failure" Build [tool] "failed" None;

    /// The expression cannot be parsed.
    EvalSyntax "eval-syntax" Evaluation [] "failed" None;
    /// A variable is not defined.
    EvalUndefinedVariable "eval-undefined-variable" Evaluation [] "failed" None;
    /// An attribute set lacks an attribute.
    EvalMissingAttribute "eval-missing-attribute" Evaluation [] "failed" None;
    /// An `assert` failed.
    EvalAssertion "eval-assertion" Evaluation [] "failed" None;
    /// The expression called `throw`, as packages do that are broken, insecure or not free.
    EvalThrow "eval-throw" Evaluation [] "failed" None;
    /// The expression called `abort`.
    EvalAbort "eval-abort" Evaluation [] "failed" None;
    /// A value has the wrong type, or an operation cannot be done with it.
    EvalType "eval-type" Evaluation [] "failed" None;
    /// A value depends on itself.
    EvalInfiniteRecursion "eval-infinite-recursion" Evaluation [] "failed"
        Some("run again with --show-trace to see which values depend on each other");
    /// Functions call each other too deeply.
    EvalStackOverflow "eval-stack-overflow" Evaluation [] "failed"
        Some("look for a recursion without an end, or raise max-call-depth");
    /// A module option does not exist, has the wrong type or conflicting values, or an assertion of a module failed.
    EvalModuleOption "eval-module-option" Evaluation [] "failed" None;
    /// A file does not exist, or is not tracked by Git and so not part of the flake.
    EvalMissingFile "eval-missing-file" Evaluation [] "failed" None;
    /// The expression does what pure or restricted evaluation forbids.
    EvalImpure "eval-impure" Evaluation [] "failed" Some("make the expression pure, or evaluate with --impure");
    /// The expression needs a build to go on, and `allow-import-from-derivation` is off.
    EvalNeedsBuild "eval-needs-build" Evaluation [] "failed"
        Some("allow it with --option allow-import-from-derivation true, or avoid the import from a derivation");
    /// A function was called without a required argument, or with one that it does not take.
    EvalCall "eval-call" Evaluation [] "failed" None;
    /// Summary of errors of the evaluation that were named before. Never a root cause.
    EvalErrors "eval-errors" Evaluation [cascade] "failed" None;
    /// Another error of the evaluation.
    EvalOther "eval-other" Evaluation [] "failed" None;
    /// A flake lacks the attribute that was asked for.
    FlakeMissingAttribute "flake-missing-attribute" Evaluation [] "failed" Some("list what the flake has with: nix flake show");
    /// A flake cannot be found.
    FlakeNotFound "flake-not-found" Evaluation [] "failed" None;
    /// A flake or its lock file is not as it must be.
    FlakeError "flake-error" Evaluation [] "failed" None;

    /// An experimental feature is needed and not enabled.
    FeatureDisabled "feature-disabled" Anywhere [] "failed" Some("enable it with --extra-experimental-features, or in nix.conf");
    /// The command line is wrong.
    Usage "usage" Anywhere [] "failed" None;
    /// The user, or a signal, ended the run.
    Interrupted "interrupted" Anywhere [] "failed" None;
    /// An error of unknown meaning.
    Unknown "unknown" Anywhere [vague] "failed" None;
}

/// Traits of kinds, by which a run is judged.
impl FailureKind {
    /// The failure only follows from another one: a dependency's, or those that a summary repeats.
    pub fn is_cascade(self) -> bool {
        self.has(Trait::Cascade)
    }

    /// Nix may go on after such an error and still succeed.
    pub fn is_survivable(self) -> bool {
        self.has(Trait::Survivable)
    }

    /// The message may lack the derivation, which is then the build that ended.
    pub fn may_lack_name(self) -> bool {
        self.has(Trait::Nameless)
    }

    /// The failure happens after the builder is done, or before it, so the build's log does not say why.
    pub fn is_told_by_message(self) -> bool {
        self.has(Trait::Logless)
    }

    /// The message says no more than [`phrase`](Self::phrase) and the numbers with it.
    pub fn is_told_by_phrase(self) -> bool {
        self.has(Trait::Plain)
    }

    /// A build tool or compiler reports it, in a command that is not Nix. No error of Nix has such a kind.
    pub fn is_of_tool(self) -> bool {
        self.has(Trait::Tool)
    }

    /// The store did not accept the path that the message names.
    pub fn refuses_path(self) -> bool {
        self.has(Trait::Refusal)
    }

    /// Returns how little the kind says: 0 for a cause, 1 for an error that need not have been fatal, 2 for a repetition.
    pub fn vagueness(self) -> u8 {
        if self.is_cascade() { 2 } else { u8::from(self.is_survivable() || self.has(Trait::Vague)) }
    }

    fn has(self, wanted: Trait) -> bool {
        self.traits().contains(&wanted)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
