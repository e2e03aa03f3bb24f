//! The commands of a hub: which may start, how far they are, and what the hub is told. No I/O and no clock; what happens to a
//! run is told by [`Observed`].

use std::collections::BTreeMap;

use nixmon_fleet::{CommandId, CommandNews, CommandRequest, CommandState, OnDeadline};
use nixmon_log::escapes::sanitize;
use serde::{Deserialize, Serialize};

/// Number of commands that are remembered after their end, so that none is carried out twice.
const REMEMBERED: usize = 256;

/// An action that the configuration of the host allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Its name, as `switch`.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// It changes the running system, and may take the host away for a while.
    pub is_switch: bool,
    /// It ends with the machine, which starts again.
    pub reboots: bool,
}

/// The reason why a command is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stop {
    /// A person asked for it.
    Asked,
    /// Its time is over.
    Deadline,
}

/// A command, as it is kept over restarts of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCommand {
    /// Its action.
    pub action: String,
    timeout_s: Option<u64>,
    on_deadline: OnDeadline,
    state: CommandState,
    /// The number of its run.
    pub run: Option<u64>,
    /// The first number that its run can have.
    pub from_run: u64,
    /// The boot of the machine in which it began.
    pub boot: Option<String>,
    stop: Option<Stop>,
    /// The host is free for another command although this one goes on.
    is_ignored: bool,
    is_overdue: bool,
    exit_code: Option<i32>,
    message: Option<String>,
    /// The hub has confirmed the latest news.
    is_acked: bool,
}

impl KeptCommand {
    /// Returns whether it is in progress.
    pub fn is_open(&self) -> bool {
        !self.state.has_ended()
    }

    /// Returns whether its run is to be stopped.
    pub fn wants_stop(&self) -> bool {
        self.is_open() && self.stop.is_some()
    }

    fn end(&mut self, state: CommandState, exit_code: Option<i32>, message: Option<String>) {
        if self.state.may_become(state) {
            (self.state, self.exit_code, self.message) = (state, exit_code, message);
            self.is_acked = false;
        }
    }
}

/// A look at the run of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It runs, for so many seconds.
    Running {
        /// Seconds from the start of the command.
        elapsed_s: u64,
    },
    /// It has ended.
    Ended {
        /// Everything is known to have gone well: the status of the command is 0, and nixmon saw no failure.
        has_succeeded: bool,
        /// Exit status as a shell reports it, if it was seen.
        exit_code: Option<i32>,
        /// One line about the end.
        line: String,
    },
    /// There is no record of it.
    Gone,
}

/// All commands, as they are kept over restarts of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commands {
    /// The hub that numbers them.
    hub: String,
    all: BTreeMap<CommandId, KeptCommand>,
}

impl Commands {
    /// Notes which hub speaks. Commands of another one that have ended are forgotten, since its numbers mean others.
    pub fn of_hub(&mut self, hub: &str) {
        if self.hub != hub {
            hub.clone_into(&mut self.hub);
            self.all.retain(|_, command| command.is_open());
        }
    }

    /// Returns a command.
    pub fn get(&self, id: CommandId) -> Option<&KeptCommand> {
        self.all.get(&id)
    }

    /// Returns the commands in progress.
    pub fn open(&self) -> impl Iterator<Item = (CommandId, &KeptCommand)> {
        self.all.iter().filter(|(_, command)| command.is_open()).map(|(id, command)| (*id, command))
    }

