//! CMake's Makefiles: targets and what they wait for from `CMakeFiles/Makefile2`, sources from each target's
//! `DependInfo.cmake`.
//!
//! Source: CMake 3.25 Source/cmGlobalUnixMakefileGenerator3.cxx and cmLocalUnixMakefileGenerator3.cxx.

use super::{Origin, Project, Read, Source, Target, TargetKind, join};
use crate::weights::Language;

pub(super) fn read(dir: &dyn Read) -> Option<Project> {
    let makefile = dir.text("CMakeFiles/Makefile2")?;
    let mut targets: Vec<Target> = Vec::new();
    let mut default = Vec::new();
    for line in makefile.lines() {
        // A target that waits for nothing has a rule without prerequisites.
        let Some((left, right)) = line.split_once(':').filter(|_| !line.starts_with(['\t', '#'])) else {
            continue;
        };
        if left == "all" || left.ends_with("/all") && !left.ends_with(".dir/all") {
            default.push(right.trim());
            continue;
        }
        let Some(path) = left.strip_suffix("/all").filter(|path| path.ends_with(".dir")) else { continue };
        let at = match targets.iter().position(|target| target.output.as_deref() == Some(path)) {
            Some(at) => at,
            None => {
                targets.push(read_target(dir, path));
                targets.len() - 1
            }
        };
        if let Some(needed) = right.trim().strip_suffix("/all").and_then(name_of)
            && let Some(target) = targets.get_mut(at)
        {
            target.depends_on.push(needed.to_owned());
        }
    }
    for target in &mut targets {
        let path = target.output.take().unwrap_or_default();
        target.is_default = Some(default.iter().any(|line| *line == format!("{path}/all")));
    }
    // A target that a default one needs is built, too.
    loop {
        let needed: Vec<String> = targets
            .iter()
            .filter(|target| target.is_default == Some(true))
            .flat_map(|target| target.depends_on.iter().cloned())
            .collect();
        let mut changed = false;
        for target in targets.iter_mut().filter(|target| target.is_default == Some(false)) {
            if needed.contains(&target.name) {
                target.is_default = Some(true);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    Project::new(Origin::Makefiles, targets)
}

/// Returns the name in `src/CMakeFiles/NAME.dir`.
fn name_of(path: &str) -> Option<&str> {
    path.rsplit_once("CMakeFiles/")?.1.strip_suffix(".dir")
}

/// Reads the target of a directory. `output` holds that directory until all are read.
fn read_target(dir: &dyn Read, path: &str) -> Target {
    let info = dir.text(&format!("{path}/DependInfo.cmake")).unwrap_or_default();
    let sources = info.lines().filter_map(|line| {
        // `  "/src/a.c" "CMakeFiles/x.dir/a.c.o" "gcc" "CMakeFiles/x.dir/a.c.o.d"`
        let mut quoted = line.trim().split('"').skip(1).step_by(2);
        let (source, object) = (quoted.next()?, quoted.next()?);
        let is_object = object.ends_with(".o") || object.ends_with(".obj");
        is_object.then(|| Source {
            path: source.to_owned(),
            object: Some(object.to_owned()),
            language: Language::of_path(source),
            bytes: dir.size(source),
        })
    });
    let link = dir.text(&format!("{path}/link.txt"));
    let kind = match &link {
        Some(link) if link.contains(".a ") && link.contains("ar ") => TargetKind::StaticLibrary,
        Some(link) if link.contains(" -shared ") => TargetKind::SharedLibrary,
        Some(_) => TargetKind::Executable,
        None => TargetKind::Utility,
    };
    Target {
        name: name_of(path).unwrap_or(path).to_owned(),
        kind,
        output: Some(join("", path)),
        depends_on: Vec::new(),
        sources: sources.collect(),
        lto: link.is_some_and(|link| link.contains("-flto")),
        is_default: None,
        position: None,
    }
}
