//! The messages of Nix, as templates, and the kind of failure that each of them means.
//!
//! Wordings are those of `src/libstore`, `src/libexpr`, `src/libfetchers` and `src/libflake` of Nix 2.3 to 2.35, of Lix
//! 2.95 and of Determinate Nix 3, and of `lib/modules.nix` of nixpkgs. The first rule that matches decides, so the
//! special stands before the general.

use super::FailureKind::{self, *};
use crate::template::{Captures, captures, may_begin};

/// A message and its meaning. The fields `drv`, `out`, `exit`, `signal`, `n`, `uri`, `url`, `program`, `attr`, `list`,
/// `goal`, `specified`, `got` and `rest` end up in the error; what other fields match is dropped.
type Rule = (&'static str, FailureKind);

/// Returns the first rule's kind and fields that match a message, which is free of escapes and of `error:`.
pub(super) fn classify(message: &str) -> Option<(FailureKind, Captures<'_>)> {
    first_match(BUILD, message)
        .or_else(|| first_match(STORE, message))
        .or_else(|| first_match(FLAKE, message))
        .or_else(|| first_match(EVALUATION, message))
        .or_else(|| first_match(COMMAND, message))
        .or_else(|| first_match(ANYWHERE, message))
}

/// Returns the innermost of nested failures, as in `build of 'DRV' on 'URI' failed: Cannot build 'DRV'.`
///
/// The text around it only repeats names. It stays where the inner message is not known, and where it says which machine
/// cannot be used.
pub(super) fn innermost(message: &str) -> &str {
    let mut innermost = message;
    for _ in 0..super::MAX_NESTING {
        let Some((kind, captures)) = classify(innermost) else { break };
        let Some(rest) = captures.get("rest").filter(|_| kind != RemoteMachine) else { break };
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("error:").unwrap_or(rest).trim_start();
        if classify(rest).is_none() {
            break;
        }
        innermost = rest;
    }
    innermost
}

/// Returns the kind and fields of what follows `Reason:` in Nix 2.29 and later.
pub(super) fn classify_reason(reason: &str) -> Option<(FailureKind, Captures<'_>)> {
    first_match(REASONS, reason)
}

/// Returns the kind that a line of a build log gives away where Nix itself just says that the builder failed.
pub(super) fn classify_log_line(line: &str) -> Option<FailureKind> {
    first_match(LOG_LINES, line).map(|(kind, _)| kind)
}

fn first_match<'t>(rules: &[Rule], message: &'t str) -> Option<(FailureKind, Captures<'t>)> {
    let mut rules = rules.iter().filter(|(template, _)| may_begin(template, message));
    rules.find_map(|&(template, kind)| Some((kind, captures(template, message)?)))
}

/// Returns whether a line that lacks `error:` is an error of Nix 2.3, or one that a build hook prints.
pub(super) fn is_bare_error(line: &str) -> bool {
    // Every message is asked, and nearly all begin with another letter.
    let may_be = line
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() && BARE_STARTS >> (first & 31) & 1 == 1);
    may_be && first_match(BARE, line).is_some()
}

/// The first letters of [`BARE`] of either case, by their number in the alphabet.
const BARE_STARTS: u32 = {
    let (mut starts, mut at) = (0, 0);
    while at < BARE.len() {
        let first = BARE[at].0.as_bytes()[0];
        assert!(first.is_ascii_alphabetic(), "a template of a bare error begins with a letter");
        starts |= 1 << (first & 31);
        at += 1;
    }
    starts
};

/// Messages that appear without `error:` before them: those of inner goals in Nix 2.3, and of the build hook.
const BARE: &[Rule] = &[
    ("builder for '{drv}' failed", BuilderFailed),
    ("cannot build derivation '{drv}':", DependencyFailed),
    ("cannot build on '{uri}':", RemoteMachine),
    ("building of '{drv}' timed out after {n} seconds", Timeout),
    ("building of '{drv}' killed after writing more than {n} bytes", LogTooLong),
    ("building of '{drv}' from .drv file timed out after {n} seconds", Timeout),
    ("building of '{drv}' from .drv file killed after writing more than {n} bytes", LogTooLong),
    ("hash mismatch in fixed-output derivation '{drv}':", HashMismatch),
    ("fixed-output derivation produced path '{out}' with ", HashMismatch),
    ("derivation '{drv}' may not be deterministic:", NotDeterministic),
    ("output '{out}' is not allowed to refer to the following paths:", ForbiddenReference),
    ("cycle detected in the references of '{out}'", OutputCycle),
    ("some substitutes for the outputs of derivation '{drv}' failed", SubstitutionFailed),
    ("unable to download '{url}':", DownloadFailed),
    ("file '{_}' does not exist in binary cache '{url}'", MissingNar),
    ("build of '{drv}' on '{uri}' failed:", RemoteBuildFailed),
];

