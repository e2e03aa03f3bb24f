//! Configure presets, for the build directory that one names.
//!
//! Source: CMake 3.25 Help/manual/cmake-presets.7.rst.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Files that are read, those that others include among them.
const MOST_FILES: usize = 64;
/// Deepest nesting of a value in another.
const DEPTH: usize = 8;

#[derive(Deserialize)]
struct PresetsFile {
    #[serde(default)]
    include: Vec<String>,
    #[serde(default, rename = "configurePresets")]
    configure: Vec<Preset>,
    #[serde(default, rename = "workflowPresets")]
    workflows: Vec<Workflow>,
}

#[derive(Deserialize)]
struct Preset {
    name: String,
    #[serde(default)]
    inherits: Names,
    #[serde(rename = "binaryDir")]
    binary_dir: Option<String>,
    generator: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, Option<String>>,
    /// The directory of the file.
    #[serde(skip)]
    dir: PathBuf,
}

/// One name or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Names {
    fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(name) => std::slice::from_ref(name).iter(),
            Self::Many(names) => names.iter(),
        }
    }
}

#[derive(Deserialize)]
struct Workflow {
    name: String,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "type")]
    kind: String,
    name: String,
}

/// The presets of a source directory.
pub(super) struct Presets {
    source: PathBuf,
    configure: Vec<Preset>,
    workflows: Vec<Workflow>,
}

impl Presets {
    /// Reads the presets of a source directory, if it has any that can be read.
    pub(super) fn read(source: &Path) -> Option<Self> {
        let mut presets = Self { source: source.to_owned(), configure: Vec::new(), workflows: Vec::new() };
        let mut files = vec![source.join("CMakeUserPresets.json"), source.join("CMakePresets.json")];
        let mut read = BTreeSet::new();
        while let Some(file) = files.pop() {
            if read.len() >= MOST_FILES || !read.insert(file.clone()) {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let parsed: PresetsFile = serde_json::from_str(&text).ok()?;
            let dir = file.parent().unwrap_or(source);
            files.extend(parsed.include.iter().map(|path| dir.join(path)));
            let of_file = parsed.configure.into_iter().map(|preset| Preset { dir: dir.to_owned(), ..preset });
            presets.configure.extend(of_file);
            presets.workflows.extend(parsed.workflows);
        }
        (!presets.configure.is_empty()).then_some(presets)
    }

    /// Returns the configure preset of a workflow.
    pub(super) fn configured_by(&self, workflow: &str) -> Option<String> {
        let workflow = self.workflows.iter().find(|known| known.name == workflow)?;
        workflow.steps.iter().find(|step| step.kind == "configure").map(|step| step.name.clone())
    }

    /// Returns the build directory of a configure preset; of one that names none it is `here`.
    pub(super) fn binary_dir(&self, name: &str, here: &Path) -> Option<PathBuf> {
        let line = self.line(name)?;
        let Some((owner, dir)) = line.iter().find_map(|preset| Some((preset, preset.binary_dir.as_ref()?)))
        else {
            return Some(here.to_owned());
        };
        let dir = self.expand(dir, name, &line, &owner.dir, DEPTH)?;
        (!dir.is_empty()).then(|| self.source.join(dir))
    }

    fn find(&self, name: &str) -> Option<&Preset> {
        self.configure.iter().find(|preset| preset.name == name)
    }

    /// Returns a preset and those that it inherits from, the nearest first, as CMake looks for a value.
    fn line(&self, name: &str) -> Option<Vec<&Preset>> {
        self.find(name)?;
        let mut line: Vec<&Preset> = Vec::new();
        let mut stack = vec![name];
        while let Some(name) = stack.pop() {
            let Some(preset) = self.find(name) else { continue };
            if line.iter().any(|known| known.name == preset.name) {
                continue;
            }
            line.push(preset);
            let inherited: Vec<&String> = preset.inherits.iter().collect();
            stack.extend(inherited.into_iter().rev().map(String::as_str));
        }
        Some(line)
    }

    /// Puts in the values of macros; nothing if one is not known.
    fn expand(&self, text: &str, name: &str, line: &[&Preset], dir: &Path, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let (kind, inside) = after.get(1..)?.split_once('{')?;
            let (variable, behind) = inside.split_once('}')?;
            out.push_str(&match kind {
                "" => self.value(variable, name, line, dir)?,
                "penv" => std::env::var(variable).unwrap_or_default(),
                "env" => {
                    match line.iter().find_map(|preset| Some((preset, preset.environment.get(variable)?))) {
                        Some((owner, Some(value))) => self.expand(value, name, line, &owner.dir, depth)?,
                        Some((_, None)) => String::new(),
                        None => std::env::var(variable).unwrap_or_default(),
                    }
                }
                _ => return None,
            });
            rest = behind;
        }
        out.push_str(rest);
        Some(out)
    }

    fn value(&self, variable: &str, name: &str, line: &[&Preset], dir: &Path) -> Option<String> {
        let text = |path: &Path| path.to_str().map(str::to_owned);
        match variable {
            "sourceDir" => text(&self.source),
            "sourceParentDir" => text(self.source.parent()?),
            "sourceDirName" => self.source.file_name()?.to_str().map(str::to_owned),
            "presetName" => Some(name.to_owned()),
            "generator" => line.iter().find_map(|preset| preset.generator.clone()),
            "fileDir" => text(dir),
            "dollar" => Some("$".to_owned()),
            "hostSystemName" => rustix::system::uname().sysname().to_str().ok().map(str::to_owned),
            _ => None,
        }
    }
}
