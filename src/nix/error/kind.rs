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
    /// What home-manager, NixOS, nix-darwin and the like do after the build. No error of Nix has this stage.
    Activation,
}

impl Stage {
    /// Returns the name used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::Activation => "activation",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row per kind: variant, name in reports, stage, advice.
macro_rules! failure_kinds {
    ($($(#[doc = $doc:expr])+ $variant:ident $name:literal $stage:ident $advice:expr;)+) => {
        /// What an error means, independent of Nix's version and wording.
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

            /// Returns one line on what to do next, only where that is certain and useful.
            pub fn advice(self) -> Option<&'static str> {
                match self { $(Self::$variant => $advice),+ }
            }
        }
    };
    (@stage Anywhere) => { None };
    (@stage $stage:ident) => { Some(Stage::$stage) };
}

failure_kinds! {
    /// The builder exited with a status other than zero.
    BuilderFailed "builder-failed" Build None;
    /// The builder died of a signal.
    KilledBySignal "killed-by-signal" Build None;
    /// A fixed-output derivation produced other content than its hash says.
    HashMismatch "hash-mismatch" Build
        Some("if the new content is to be trusted, put the hash after `got` in place of the specified one");
    /// The build took longer than `timeout`.
    Timeout "timeout" Build Some("raise it with --timeout SECONDS, or look for what hangs");
    /// The build printed nothing for longer than `max-silent-time`.
    SilentTimeout "silent-timeout" Build Some("raise it with --max-silent-time SECONDS, or look for what hangs");
    /// The build log exceeded `max-build-log-size`.
    LogTooLong "log-too-long" Build Some("raise max-build-log-size, or make the build print less");
    /// The builder succeeded without making one of its outputs.
    NoOutput "no-output" Build Some("the builder must create $out and every other output before it exits");
    /// A second build (`--check`) gave a different output.
    NotDeterministic "not-deterministic" Build Some("build with --keep-failed to compare both outputs");
    /// The derivation requires another system than this machine's.
    PlatformMismatch "platform-mismatch" Build
        Some("build on a machine of the required system, or add one to `builders`");
    /// The derivation requires a system feature that is not available, such as `kvm`.
    MissingFeature "missing-feature" Build
        Some("add the required feature to system-features, here or on a build machine that has it");
    /// `max-jobs` is 0 and no other machine took the build.
    LocalBuildsDisabled "local-builds-disabled" Build Some("allow local builds with --max-jobs, or add a build machine");
    /// No build could be started: no machine has what is required.
    NoMachine "no-machine" Build Some("check `builders` and that the machines can be reached, or allow local builds");
    /// There was no free disk space left.
    DiskFull "disk-full" Anywhere Some("free disk space: nix-collect-garbage, or a larger build directory");
    /// The outputs could not be substituted, and building instead is not allowed without `--fallback`.
    SubstitutionFailed "substitution-failed" Fetch Some("try again, or build from source with --fallback");
    /// No substituter has the path. Nix may go on and build it.
    NoSubstituter "no-substituter" Fetch None;
    /// A download failed: a substitute, a file, a flake input, a Git repository.
    DownloadFailed "download-failed" Fetch None;
    /// The binary cache lists a path but lacks its archive. Not fatal: Nix builds the path.
    MissingNar "missing-nar" Fetch None;
    /// The archive of a substitute differs from the cache's description of it.
    NarHashMismatch "nar-hash-mismatch" Fetch None;
    /// A substitute has no signature that this machine trusts.
    MissingSignature "missing-signature" Fetch
        Some("add the cache's key to trusted-public-keys, or have the path signed");
    /// A flake input or a file fetched during evaluation has another hash than the one given for it.
    InputHashMismatch "input-hash-mismatch" Fetch
        Some("if the new content is to be trusted, update the input in the lock file or the hash in the expression");
    /// A build machine could not be used. Nix tries the next one, or builds here.
    RemoteMachine "remote-machine" Build None;
    /// A build on another machine failed for a reason that is not told.
    RemoteBuildFailed "remote-build-failed" Build None;
    /// The post-build hook failed. The derivation itself was built.
    PostBuildHook "post-build-hook" Build Some("the build itself succeeded; run the hook's program by hand to see why it fails");
    /// An output refers to a forbidden path.
    ForbiddenReference "forbidden-reference" Build Some("find the reference with: nix why-depends --precise");
    /// The outputs of a derivation refer to each other in a cycle.
    OutputCycle "output-cycle" Build Some("move what both outputs share into one of them, or into a third");
    /// An output failed another check: too large, wrong permissions, a bad reference specifier.
    OutputRejected "output-rejected" Build None;
    /// The builder could not be executed.
    BadBuilder "bad-builder" Build Some("the builder or its interpreter does not exist inside the sandbox");
    /// A build failed for a reason this program does not know.
    BuildFailed "build-failed" Build None;
    /// A dependency failed, so this derivation was not built. Never a root cause.
    DependencyFailed "dependency-failed" Build None;
    /// Summary of failures named before. Never a root cause.
    BuildsFailed "builds-failed" Build None;
    /// Nix itself gave up because of something it did not expect.
    NixAborted "nix-aborted" Anywhere None;
    /// A file of the profile would come from two packages.
    ProfileConflict "profile-conflict" Anywhere Some("remove one of the packages, or give one of them another priority");
    /// A database of Nix is locked by another process. Nix waits and tries again.
    StoreBusy "store-busy" Anywhere None;
    /// A file or directory may not be read or written.
    PermissionDenied "permission-denied" Anywhere None;
    /// The Nix daemon could not be reached, or went away.
    DaemonConnection "daemon-connection" Anywhere Some("check that nix-daemon runs");
    /// The store or its database is damaged, or lacks a path.
    StoreError "store-error" Anywhere None;
    /// A program that Nix calls is not installed.
    MissingProgram "missing-program" Anywhere None;

    /// The expression cannot be parsed.
    EvalSyntax "eval-syntax" Evaluation None;
    /// A variable is not defined.
    EvalUndefinedVariable "eval-undefined-variable" Evaluation None;
    /// An attribute set lacks an attribute.
    EvalMissingAttribute "eval-missing-attribute" Evaluation None;
    /// An `assert` failed.
    EvalAssertion "eval-assertion" Evaluation None;
    /// The expression called `throw`, as packages do that are broken, insecure or not free.
    EvalThrow "eval-throw" Evaluation None;
    /// The expression called `abort`.
    EvalAbort "eval-abort" Evaluation None;
    /// A value has the wrong type, or an operation cannot be done with it.
    EvalType "eval-type" Evaluation None;
    /// A value depends on itself.
    EvalInfiniteRecursion "eval-infinite-recursion" Evaluation
        Some("run again with --show-trace to see which values depend on each other");
    /// Functions call each other too deeply.
    EvalStackOverflow "eval-stack-overflow" Evaluation
        Some("look for a recursion without an end, or raise max-call-depth");
    /// A module option does not exist, has the wrong type or conflicting values, or an assertion of a module failed.
    EvalModuleOption "eval-module-option" Evaluation None;
    /// A file does not exist, or is not tracked by Git and so not part of the flake.
    EvalMissingFile "eval-missing-file" Evaluation None;
    /// The expression does what pure or restricted evaluation forbids.
    EvalImpure "eval-impure" Evaluation Some("make the expression pure, or evaluate with --impure");
    /// A function was called without a required argument, or with one that it does not take.
    EvalCall "eval-call" Evaluation None;
    /// Another error of the evaluation.
    EvalOther "eval-other" Evaluation None;
    /// A flake lacks the attribute that was asked for.
    FlakeMissingAttribute "flake-missing-attribute" Evaluation Some("list what the flake has with: nix flake show");
    /// A flake cannot be found.
    FlakeNotFound "flake-not-found" Evaluation None;
    /// A flake or its lock file is not as it must be.
    FlakeError "flake-error" Evaluation None;

    /// An experimental feature is needed and not enabled.
    FeatureDisabled "feature-disabled" Anywhere Some("enable it with --extra-experimental-features, or in nix.conf");
    /// The command line is wrong.
    Usage "usage" Anywhere None;
    /// The user, or a signal, ended the run.
    Interrupted "interrupted" Anywhere None;
    /// An error of unknown meaning.
    Unknown "unknown" Anywhere None;
}

impl FailureKind {
    /// Whether the failure only follows from another one: a dependency's, or those that a summary repeats.
    pub fn is_cascade(self) -> bool {
        matches!(self, Self::DependencyFailed | Self::BuildsFailed)
    }

    /// Whether Nix may go on after such an error and still succeed.
    pub fn is_survivable(self) -> bool {
        matches!(
            self,
            Self::MissingNar
                | Self::NoSubstituter
                | Self::DownloadFailed
                | Self::RemoteMachine
                | Self::StoreBusy
        )
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