const BUILD: &[Rule] = &[
    // Up to 2.28, and Lix.
    ("builder for '{drv}' failed with exit code {exit}", BuilderFailed),
    ("builder for '{drv}' failed due to signal {signal}", KilledBySignal),
    ("builder for '{drv}' failed to produce output path for output '{_}' at '{out}'", NoOutput),
    ("builder for '{drv}' failed to produce output path '{out}'", NoOutput),
    ("builder for '{drv}' failed to produce output", NoOutput),
    ("builder for '{drv}' failed", BuilderFailed),
    ("{n} dependencies of derivation '{drv}' failed to build", DependencyFailed),
    ("cannot build derivation '{drv}': {n} dependencies couldn't be built", DependencyFailed),
    ("cannot build derivation '{drv}'", DependencyFailed),
    ("some dependencies of '{drv}' are missing", DependencyFailed),
    ("some references of path '{out}' could not be realised", DependencyFailed),
    // The systems decide between platform and feature.
    ("a '{system}' with features {_} is required to build '{drv}', but I am a '{own}'", PlatformMismatch),
    ("a '{system}' is required to build '{drv}', but I am a '{own}'", PlatformMismatch),
    // 2.29 and later, and Determinate. `Reason:` decides.
    (
        "cannot build '{_}' during evaluation because the option 'allow-import-from-derivation' is disabled",
        EvalNeedsBuild,
    ),
    ("Cannot build '{drv}'", BuildFailed),
    // `KeyedBuildResult` and `nix flake check`: what follows decides.
    ("failed to build attribute '{attr}', build of '{drv}' failed: {rest}", BuildFailed),
    ("build of '{drv}' on '{uri}' failed: {rest}", RemoteBuildFailed),
    ("build of '{drv}' on '{uri}' failed", RemoteBuildFailed),
    ("build of {list} failed: {rest}", BuildFailed),
    ("build of {list} failed", BuildsFailed),
    // All versions.
    ("hash mismatch in fixed-output derivation '{drv}'", HashMismatch),
    // 2.0 and 2.1.
    (
        "fixed-output derivation produced path '{out}' with {_} hash '{got}' instead of the expected hash '{specified}'",
        HashMismatch,
    ),
    (
        "fixed-output derivation produced path '{out}' with {_} hash '{got}' instead of the expected hash '{specified}'",
        HashMismatch,
    ),
    ("output path '{out}' has {_} hash '{got}' when '{specified}' was expected", HashMismatch),
    ("timed out after {n} seconds of silence", SilentTimeout),
    ("timed out after {n} seconds", Timeout),
    ("derivation '{drv}' may not be deterministic", NotDeterministic),
    ("output '{out}' is not allowed to refer to", ForbiddenReference),
    ("output check for '{_}' contains output name '{_}', but this is not a valid output", OutputRejected),
    ("path '{out}' is too large at {n} bytes", OutputRejected),
    ("closure of path '{out}' is too large at {n} bytes", OutputRejected),
    ("derivation '{drv}' output check for", OutputRejected),
    ("derivation contains an illegal reference specifier", OutputRejected),
    ("suspicious ownership or permission on '{out}'", OutputRejected),
    ("output path '{out}' is not a", OutputRejected),
    ("cycle detected in build of '{drv}'", OutputCycle),
    ("cycle detected in the references of '{out}'", OutputCycle),
    ("some outputs of '{drv}' are not valid, so checking is not possible", BuildFailed),
    ("some paths in the output closure of derivation '{drv}' could not be repaired", BuildFailed),
    ("derivation '{drv}' requires non-existent output", BuildFailed),
    ("Building dynamic derivations in one shot is not yet implemented", BuildFailed),
    ("while setting up the build environment: executing '{program}'", BadBuilder),
    ("while setting up the build environment", BuildFailed),
    ("executing '/{_}': No such file or directory", BadBuilder),
    ("executing '{program}': No such file or directory", MissingProgram),
    // Substitution.
    ("some substitutes for the outputs of derivation '{drv}' failed", SubstitutionFailed),
    ("path '{out}' is required, but", NoSubstituter),
    ("path '{out}' does not exist and cannot be created", SubstitutionFailed),
    ("don't know how to build", SubstitutionFailed),
    ("cannot build missing derivation '{drv}'", SubstitutionFailed),
    ("dependency '{out}' of '{drv}' does not exist, and substitution is disabled", SubstitutionFailed),
    ("asked '{url}' for '{out}' but got", SubstitutionFailed),
    ("cannot substitute path '{out}'", PermissionDenied),
    ("file '{_}' does not exist in binary cache '{url}'", MissingNar),
    ("cannot add path '{out}' because it lacks a", MissingSignature),
    ("hash mismatch importing path '{out}'", NarHashMismatch),
    ("ca hash mismatch importing path '{out}'", NarHashMismatch),
    ("size mismatch importing path '{out}'", NarHashMismatch),
    ("failed to read compressed data", CorruptNar),
    ("failed to decompress", CorruptNar),
    ("*error while decompressing", CorruptNar),
    ("*compressed file is truncated", CorruptNar),
    ("*compressed data is corrupt", CorruptNar),
    ("bad archive", CorruptNar),
    ("input doesn't look like a Nix archive", CorruptNar),
    ("NAR for '{_}' fetched from '{url}' is incomplete", CorruptNar),
    ("substituter '{url}' is disabled", DownloadFailed),
    ("unable to download '{url}'", DownloadFailed),
    // Other machines.
    ("cannot build on '{uri}': {rest}", RemoteMachine),
    ("Failed to find a machine for remote build!", RemoteMachine),
    ("failed to start SSH connection to '{uri}'", RemoteMachine),
    ("cannot connect to '{uri}'", RemoteMachine),
    ("build hook died unexpectedly", RemoteMachine),
    ("unable to start any build", NoMachine),
    ("unable to build with a primary store that isn't a local store", NoMachine),
    // The hook's program is set by its absolute path, what fetchers run is searched in PATH.
    ("program '/{program}' failed with exit code {exit}", PostBuildHook),
    ("program '/{program}' failed due to signal {signal}", PostBuildHook),
    ("program '{program}' failed with exit code {exit}", DownloadFailed),
    ("program '{program}' failed due to signal {signal}", DownloadFailed),
    // Begin with the name of a goal, so they come last.
    ("{goal} timed out after {n} seconds of silence", SilentTimeout),
    ("{goal} timed out after {n} seconds", Timeout),
    ("{goal} killed after writing more than {n} bytes of log output", LogTooLong),
];

