//! Text messages.

use nixmon_runs::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Beat, CommandId, CommandNews, CommandRequest, HostName, RunFile};

/// A message of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromAgent {
    /// The first message.
    Hello(Hello),
    /// A sign of life.
    Beat(Beat),
    /// A small file of a run, whole.
    Document(Document),
    /// A part of a file that cannot be sent any more.
    Gap(Gap),
    /// The end of a run: the hub has all that comes of it.
    End(RunEnd),
    /// News of a command.
    Command(CommandNews),
}

/// A message of a hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromHub {
    /// The answer to [`FromAgent::Hello`].
    Welcome(Welcome),
    /// Something is kept for good.
    Ack(Ack),
    /// Numbers of the runs that somebody looks at: their pieces come faster.
    Watched {
        /// The runs, by their numbers on the host.
        runs: Vec<u64>,
    },
    /// A request for a command.
    Command(CommandRequest),
    /// A request to stop a command.
    Stop {
        /// The command.
        id: CommandId,
    },
    /// The connection is about to be closed.
    Refused(Refusal),
}

/// The first message of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// [`crate::PROTOCOL`].
    pub protocol: u32,
    /// The host, which has to be that of the token.
    pub host: HostName,
    /// Identifies the store of runs. A host whose store was removed begins to count its runs at 1 again; a hub takes the runs of
    /// another store for others.
    pub store: String,
    /// Identifies the process of the agent; of two connections of a host the hub keeps that of the newer process.
    pub instance: String,
    /// When the process of the agent began, in milliseconds since 1970 by the clock of the host.
    pub began_at: u64,
    /// The machine and its versions.
    pub environment: Environment,
    /// Names of the actions that its configuration allows, in its order.
    pub actions: Vec<String>,
    /// The newest runs in the store, the oldest first, and those of commands that the hub has not seen the end of.
    pub runs: Vec<u64>,
    /// The process reports one run only, as `nixmon run --hub` does: it takes no commands, and takes the place of no agent. Its
    /// beats count only while the host has no agent.
    #[serde(default)]
    pub is_single_run: bool,
}

/// The answer of a hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// [`crate::PROTOCOL`].
    pub protocol: u32,
    /// Runs that the hub has in part or whole, of those that [`Hello`] names. One that is missing here is unknown to it.
    pub runs: Vec<KnownRun>,
    /// Commands of this host that have not ended.
    pub commands: Vec<CommandRequest>,
    /// Identifies the data of the hub. Numbers of commands count anew at another one.
    #[serde(default)]
    pub hub: String,
}

/// A run that a hub has, in part or whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KnownRun {
    /// The number of the run on its host.
    pub run: u64,
    /// Its growing files.
    pub files: Vec<KnownFile>,
    /// It has ended and is whole: nothing more is wanted.
    pub is_complete: bool,
    /// Its small files. The agent gives the next ones higher versions.
    #[serde(default)]
    pub documents: Vec<KnownDocument>,
}

/// The version of a small file that a hub has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownDocument {
    /// The file.
    pub file: RunFile,
    /// Its version.
    pub version: u64,
}

/// A growing file that a hub has, up to a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownFile {
    /// The file.
    pub file: RunFile,
    /// Its generation.
    pub generation: u64,
    /// Number of bytes.
    pub size: u64,
}

/// Confirms that something is kept for good: the agent need not keep it any longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Ack {
    /// A growing file. If `size` is not where the agent's piece ended, the hub wants the file from there.
    File {
        /// The number of the run on its host.
        run: u64,
        /// The file and its size at the hub.
        #[serde(flatten)]
        file: KnownFile,
    },
    /// A small file.
    Document {
        /// The number of the run on its host.
        run: u64,
        /// The file.
        file: RunFile,
        /// Its version at the hub. If it is higher than that of the agent, the agent sends the file again, with a version
        /// above it.
        version: u64,
    },
    /// The end of a run.
    End {
        /// The number of the run on its host.
        run: u64,
    },
    /// News of a command.
    Command {
        /// The command.
        id: CommandId,
        /// Its state at the hub.
        state: crate::CommandState,
    },
}

/// A small file of a run, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// The number of the run on its host.
    pub run: u64,
    /// The file: one that does not grow.
    pub file: RunFile,
    /// Rises with each version; an older one than that which a hub has is left out.
    pub version: u64,
    /// Its content.
    pub content: serde_json::Value,
}

/// Bytes of a growing file that cannot be sent any more: the file was removed, or the room for what waits was used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The number of the run on its host.
    pub run: u64,
    /// The file.
    pub file: RunFile,
    /// Its generation.
    pub generation: u64,
    /// Place of the first byte that is missing.
    pub from: u64,
    /// Place of the first byte after the gap; null if nothing more comes.
    pub to: Option<u64>,
    /// The reason, for a person.
    pub reason: String,
}

/// The end of a run. An agent sends it when the run is over and the hub has acknowledged all of its files, or when nothing
/// more can be sent; so a run of which a hub has this is complete, and no file of it changes any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// The number of the run on its host.
    pub run: u64,
    /// Its growing files with their sizes. A hub that has not got one of them acknowledges the file instead, and the agent sends
    /// the rest before it repeats the end.
    pub files: Vec<KnownFile>,
    /// The reason why a part is missing, for a person; null if nothing is.
    pub reason: Option<String>,
}

/// The reason why a hub closes a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// One line for a person.
    pub message: String,
    /// Trying again does not help until something is changed.
    pub is_final: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_readable_forms() {
        let check = |message: &FromHub, expected: &str| {
            assert_eq!(serde_json::to_string(message).unwrap(), expected);
            assert_eq!(&serde_json::from_str::<FromHub>(expected).unwrap(), message);
        };
        let file = KnownFile { file: RunFile::Rest(2), generation: 1, size: 70 };
        check(
            &FromHub::Ack(Ack::File { run: 3, file }),
            r#"{"type":"ack","of":"file","run":3,"file":"rest-2","generation":1,"size":70}"#,
        );
        check(&FromHub::Stop { id: CommandId(4) }, r#"{"type":"stop","id":4}"#);
        check(&FromHub::Ack(Ack::End { run: 3 }), r#"{"type":"ack","of":"end","run":3}"#);
        check(&FromHub::Watched { runs: vec![7] }, r#"{"type":"watched","runs":[7]}"#);
        let beat: FromAgent = serde_json::from_str(r#"{"type":"beat","seq":1,"unknown":[]}"#).unwrap();
        assert_eq!(beat, FromAgent::Beat(Beat { seq: 1, ..Beat::default() }));
        for hostile in [
            r#"{"type":"document","run":1,"file":"../../x","version":1,"content":null}"#,
            r#"{"type":"nothing"}"#,
            r#"{"type":"hello","protocol":1,"host":"a/b"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<FromAgent>(hostile).is_err(), "{hostile}");
        }
    }
}
