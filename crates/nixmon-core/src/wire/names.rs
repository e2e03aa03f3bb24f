//! Names that stand for one of several values in JSON.

use crate::activation::{RunStage, Verb};
use crate::state;
use nixmon_log::nix::error;

/// Makes an enum of names out of an enum of the program's own with the same variants.
///
/// A name that this version does not know is read as `Unlisted` and written again as it was, so that an old reader survives a
/// new writer. The schema lists only the names that this version writes.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident from $source:path {
        $( $(#[$variant_doc:meta])* $variant:ident $text:literal; )+
    } $(and { $($own:tt)+ })?) => {
        names! { $(#[$doc])* $name { $( $(#[$variant_doc])* $variant $text; )+ $($($own)+)? } }

        impl From<$source> for $name {
            fn from(value: $source) -> Self {
                use $source as Source;
                match value { $( Source::$variant => Self::$variant, )+ }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident {
        $( $(#[$variant_doc:meta])* $variant:ident $text:literal; )+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $text)] $variant, )+
            /// A name that this version does not know.
            #[serde(untagged)]
            #[schemars(skip)]
            Unlisted(String),
        }

        impl $name {
            /// Returns the name.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Unlisted(name) => name,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// The phase of a run.
    Phase from state::Phase {
        /// Nix evaluates expressions, fetches sources or queries caches.
        Evaluating "evaluating";
        /// Store paths are being fetched, and nothing has to be built.
        Fetching "fetching";
        /// Derivations are being built; paths may still be fetched.
        Building "building";
        /// A tool is switching to a configuration.
        Activating "activating";
        /// The input has ended.
        Done "done";
    }
}

names! {
    /// The outcome of a run.
    Outcome from state::Outcome {
        /// The command succeeded.
        Success "success";
        /// Something failed.
        Failure "failure";
        /// The user or a signal ended the run.
        Interrupted "interrupted";
        /// The input ended in the middle without giving a reason.
        Incomplete "incomplete";
    }
}

names! {
    /// The stage of a run at which something failed.
    Stage from error::Stage {
        /// Evaluation of expressions.
        Evaluation "evaluation";
        /// Download of store paths or flake inputs.
        Fetch "fetch";
        /// Build of a derivation.
        Build "build";
        /// Activation of a configuration.
        Activation "activation";
        /// A command of Nix that neither evaluates, fetches nor builds, such as `nix store`.
        Command "command";
    }
}

names! {
    /// The result of a build.
    BuildResult from state::BuildEnd {
        /// The outputs are valid.
        Built "built";
        /// The build failed by itself.
        Failed "failed";
        /// The build was stopped before it could end.
        Cancelled "cancelled";
    } and {
        /// A line of text announced the build, and no line says how such a build ends.
        Unknown "unknown";
    }
}

names! {
    /// The source of a text.
    TextKind from state::TextKind {
        /// A warning from Nix.
        Warning "warning";
        /// The output of `builtins.trace`.
        Trace "trace";
        /// Another message from Nix.
        Notice "notice";
        /// The result of a command, such as an output path.
        Result "result";
        /// A line of an activation.
        Activation "activation";
        /// A line of another program.
        Other "other";
        /// A line of a build tool or compiler, in a command that is not Nix.
        Tool "tool";
        /// A line that may come from a builder or from another program. Such lines are written only if all lines of build
        /// logs or of other programs are asked for.
        Unnamed "unnamed";
    }
}

names! {
    /// An action on units.
    UnitAction from Verb {
        /// The units were started.
        Started "started";
        /// The units were restarted.
        Restarted "restarted";
        /// The units were stopped.
        Stopped "stopped";
        /// The units were reloaded.
        Reloaded "reloaded";
    } and {
        /// The units failed.
        Failed "failed";
    }
}

names! {
    /// The kind of a note about an activation.
    NoteKind {
        /// A warning from the tool.
        Warning "warning";
        /// An error; the end of the activation says what failed.
        Problem "problem";
        /// The previous configuration is being activated again.
        RollingBack "rolling-back";
        /// The configuration takes effect only after a reboot.
        RebootNeeded "reboot-needed";
    }
}

names! {
    /// The result of an activation.
    ActivationResult from RunStage {
        /// The activation has not ended.
        Activating "activating";
        /// The activation was refused before it began.
        Refused "refused";
        /// The activation succeeded; single units may have failed.
        Done "done";
        /// The activation failed.
        Failed "failed";
        /// The previous configuration was activated again.
        RolledBack "rolled-back";
        /// The user or a signal interrupted the activation.
        Interrupted "interrupted";
    }
}

names! {
    /// The stage of a build tool's work.
    WorkStage from nixmon_progress::Stage {
        /// Sources or dependencies are fetched.
        Download "download";
        /// The build is being set up.
        Configure "configure";
        /// Sources are compiled or generated.
        Compile "compile";
        /// Objects are linked or archived.
        Link "link";
        /// Tests run.
        Test "test";
        /// Files are put in place.
        Install "install";
    }
}

names! {
    /// The state of a package inside a build.
    PackageStatus from nixmon_progress::Status {
        /// Nothing of it has begun.
        Queued "queued";
        /// Its sources are being compiled.
        Compiling "compiling";
        /// Its sources are compiled, and it is not yet linked.
        Linking "linking";
        /// It is done.
        Built "built";
        /// A step of it failed.
        Failed "failed";
    }
}

names! {
    /// The health of a package inside a build.
    PackageHealth from nixmon_progress::Health {
        /// Nothing is known to be wrong.
        Ok "ok";
        /// It takes more than twice the time of an earlier run.
        Slow "slow";
        /// It cannot be built since a package that it needs failed.
        Blocked "blocked";
        /// It failed.
        Failed "failed";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_survive() {
        let known: Outcome = serde_json::from_str(r#""success""#).unwrap();
        assert_eq!(known, Outcome::Success);
        let unknown: Outcome = serde_json::from_str(r#""postponed""#).unwrap();
        assert_eq!(unknown, Outcome::Unlisted("postponed".to_owned()));
        assert_eq!(serde_json::to_string(&unknown).unwrap(), r#""postponed""#);
        assert!(serde_json::from_str::<Outcome>("1").is_err());
    }

    #[test]
    fn names_are_those_of_the_state() {
        for outcome in [
            state::Outcome::Success,
            state::Outcome::Failure,
            state::Outcome::Interrupted,
            state::Outcome::Incomplete,
        ] {
            assert_eq!(Outcome::from(outcome).as_str(), outcome.as_str());
        }
        for phase in [
            state::Phase::Evaluating,
            state::Phase::Fetching,
            state::Phase::Building,
            state::Phase::Activating,
            state::Phase::Done,
        ] {
            assert_eq!(Phase::from(phase).as_str(), phase.as_str());
        }
        for stage in
            [error::Stage::Evaluation, error::Stage::Fetch, error::Stage::Build, error::Stage::Activation]
        {
            assert_eq!(Stage::from(stage).as_str(), stage.as_str());
        }
    }
}