const REASONS: &[Rule] = &[
    ("builder failed with exit code {exit}", BuilderFailed),
    ("builder failed due to signal {signal}", KilledBySignal),
    ("builder failed to produce output path for output '{_}' at '{out}'", NoOutput),
    ("builder failed to produce output", NoOutput),
    ("builder failed", BuilderFailed),
    ("{n} dependency failed", DependencyFailed),
    ("{n} dependencies failed", DependencyFailed),
    // 2.30 to 2.33. What fits decides between platform and feature.
    ("required system or feature not available", PlatformMismatch),
    // 2.34 and later.
    ("platform mismatch", PlatformMismatch),
    ("missing system features", MissingFeature),
    ("local builds are disabled", LocalBuildsDisabled),
];

const LOG_LINES: &[Rule] = &[
    ("error: executing '/{_}': No such file or directory", BadBuilder),
    ("executing '/{_}': No such file or directory", BadBuilder),
    ("*while setting up the build environment: executing '", BadBuilder),
    ("*No space left on device", DiskFull),
];

const STORE: &[Rule] = &[
    ("[json.exception.", NixAborted),
    ("terminating due to unexpected unrecoverable internal error", NixAborted),
    ("Nix crashed", NixAborted),
    ("terminate called ", NixAborted),
    ("libc++abi: terminating", NixAborted),
    ("*Assertion `{_}' failed", NixAborted),
    ("Assertion failed: (", NixAborted),
    ("*: error while loading shared libraries: ", NixAborted),
    ("std::bad_alloc", NixAborted),
    ("unexpected exception", NixAborted),
    ("SQLite database '{_}' is busy", StoreBusy),
    ("SQLite database \"{_}\" is busy", StoreBusy),
    ("*database or disk is full", DiskFull),
    ("*No space left on device", DiskFull),
    ("*attempt to write a readonly database", PermissionDenied),
    ("executing SQLite", StoreError),
    ("opening file '{_}.drv': No such file or directory", StoreError),
    ("path '{out}' is not valid", StoreError),
    ("build log of '{_}' is not available", CommandFailed),
    ("cannot delete path '{_}' since it is still alive", CommandFailed),
    ("Cannot delete path '{_}'", CommandFailed),
    ("cannot delete some of the given paths", CommandFailed),
    ("'{_}' does not depend on '{_}'", CommandFailed),
    ("path '{_}' was modified! expected hash '{specified}', got '{got}'", StoreError),
    ("cannot repair path '{_}'", StoreError),
    ("path '{out}' is corrupted or missing", StoreError),
    ("path '{_}' is not in the Nix store", StoreError),
    ("path '{_}' is not a store path", StoreError),
    ("cannot open connection to remote store", DaemonConnection),
    ("cannot connect to daemon at", DaemonConnection),
    ("cannot connect to socket at", DaemonConnection),
    ("Nix daemon disconnected unexpectedly", DaemonConnection),
    ("unexpected end-of-file", DaemonConnection),
    ("protocol mismatch", DaemonConnection),
    ("you don't have sufficient rights", PermissionDenied),
    ("you are not privileged to build", PermissionDenied),
    ("An existing package already provides the following file", ProfileConflict),
    ("Unable to build profile. There is a conflict", ProfileConflict),
    ("packages '{_}' and '{_}' have the same priority", ProfileConflict),
    ("files '{_}' and '{_}' have the same priority", ProfileConflict),
];

