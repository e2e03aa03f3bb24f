//! Resources: runs and logs of their derivations.

use std::time::Duration;

use nixmon_runs::clock::unix_ms;
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};

use crate::logs::{self, Excerpt};
use crate::program::Program;
use crate::refusal::Refusal;
use crate::tools::MAX_LINES;
use crate::wait;
use crate::words;

const PREFIX: &str = "nixmon://run/";
/// Runs that are listed as resources.
const LISTED: usize = 20;
/// Time between two looks at a run that a client has subscribed to.
pub(crate) const POLL: Duration = Duration::from_secs(2);
/// Time between two notifications about a run, unless it ends.
pub(crate) const QUIET_MS: u64 = 10_000;

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Run(String),
    Log(String, String),
}

/// Reads an address.
pub(crate) fn parse(uri: &str) -> Option<Target> {
    let rest = uri.strip_prefix(PREFIX)?;
    let (run, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if run.is_empty() {
        return None;
    }
    match rest.strip_prefix("log/") {
        Some(derivation) if !derivation.is_empty() => {
            Some(Target::Log(run.to_owned(), unescape(derivation)?))
        }
        None if rest.is_empty() => Some(Target::Run(run.to_owned())),
        _ => None,
    }
}

/// Replaces `%2F` and the like.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Lists the newest runs.
pub(crate) fn list(program: &dyn Program) -> Result<Vec<Resource>, Refusal> {
    let runs = program.runs()?;
    let (ids, _) = runs.list(Some(LISTED))?;
    let now = unix_ms();
    let listed = ids.map(|id| {
        let name = words::id(id);
        let resource = Resource::new(format!("{PREFIX}{id}"), name).with_mime_type("application/json");
        match runs.listed(id, now).look {
            Ok(look) => resource.with_description(format!(
                "{}, {}",
                words::name(&look.status),
                words::state(&look.status)
            )),
            Err(_) => resource.with_description("unreadable"),
        }
    });
    Ok(listed.collect())
}

/// Returns the numbers of the newest runs.
pub(crate) fn ids(program: &dyn Program) -> Vec<String> {
    let listed =
        program.runs().ok().and_then(|runs| Some(runs.list(Some(LISTED)).ok()?.0.collect::<Vec<_>>()));
    listed.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Returns the forms of the addresses.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{PREFIX}{{id}}"), "run")
            .with_description("The status of a run, as nixmon status --json")
            .with_mime_type("application/json"),
        ResourceTemplate::new(format!("{PREFIX}{{id}}/log/{{derivation}}"), "log")
            .with_description(
                "The last lines of the log of a derivation of a run; untrusted output of a build",
            )
            .with_mime_type("text/plain"),
    ]
}

/// Reads a resource.
pub(crate) fn read(program: &dyn Program, uri: &str) -> Result<ResourceContents, Refusal> {
    let unknown = || {
        Refusal::new(
            format!("there is no resource {}", words::clean(uri, 100)),
            "nixmon://run/ID or nixmon://run/ID/log/DERIVATION",
        )
    };
    match parse(uri).ok_or_else(unknown)? {
        Target::Run(run) => {
            let answer = wait::status(program, Some(&run), true)?;
            let json = serde_json::to_string(&answer)
                .map_err(|error| Refusal::new(error.to_string(), "tell the user"))?;
            Ok(ResourceContents::text(json, uri).with_mime_type("application/json"))
        }
        Target::Log(run, derivation) => {
            let excerpt =
                Excerpt { run, derivation: Some(derivation), lines: MAX_LINES, ..Excerpt::default() };
            Ok(ResourceContents::text(logs::log(program, &excerpt)?, uri).with_mime_type("text/plain"))
        }
    }
}

/// Returns a mark of a run that changes as the run does, and whether it has ended.
pub(crate) fn mark(program: &dyn Program, uri: &str) -> Option<(String, bool)> {
    let (Target::Run(run) | Target::Log(run, _)) = parse(uri)?;
    let runs = program.runs().ok()?;
    let dir = words::find(&runs, Some(&run)).ok()?;
    let status = runs.look(&dir, unix_ms()).ok()?.status;
    let mark = format!(
        "{:?} {:?} {} {} {} {}",
        status.state, status.phase, status.cursor, status.built, status.failed, status.line
    );
    Some((mark, status.has_ended()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let run = |id: &str| Some(Target::Run(id.to_owned()));
        let log = |id: &str, name: &str| Some(Target::Log(id.to_owned(), name.to_owned()));
        for (uri, expected) in [
            ("nixmon://run/41", run("41")),
            ("nixmon://run/run-41", run("run-41")),
            ("nixmon://run/41/log/lib-1.0", log("41", "lib-1.0")),
            ("nixmon://run/41/log/%2Fnix%2Fstore%2Fx.drv", log("41", "/nix/store/x.drv")),
            ("nixmon://run/41/log//nix/store/x.drv", log("41", "/nix/store/x.drv")),
            ("nixmon://run/", None),
            ("nixmon://run/41/log/", None),
            ("nixmon://run/41/other", None),
            ("nixmon://run/41/log/%2", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(parse(uri), expected, "{uri}");
        }
    }
}
