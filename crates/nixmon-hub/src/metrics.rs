//! Numbers about runs and the hub, in the text format of Prometheus (version 0.0.4).

use std::fmt::Write;

use nixmon_runs::clock::unix_ms;

use crate::board::Group;
use crate::fleet::state_of;
use crate::hub::Hub;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric: name, type, help, and its values with their labels.
type Metric = (&'static str, &'static str, &'static str, Vec<(String, f64)>);

/// Returns all metrics.
pub(crate) fn text(hub: &Hub) -> String {
    let board = hub.poller.board();
    let group = |group| board.entries.iter().filter(|entry| entry.group == group).count() as f64;
    let statuses = || board.entries.iter().filter_map(|entry| entry.status.as_ref());
    let going = || statuses().filter(|status| !status.has_ended());
    let sum = |values: &mut dyn Iterator<Item = usize>| values.sum::<usize>() as f64;
    let (n_logs, log_bytes) = hub.own.plays.extent();
    let one = |value: f64| vec![(String::new(), value)];
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let now = unix_ms();
    let hosts = hosts(hub, now);
    let metrics: [Metric; 13] = [
        (
            "nixmon_runs",
            "gauge",
            "Recorded runs by their place on the board.",
            vec![
                ("{group=\"failed\"}".to_owned(), group(Group::Failed)),
                ("{group=\"in-progress\"}".to_owned(), group(Group::InProgress)),
                ("{group=\"ended\"}".to_owned(), group(Group::Ended)),
            ],
        ),
        ("nixmon_runs_older", "gauge", "Recorded runs that are not on the board.", one(board.n_older as f64)),
        (
            "nixmon_runs_unreadable",
            "gauge",
            "Recorded runs that cannot be read.",
            one(board.entries.iter().filter(|entry| entry.status.is_none()).count() as f64),
        ),
        (
            "nixmon_builds_running",
            "gauge",
            "Builds in progress in all runs.",
            one(sum(&mut going().map(|status| status.running))),
        ),
        (
            "nixmon_builds_wanted",
            "gauge",
            "Derivations wanted by the runs in progress.",
            one(sum(&mut going().map(|status| status.wanted))),
        ),
        (
            "nixmon_last_success_timestamp_seconds",
            "gauge",
            "End of the newest run that succeeded, by name.",
            last_success(&mut statuses()),
        ),
        (
            "nixmon_hub_store_age_seconds",
            "gauge",
            "Time since the store of runs was read.",
            one(seconds(now.saturating_sub(board.looked_at))),
        ),
        (
            "nixmon_hub_start_time_seconds",
            "gauge",
            "Start of the hub, in seconds since 1970.",
            one(seconds(hub.started_at)),
        ),
        (
            "nixmon_hub_responses_total",
            "counter",
            "Answers by class of status.",
            hub.counts.get().map(|(class, n)| (format!("{{class=\"{class}xx\"}}"), n as f64)).collect(),
        ),
        ("nixmon_hub_streams", "gauge", "Open streams.", one(hub.limits.n_streams() as f64)),
        (
            "nixmon_hub_agents",
            "gauge",
            "Agents that are connected to this hub.",
            one(hub.fleet.n_connections() as f64),
        ),
        ("nixmon_host_state", "gauge", "The state of each host: its own has 1.", hosts),
        ("nixmon_hub_log_bytes", "gauge", "Bytes of logs that are held for readers.", one(log_bytes as f64)),
    ];
    let mut text = String::new();
    for (name, kind, help, values) in metrics {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    let _ = write!(
        text,
        "# HELP nixmon_hub_logs Logs that are held for readers.\n# TYPE nixmon_hub_logs gauge\nnixmon_hub_logs {n_logs}\n"
    );
    text
}

/// Returns the state of each host. Names of hosts need no escapes.
fn hosts(hub: &Hub, now: u64) -> Vec<(String, f64)> {
    let hosts = hub.fleet.hosts();
    let labels = hosts.hosts.values().filter_map(|host| {
        let state = serde_json::to_value(state_of(host, now)).ok()?;
        Some(format!("{{host=\"{}\",state=\"{}\"}}", host.name, state.as_str()?))
    });
    labels.map(|labels| (labels, 1.0)).collect()
}

/// Names with their own series at most.
const MAX_NAMES: usize = 100;

fn last_success(statuses: &mut dyn Iterator<Item = &nixmon_runs::Status>) -> Vec<(String, f64)> {
    let mut ends = std::collections::BTreeMap::new();
    for status in statuses.filter(|status| status.has_succeeded()) {
        if let (Some(name), Some(at)) = (&status.name, status.ended_at) {
            let last = ends.entry(name.as_str()).or_insert(at);
            *last = (*last).max(at);
        }
    }
    let label = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let ends = ends.into_iter().take(MAX_NAMES);
    ends.map(|(name, at)| (format!("{{name=\"{}\"}}", label(name)), (at / 1000) as f64)).collect()
}