const FLAKE: &[Rule] = &[
    ("NAR hash mismatch in input '{_}'", InputHashMismatch),
    ("mismatch in field 'narHash' of input", InputHashMismatch),
    ("mismatch in field '{_}' of input", InputHashMismatch),
    ("hash mismatch in file downloaded from '{url}'", InputHashMismatch),
    ("cannot find Git revision", DownloadFailed),
    ("cannot find revision", DownloadFailed),
    ("failed to fetch", DownloadFailed),
    ("cannot fetch input", DownloadFailed),
    ("resolving Git reference", DownloadFailed),
    ("getting the HEAD of the Git tree", DownloadFailed),
    ("opening Git repository", DownloadFailed),
    ("unable to find ref", DownloadFailed),
    ("Git repository '{_}' is a shallow repository", DownloadFailed),
    ("flake '{url}' does not provide attribute", FlakeMissingAttribute),
    ("cannot find flake '{url}' in the flake registries", FlakeNotFound),
    ("could not find a flake.nix file", FlakeNotFound),
    ("path '{_}' is not a flake", FlakeNotFound),
    ("path '{_}' is not part of a flake", FlakeNotFound),
    ("path '{_}' does not contain a 'flake.nix'", FlakeNotFound),
    ("source tree referenced by '{_}' does not contain a", FlakeNotFound),
    ("cannot write modified lock file", FlakeError),
    ("cannot write lock file", FlakeError),
    ("cannot update", FlakeError),
    ("lock file '{_}'", FlakeError),
    ("lock file contains", FlakeError),
    ("input '{_}' follows a non-existent input", FlakeError),
    ("'{_}' is not a valid URL", FlakeError),
    ("'{_}' is not a valid flake", FlakeError),
    ("URL '{_}' ", FlakeError),
    ("input '{_}' is unsupported", FlakeError),
    ("flake '{_}'", FlakeError),
];

