//! Facts about a build as JSON, so that a recording of it is read later as it was then.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Hints, Past, PastUnit, Tool,
    packages::{Origin, Project, Target},
};

/// The stored form. Names are those of the types; times are in milliseconds.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ninja_status: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<StoredProject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<StoredPast>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cargo_units: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredProject {
    origin: Origin,
    targets: Vec<Placed>,
}

#[derive(Serialize, Deserialize)]
struct Placed {
    #[serde(flatten)]
    target: Target,
    #[serde(default)]
    position: Option<(usize, usize)>,
}

#[derive(Serialize, Deserialize)]
struct StoredPast {
    elapsed_ms: u64,
    /// Package, file, begin and duration of each.
    units: Vec<(Option<String>, String, u64, u64)>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Hints {
    /// Returns the facts as JSON.
    pub fn to_json(&self) -> Value {
        let project = self.project.as_ref().map(|project| StoredProject {
            origin: project.origin,
            targets: project
                .targets
                .iter()
                .map(|target| Placed { target: target.clone(), position: target.position })
                .collect(),
        });
        let past = self.past.as_ref().map(|past| StoredPast {
            elapsed_ms: millis(past.duration()),
            units: past
                .units()
                .map(|unit| (unit.package, unit.file, millis(unit.started), millis(unit.elapsed)))
                .collect(),
        });
        let stored = Stored {
            jobs: self.jobs,
            ninja_status: self.ninja_status.clone(),
            tools: self.tools.iter().map(|tool| tool.name().to_owned()).collect(),
            project,
            past,
            cargo_units: self.cargo_units,
        };
        serde_json::to_value(&stored).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) returned. Parts that cannot be read are missing.
    pub fn from_json(value: &Value) -> Self {
        let part = |key: &str| value.get(key).cloned().unwrap_or_default();
        let project: Option<StoredProject> = serde_json::from_value(part("project")).ok().flatten();
        let past: Option<StoredPast> = serde_json::from_value(part("past")).ok().flatten();
        let tools: Vec<String> = serde_json::from_value(part("tools")).unwrap_or_default();
        let named = |name: &String| Tool::ALL.iter().copied().find(|tool| tool.name() == name);
        Self {
            jobs: serde_json::from_value(part("jobs")).ok().flatten(),
            ninja_status: serde_json::from_value(part("ninja_status")).ok().flatten(),
            tools: tools.iter().filter_map(named).collect(),
            project: project.and_then(|stored| {
                let targets = stored
                    .targets
                    .into_iter()
                    .map(|Placed { target, position }| Target { position, ..target });
                Project::new(stored.origin, targets.collect())
            }),
            past: past.and_then(|stored| {
                let units = stored.units.into_iter().map(|(package, file, started, elapsed)| PastUnit {
                    package,
                    file,
                    started: Duration::from_millis(started),
                    elapsed: Duration::from_millis(elapsed),
                });
                Past::new(Duration::from_millis(stored.elapsed_ms), units)
            }),
            cargo_units: serde_json::from_value(part("cargo_units")).ok().flatten(),
        }
    }

    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_none()
            && self.ninja_status.is_none()
            && self.tools.is_empty()
            && self.project.is_none()
            && self.past.is_none()
            && self.cargo_units.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Project;

    #[test]
    fn what_is_stored_is_read_again() {
        let metadata = r#"{"packages":[{"id":"a 1","name":"a","version":"1.0.0","dependencies":[],"manifest_path":"/x/Cargo.toml",
            "targets":[{"kind":["lib"],"name":"a","src_path":"/x/src/lib.rs"}]}],"workspace_members":["a 1"],"resolve":null}"#;
        let unit = |file: &str, started, elapsed| PastUnit {
            package: Some("p".to_owned()),
            file: file.to_owned(),
            started: Duration::from_millis(started),
            elapsed: Duration::from_millis(elapsed),
        };
        let hints = Hints {
            jobs: Some(4),
            ninja_status: Some("[%f/%t/%r] ".to_owned()),
            tools: vec![Tool::Cargo, Tool::CargoTest],
            project: Project::from_cargo_metadata(metadata),
            past: Past::new(Duration::from_secs(9), [unit("a.c", 5, 700), unit("b.c", 705, 20)]),
            cargo_units: Some(7),
        };
        assert!(hints.project.is_some() && hints.past.is_some());
        let read = Hints::from_json(&hints.to_json());
        assert_eq!(read.project, hints.project);
        let past = |hints: &Hints| {
            hints.past.as_ref().map(|past| (past.duration(), past.units().collect::<Vec<_>>()))
        };
        assert_eq!(past(&read), past(&hints));
        let rest =
            |hints: &Hints| (hints.jobs, hints.ninja_status.clone(), hints.tools.clone(), hints.cargo_units);
        assert_eq!(rest(&read), rest(&hints));
        // What another version or a damaged recording says is no fact.
        let broken: Value =
            serde_json::from_str(r#"{"jobs":"x","tools":["brewer"],"project":{"origin":1}}"#).unwrap();
        assert!(Hints::from_json(&broken).is_empty());
        assert!(Hints::from_json(&Value::Null).is_empty());
    }
}
