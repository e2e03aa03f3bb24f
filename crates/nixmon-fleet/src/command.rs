//! Commands that a hub asks an agent for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of a command at its hub; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CommandId(pub u64);

impl std::fmt::Display for CommandId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A request of a hub. It names an action of the agent's own configuration: no arguments, and never a line for a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandRequest {
    /// Its number. A request that comes twice is carried out once.
    pub id: CommandId,
    /// The name of the action, as `switch`.
    pub action: String,
    /// Time limit in seconds, from the start of the command; null for none.
    pub timeout_s: Option<u64>,
    /// Reaction to a command that runs into its time limit.
    pub on_deadline: OnDeadline,
}

/// The reaction to a command that has not ended within its time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadline {
    /// It goes on, and is shown as overdue.
    #[default]
    Wait,
    /// It is stopped, and has timed out.
    Stop,
    /// It goes on, and the host is free for another command.
    Ignore,
}

/// The state of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandState {
    /// The hub has it; the agent has not taken it yet.
    Pending,
    /// The agent has it, and checks that it may run.
    Validating,
    /// It runs.
    Executing,
    /// It ended with status 0.
    Succeeded,
    /// It ended otherwise, was refused by the agent, or could not be started.
    Failed,
    /// It was stopped at its time limit.
    TimedOut,
    /// A person stopped it.
    Stopped,
    /// The agent does not know its end: its processes or its record are gone.
    Orphaned,
}

impl CommandState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Validating,
        Self::Executing,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Stopped,
        Self::Orphaned,
    ];

    /// Returns whether it has ended, after which it changes no more.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Validating | Self::Executing)
    }

    /// Returns whether a command may go from this state to `next`. States only go on, so that news that comes late or twice
    /// changes nothing.
    pub fn may_become(self, next: Self) -> bool {
        !self.has_ended() && self < next
    }

    /// Returns the name in JSON and in a database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Validating => "validating",
            Self::Executing => "executing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Stopped => "stopped",
            Self::Orphaned => "orphaned",
        }
    }

    /// Returns the state of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// News of a command, from its agent. The agent repeats it until the hub has acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandNews {
    /// Its number.
    pub id: CommandId,
    /// Its state.
    pub state: CommandState,
    /// The number of its run on the host, once there is one.
    pub run: Option<u64>,
    /// Exit status as a shell reports it, once it is known.
    pub exit_code: Option<i32>,
    /// One line for a person: why it was refused, or how it ended.
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_only_go_on() {
        use CommandState::*;
        for state in CommandState::ALL {
            assert_eq!(CommandState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert!(!state.may_become(state));
        }
        assert!(
            Pending.may_become(Executing) && Executing.may_become(Succeeded) && Pending.may_become(Stopped)
        );
        assert!(
            !Executing.may_become(Pending)
                && !Succeeded.may_become(Failed)
                && !Orphaned.may_become(Succeeded)
        );
    }
}