const EVALUATION: &[Rule] = &[
    // lib/modules.nix and lib/options.nix of nixpkgs.
    ("Failed assertions:", EvalModuleOption),
    ("The option `", EvalModuleOption),
    ("The option path `", EvalModuleOption),
    ("The option definition `", EvalModuleOption),
    ("The unique option `", EvalModuleOption),
    ("A definition for option `", EvalModuleOption),
    ("Cannot merge definitions of `", EvalModuleOption),
    ("Expected a module, but found a value of type", EvalModuleOption),
    ("Module `", EvalModuleOption),
    ("The module `", EvalModuleOption),
    ("In module `", EvalModuleOption),
    // Checks of nixpkgs before a package is evaluated.
    ("Refusing to evaluate", EvalThrow),
    ("*refusing to evaluate", EvalThrow),
    // The run that filled the cache has printed the error (up to 2.20, and Lix).
    ("cached failure of attribute", EvalOther),
    ("some errors were encountered during the evaluation", EvalErrors),
    ("syntax error,", EvalSyntax),
    ("attribute '{_}' already defined at", EvalSyntax),
    ("duplicate formal function argument", EvalSyntax),
    ("dynamic attributes not allowed in", EvalSyntax),
    ("path '{_}' has a trailing slash", EvalSyntax),
    ("unterminated", EvalSyntax),
    ("undefined variable '{_}'", EvalUndefinedVariable),
    ("attribute '{_}' missing", EvalMissingAttribute),
    ("attribute '{_}' in selection path '{_}' not found", EvalMissingAttribute),
    ("attribute '{_}' not found", EvalMissingAttribute),
    ("required attribute '{_}' missing", EvalMissingAttribute),
    ("assertion '{_}' failed", EvalAssertion),
    ("assertion {_} failed", EvalAssertion),
    ("evaluation aborted with the following error message", EvalAbort),
    ("infinite recursion encountered", EvalInfiniteRecursion),
    ("stack overflow", EvalStackOverflow),
    ("max-call-depth exceeded", EvalStackOverflow),
    ("function '{_}' called with", EvalCall),
    ("cannot auto-call a function", EvalCall),
    ("cannot evaluate a function that has an argument without a default value", EvalCall),
    ("*called without required argument '", EvalCall),
    ("*called with unexpected argument '", EvalCall),
    ("cannot look up '{_}' in pure evaluation mode", EvalImpure),
    ("cannot call 'getFlake' on unlocked", EvalImpure),
    ("*is forbidden in pure evaluation mode", EvalImpure),
    ("*is forbidden in restricted mode", EvalImpure),
    ("*in pure evaluation mode", EvalImpure),
    ("*in pure mode", EvalImpure),
    ("*is not tracked by Git", EvalMissingFile),
    ("path {_} does not exist", EvalMissingFile),
    ("getting status of {_}: No such file or directory", EvalMissingFile),
    ("getting attributes of path {_}: No such file or directory", EvalMissingFile),
    ("opening file {_}: No such file or directory", EvalMissingFile),
    ("opening directory {_}: No such file or directory", EvalMissingFile),
    ("reading file {_}: No such file or directory", EvalMissingFile),
    ("reading directory {_}: No such file or directory", EvalMissingFile),
    ("file '{_}' was not found in the Nix search path", EvalMissingFile),
    ("cannot coerce ", EvalType),
    ("cannot add ", EvalType),
    ("cannot append ", EvalType),
    ("cannot compare ", EvalType),
    ("cannot concatenate ", EvalType),
    ("cannot convert ", EvalType),
    ("cannot decode ", EvalType),
    ("value is {_} while ", EvalType),
    ("expected a ", EvalType),
    ("expected an ", EvalType),
    ("expected flake output attribute", EvalType),
    ("expression does not evaluate to a", EvalType),
    ("flake output attribute '{_}' is not", EvalType),
    ("attempt to call something which is not a function", EvalType),
    ("list index {_} is out of bounds", EvalType),
    ("'{_}' called with index", EvalType),
    ("'{_}' called on an empty list", EvalType),
    ("division by zero", EvalType),
    ("integer overflow", EvalType),
    ("the string '{_}' is not allowed to refer to a store path", EvalType),
    ("string '{_}' doesn't represent an absolute path", EvalType),
    ("string '{_}' cannot be", EvalType),
    ("dynamic attribute '{_}' already defined", EvalOther),
    ("invalid regular expression", EvalOther),
];

const COMMAND: &[Rule] = &[
    ("interrupted by the user", Interrupted),
    ("experimental Nix feature '{_}' is disabled", FeatureDisabled),
    ("experimental Lix feature '{_}' is disabled", FeatureDisabled),
    ("unrecognised ", Usage),
    ("unrecognized ", Usage),
    ("'{_}' is not a recognised command", Usage),
    ("unknown command", Usage),
    ("unexpected argument", Usage),
    ("no more arguments", Usage),
    ("more arguments are required", Usage),
    ("flag '{_}' requires", Usage),
    ("'-{_}' requires", Usage),
    ("you must specify", Usage),
    ("please specify", Usage),
    ("'nix {_}' only works on", Usage),
];

/// Causes that many messages end in.
const ANYWHERE: &[Rule] = &[
    ("*database disk image is malformed", StoreError),
    ("*no write access to the Nix store", PermissionDenied),
    ("*: Permission denied", PermissionDenied),
    ("*: Operation not permitted", PermissionDenied),
    ("*: Read-only file system", PermissionDenied),
    ("*Could not resolve host", DownloadFailed),
    ("*Couldn't resolve host", DownloadFailed),
    ("*lock file", FlakeError),
];