    /// Takes a request. `from_run` is the number of the next run. Returns the action to start, once what has changed is kept; nothing if it was taken before, or is refused.
    pub fn request<'a>(
        &mut self,
        request: &CommandRequest,
        actions: &'a [Action],
        from_run: u64,
        boot: Option<&str>,
    ) -> Option<&'a Action> {
        if let Some(known) = self.all.get_mut(&request.id) {
            // The hub does not know how far it is.
            known.is_acked = false;
            return None;
        }
        let action = actions.iter().find(|action| action.name == request.action);
        let busy = self.open().find(|(_, command)| !command.is_ignored);
        let refusal = match (action, busy) {
            (None, _) => {
                let name = sanitize(&request.action);
                Some(format!(
                    "the configuration of this host has no action `{}`",
                    name.chars().take(100).collect::<String>()
                ))
            }
            (_, Some((id, busy))) => Some(format!("{} is in progress (command {id})", busy.action)),
            _ => None,
        };
        let mut command = KeptCommand {
            action: request.action.chars().take(100).collect(),
            timeout_s: request.timeout_s,
            on_deadline: request.on_deadline,
            state: CommandState::Validating,
            run: None,
            from_run,
            boot: boot.map(str::to_owned),
            stop: None,
            is_ignored: false,
            is_overdue: false,
            exit_code: None,
            message: None,
            is_acked: false,
        };
        let is_refused = refusal.is_some();
        if is_refused {
            command.end(CommandState::Failed, None, refusal);
        }
        self.all.insert(request.id, command);
        self.forget_old();
        action.filter(|_| !is_refused)
    }

    fn forget_old(&mut self) {
        let ended = |(_, command): &(&CommandId, &KeptCommand)| !command.is_open() && command.is_acked;
        let ended: Vec<CommandId> = self.all.iter().filter(ended).map(|(id, _)| *id).collect();
        for id in ended.iter().take(ended.len().saturating_sub(REMEMBERED)) {
            self.all.remove(id);
        }
    }

    /// Notes that the run of a command has begun.
    pub fn started(&mut self, id: CommandId, run: u64) {
        if let Some(command) = self.all.get_mut(&id).filter(|command| command.is_open()) {
            command.run = Some(run);
            command.state = CommandState::Executing;
            command.is_acked = false;
        }
    }

    /// Notes that a command could not be started.
    pub fn not_started(&mut self, id: CommandId, message: String) {
        if let Some(command) = self.all.get_mut(&id) {
            let state =
                if command.stop == Some(Stop::Asked) { CommandState::Stopped } else { CommandState::Failed };
            command.end(state, None, Some(message));
        }
    }

    /// Takes a request to stop a command. One that has ended, or is unknown, is left as it is.
    pub fn stop(&mut self, id: CommandId) {
        if let Some(command) = self.all.get_mut(&id).filter(|command| command.is_open()) {
            command.stop = Some(Stop::Asked);
            command.is_acked = false;
        }
    }

    /// Notes what was seen of the run of a command. `boot` is the present boot of the machine; `reboots` tells that the action ends
    /// with the machine.
    pub fn observe(&mut self, id: CommandId, observed: &Observed, boot: Option<&str>, reboots: bool) {
        let Some(command) = self.all.get_mut(&id).filter(|command| command.is_open()) else { return };
        let has_rebooted = boot.is_some() && command.boot.is_some() && command.boot.as_deref() != boot;
        match observed {
            Observed::Running { elapsed_s } => {
                let is_over = command.timeout_s.is_some_and(|limit| *elapsed_s >= limit);
                if !is_over || command.is_overdue {
                    return;
                }
                command.is_overdue = true;
                command.is_acked = false;
                let limit = command.timeout_s.unwrap_or(0);
                let (ignored, rest) = match command.on_deadline {
                    OnDeadline::Wait => (false, "goes on"),
                    OnDeadline::Stop => (false, "is being stopped"),
                    OnDeadline::Ignore => (true, "goes on, and the host is free"),
                };
                command.message = Some(format!("it has taken longer than {limit} s, and {rest}"));
                command.is_ignored = ignored;
                if command.on_deadline == OnDeadline::Stop {
                    command.stop.get_or_insert(Stop::Deadline);
                }
            }
            Observed::Ended { has_succeeded: true, exit_code, .. } => {
                command.end(CommandState::Succeeded, *exit_code, None);
            }
            // What it was to do has been done, and that nobody saw its end is the sign.
            _ if reboots && has_rebooted => {
                command.end(CommandState::Succeeded, None, Some("the machine has started again".to_owned()));
            }
            Observed::Ended { exit_code, line, .. } => {
                let state = match (command.stop, exit_code) {
                    (Some(Stop::Asked), _) => CommandState::Stopped,
                    (Some(Stop::Deadline), _) => CommandState::TimedOut,
                    (None, Some(_)) => CommandState::Failed,
                    (None, None) => CommandState::Orphaned,
                };
                command.end(state, *exit_code, Some(line.clone()));
            }
            Observed::Gone => {
                let message = "the record of its run is gone, so its end is not known".to_owned();
                command.end(CommandState::Orphaned, None, Some(message));
            }
        }
    }

    /// Returns the news that the hub has not confirmed.
    pub fn news(&self) -> impl Iterator<Item = CommandNews> {
        self.all.iter().filter(|(_, command)| !command.is_acked).map(|(id, command)| CommandNews {
            id: *id,
            state: command.state,
            run: command.run,
            exit_code: command.exit_code,
            message: command.message.clone(),
        })
    }

    /// Notes that the hub has news of a command. A hub may be further, as when it gave a command up.
    pub fn ack(&mut self, id: CommandId, state: CommandState) {
        if let Some(command) = self.all.get_mut(&id) {
            command.is_acked |= state >= command.state || state.has_ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use CommandState::*;

    use super::*;

    fn actions() -> Vec<Action> {
        let action = |name: &str, is_switch, reboots| Action {
            name: name.to_owned(),
            command: vec![name.to_owned()],
            is_switch,
            reboots,
        };
        vec![action("switch", true, false), action("reboot", true, true)]
    }

    fn request(id: u64, action: &str) -> CommandRequest {
        CommandRequest {
            id: CommandId(id),
            action: action.to_owned(),
            timeout_s: None,
            on_deadline: OnDeadline::Wait,
        }
    }

    fn ended(has_succeeded: bool, exit_code: Option<i32>) -> Observed {
        Observed::Ended { has_succeeded, exit_code, line: "line".to_owned() }
    }

    fn news(commands: &Commands) -> Vec<(u64, CommandState, Option<i32>)> {
        commands.news().map(|news| (news.id.0, news.state, news.exit_code)).collect()
    }

    #[test]
    fn each_command_begins_once_and_one_at_a_time() {
        let (actions, mut commands) = (actions(), Commands::default());
        commands.of_hub("a");
        assert_eq!(commands.request(&request(1, "switch"), &actions, 1, None).unwrap().name, "switch");
        assert_eq!(commands.request(&request(1, "switch"), &actions, 1, None), None);
        assert_eq!(commands.request(&request(2, "reboot"), &actions, 1, None), None);
        assert_eq!(commands.request(&request(3, "rm\u{1b}[31m -rf"), &actions, 1, None), None);
        let told: Vec<_> =
            commands.news().map(|news| (news.state, news.message.unwrap_or_default())).collect();
        assert_eq!(
            told,
            [
                (Validating, String::new()),
                (Failed, "switch is in progress (command 1)".to_owned()),
                (Failed, "the configuration of this host has no action `rm -rf`".to_owned()),
            ]
        );
        commands.started(CommandId(1), 7);
        // A restart in between.
        let json = serde_json::to_string(&commands).unwrap();
        let mut commands: Commands = serde_json::from_str(&json).unwrap();
        assert_eq!(commands.request(&request(1, "switch"), &actions, 1, None), None);
        commands.observe(CommandId(1), &ended(true, Some(0)), None, false);
        assert_eq!(commands.request(&request(1, "switch"), &actions, 1, None), None, "it has ended");
        for id in 1..4 {
            commands.ack(CommandId(id), commands.get(CommandId(id)).unwrap().state);
        }
        assert_eq!(news(&commands), []);
        assert!(commands.request(&request(4, "switch"), &actions, 1, None).is_some());
        // Another hub counts from 1.
        commands.of_hub("b");
        commands.not_started(CommandId(4), String::new());
        assert!(commands.request(&request(1, "switch"), &actions, 1, None).is_some());
    }

    #[test]
    fn ends_have_the_states_of_the_contract() {
        let check = |timeout_s, on_deadline, events: &[Observed], stops: bool, expected| {
            let mut commands = Commands::default();
            let request = CommandRequest { timeout_s, on_deadline, ..request(1, "switch") };
            commands.request(&request, &actions(), 1, Some("boot 1")).unwrap();
            commands.started(CommandId(1), 7);
            if stops {
                commands.stop(CommandId(1));
                assert!(commands.get(CommandId(1)).unwrap().wants_stop());
            }
            for event in events {
                commands.observe(CommandId(1), event, Some("boot 1"), false);
            }
            assert_eq!(
                news(&commands),
                [(1, expected, commands.get(CommandId(1)).unwrap().exit_code)],
                "{events:?}"
            );
        };
        let running = |elapsed_s| Observed::Running { elapsed_s };
        let good = || ended(true, Some(0));
        let killed = || ended(false, Some(143));
        check(None, OnDeadline::Stop, &[running(9999)], false, Executing);
        check(None, OnDeadline::Wait, &[good()], false, Succeeded);
        check(None, OnDeadline::Wait, &[ended(false, Some(0))], false, Failed);
        check(None, OnDeadline::Wait, &[ended(false, Some(4))], false, Failed);
        check(None, OnDeadline::Wait, &[ended(false, None)], false, Orphaned);
        check(None, OnDeadline::Wait, &[Observed::Gone], false, Orphaned);
        check(None, OnDeadline::Wait, &[good(), Observed::Gone], false, Succeeded);
        check(None, OnDeadline::Wait, &[killed()], true, Stopped);
        check(None, OnDeadline::Wait, &[good()], true, Succeeded);
        check(Some(60), OnDeadline::Stop, &[running(59), killed()], false, Failed);
        check(Some(60), OnDeadline::Stop, &[running(60), killed()], false, TimedOut);
        check(Some(60), OnDeadline::Stop, &[running(60), killed()], true, Stopped);
        check(Some(60), OnDeadline::Wait, &[running(60), killed()], false, Failed);
        check(Some(60), OnDeadline::Ignore, &[running(60)], false, Executing);
    }

    #[test]
    fn an_ignored_command_leaves_the_host_free() {
        let (actions, mut commands) = (actions(), Commands::default());
        let first =
            CommandRequest { timeout_s: Some(5), on_deadline: OnDeadline::Ignore, ..request(1, "switch") };
        commands.request(&first, &actions, 1, None).unwrap();
        commands.started(CommandId(1), 1);
        commands.observe(CommandId(1), &Observed::Running { elapsed_s: 5 }, None, false);
        assert!(commands.request(&request(2, "switch"), &actions, 1, None).is_some());
        commands.observe(CommandId(1), &ended(true, Some(0)), None, false);
        assert_eq!(news(&commands)[0], (1, Succeeded, Some(0)));
    }

    #[test]
    fn a_reboot_has_succeeded_once_the_machine_is_back() {
        for (boot, action, observed, expected) in [
            ("boot 2", "reboot", ended(false, None), Succeeded),
            ("boot 2", "reboot", Observed::Gone, Succeeded),
            ("boot 1", "reboot", ended(false, None), Orphaned),
            ("boot 2", "switch", ended(false, None), Orphaned),
        ] {
            let mut commands = Commands::default();
            let action =
                commands.request(&request(1, action), &actions(), 1, Some("boot 1")).cloned().unwrap();
            commands.started(CommandId(1), 1);
            commands.observe(CommandId(1), &observed, Some(boot), action.reboots);
            assert_eq!(news(&commands)[0].1, expected, "{boot} {observed:?}");
        }
    }

    #[test]
    fn a_stop_before_the_start_ends_a_command() {
        let mut commands = Commands::default();
        commands.request(&request(1, "switch"), &actions(), 1, None).unwrap();
        commands.stop(CommandId(1));
        commands.not_started(CommandId(1), "stopped before it began".to_owned());
        assert_eq!(news(&commands), [(1, Stopped, None)]);
        commands.ack(CommandId(1), Executing);
        assert_eq!(commands.news().count(), 1, "the hub has older news");
        commands.ack(CommandId(1), Stopped);
        assert_eq!(commands.news().count(), 0);
    }
}
