//! The output of tools that switch configurations, distinguished from that of the build.
//!
//! `home-manager switch`, `darwin-rebuild switch`, `nixos-rebuild switch` and their kind build first and then run a
//! program of their own, whose output is plain text: steps, lists of units, errors of any program the configuration
//! calls. [`Activation`] reads that text line by line and keeps one [`Run`] for each activation it sees. It is a
//! function of the lines and their times; it opens no file and asks no service manager.
//!
//! # Sources
//!
//! Nothing but the programs' sources says what they print. Every line we know is a row of a table, one table per
//! program, under `tools`; a row cites where it was read, by these names:
//!
//! | name | repository |
//! |---|---|
//! | HM | nix-community/home-manager |
//! | SDS | sd-switch |
//! | ND | nix-darwin/nix-darwin |
//! | STC, STC-old | NixOS/nixpkgs, `switch-to-configuration` in Rust, in Perl |
//! | NR, NG | NixOS/nixpkgs, `nixos-rebuild` in shell, in Python |
//! | NIX | NixOS/nix |
//! | SD | systemd/systemd |
//! | CO | zhaofengli/colmena |
//! | DR | serokell/deploy-rs |
//! | NH | nix-community/nh |
//! | SM | numtide/system-manager |
//! | AG | ryantm/agenix |
//!
//! # No false activation
//!
//! Builders print such lines too: a disk image is made by running `switch-to-configuration` in a virtual machine. In a
//! stream of records they are inside records, and behind a `name> ` prefix the caller knows them ([`LineContext`]). Bare
//! `nix-build` prints builders' lines as they are, and nothing but `building '....drv'...` before them says so. So a
//! beginning is believed according to where it stands:
//!
//! - at once, if the last build that was announced is that of a whole configuration (nothing else is built after it,
//!   and its builder prints nothing), or if a wrapper or an echoed command announced a switch;
//! - without such context, with a second line of the same program; a single line counts only near the end of a stream
//!   that ended badly, so that an activation that fails at once is seen;
//! - if another derivation was built last, at the end of the stream: with a second line, if no further build, no build
//!   failure and no output path followed, and if there is reason to think that the stream ended with it (its last
//!   lines, a failure that Nix did not explain, an announced switch). Such an activation is reported late; that
//!   is the price.
//!
//! The price: it misses an activation without any context that goes well in one line, or that follows the build of
//! something else and ends well in many lines of its own programs' output. It cannot recognise a quoted log,
//! line by line like the real one, in a stream without builds.

mod begin;
mod closing;
mod effects;
mod flake_inputs;
mod last_words;
mod line;
mod machine;
mod named_log;
mod rule;
mod run;
mod runs;
mod tool;
mod tools;
mod verdict;
mod wrappers;

use std::time::Duration;

pub use closing::{Reported, SwitchOutcome};
pub use flake_inputs::{FlakeInput, FlakeInputs};
pub use machine::Activation;
pub use rule::EarlyStage;
pub use run::{Excerpt, FailedSnippet, Run, RunStage, Scope, SwitchId, Unit, Units};
pub use tool::{Command, NixFlags, Tool};
pub use tools::launchd::{agent_logs, plist_logs};
pub use verdict::SwitchSummary;

/// Returns whether make prints such a line about its own progress.
pub fn is_of_make(line: &str) -> bool {
    tools::make::said(line).is_some()
}

/// The action on a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Started, and not running before.
    Started,
    /// Restarted in one go. Stopped in one list and started in another is the same thing, see [`Run::units`].
    Restarted,
    /// Stopped.
    Stopped,
    /// Reloaded.
    Reloaded,
}

/// The phase of a machine, where a tool handles several and names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MachinePhase {
    /// Its configuration is being evaluated.
    Evaluating,
    /// Its configuration is being built.
    Building,
    /// Its configuration is being copied to it.
    Copying,
    /// Its activation has begun.
    Activating,
    /// Its activation is over, well or badly: its run says which.
    Done,
}

/// The caller's knowledge about a line that the line itself lacks.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineContext {
    /// Time since the start of the stream.
    pub at: Duration,
    /// Nix activities are live right now: no activation of what they build can begin.
    pub builds_running: bool,
    /// The line came with a builder's `name> ` prefix or is known to be a builder's for another reason.
    pub build_log: bool,
}

/// The recogniser's answer about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// Understood, and told as changes: it need not be shown again. If it begins with `error:` it is not Nix's own, or
    /// it is the failure of this activation.
    Consumed,
    /// Kept as evidence or context; whether to show it is the caller's choice. An `error:` belongs to the activation, also
    /// where it is Nix's.
    Relevant,
    /// Not of an activation. If it is a Nix error, say so with [`Activation::nix_error`].
    No,
}

/// An accepted change, for a frontend to report. The run is in [`Activation::runs`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivationChange {
    /// An activation began, or was refused before it could.
    Began {
        /// The run.
        run: SwitchId,
        /// The tool.
        tool: Tool,
        /// The machine, if the tool handles several.
        node: Option<String>,
    },
    /// A machine has come further.
    NodePhase {
        /// The machine.
        node: String,
        /// The phase.
        phase: MachinePhase,
    },
    /// A step began; the one before ended well.
    Step {
        /// The run.
        run: SwitchId,
        /// The step's name.
        name: String,
    },
    /// Units were acted upon.
    Units {
        /// The run.
        run: SwitchId,
        /// The action.
        verb: Verb,
        /// The units in the order printed.
        units: Vec<Unit>,
    },
    /// Units failed that had not been known to have failed.
    UnitsFailed {
        /// The run.
        run: SwitchId,
        /// The units in the order printed.
        units: Vec<Unit>,
    },
    /// A warning of the tool.
    Warning {
        /// The run.
        run: SwitchId,
        /// One line.
        text: String,
    },
    /// An error: what failed is known when the run has ended.
    Problem {
        /// The run.
        run: SwitchId,
        /// One line.
        text: String,
    },
    /// The previous configuration is being activated again.
    RollingBack {
        /// The run.
        run: SwitchId,
    },
    /// The configuration takes effect only after a reboot.
    RebootNeeded {
        /// The run.
        run: SwitchId,
    },
    /// The run is over. Told again, with another stage, where what follows changes that: a machine is rolled back
    /// because of another, or the exit status says otherwise.
    Ended {
        /// The run.
        run: SwitchId,
        /// The stage at its end.
        stage: RunStage,
    },
}
