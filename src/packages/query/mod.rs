//! A question to CMake: which targets there are. It is a file in the build directory, which a configure answers there with
//! `.cmake/api/v1/reply`.
//!
//! Source: CMake 3.25 Help/manual/cmake-file-api.7.rst, "v1 Client Stateful Query Files"; `cmake.1.rst` for command lines.

mod presets;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use presets::Presets;

/// The place of the question in a build directory.
const QUERY_DIR: &str = ".cmake/api/v1/query/client-nixmon";
/// The question.
const QUERY: &str = "{\"requests\":[{\"kind\":\"codemodel\",\"version\":2}]}\n";

/// Asks CMake for its targets if a command that is about to be started configures a project, and returns the build
/// directory. `directory` is that in which the command starts. What goes wrong costs knowledge, and nothing else.
pub(crate) fn place(command: &[OsString], directory: Option<&Path>) -> Option<PathBuf> {
    let words: Vec<&str> = command.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let at = crate::nix_commands::inner_place(command)?;
    let (before, words) = words.split_at_checked(at)?;
    // Files of root in a user's directory, or the other way round, would be in the way.
    if before.iter().any(|word| changes_user(word) || changes_directory(word)) {
        return None;
    }
    let configure = Configure::of(words)?;
    let here = std::env::current_dir().ok()?;
    let here = directory.map_or_else(|| here.clone(), |directory| here.join(directory));
    let build_dir = configure.build_dir(&here)?;
    let dir = build_dir.join(QUERY_DIR);
    let file = dir.join("query.json");
    if std::fs::read_to_string(&file).is_ok_and(|text| text == QUERY) {
        return Some(build_dir);
    }
    let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&file, QUERY));
    if let Err(error) = written {
        tracing::debug!(%error, file = %file.display(), "CMake was not asked for its targets");
        return None;
    }
    Some(build_dir)
}

fn changes_user(word: &str) -> bool {
    ["sudo", "doas", "run0"].contains(&word.rsplit('/').next().unwrap_or(word))
}

fn changes_directory(word: &str) -> bool {
    word.starts_with("-C") || word.starts_with("--chdir")
}

/// A command line that configures a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Configure {
    source: Option<String>,
    build: Option<String>,
    /// A path without an option: of a source directory, or of a build directory that exists.
    path: Option<String>,
    preset: Option<String>,
    is_workflow: bool,
}

/// Short options that have a value, which is the rest of the word or the next one.
const SHORT_WITH_VALUE: [&str; 9] = ["-S", "-B", "-C", "-D", "-U", "-G", "-T", "-A", "-O"];
/// Long options whose value is the next word, unless it follows `=`.
const LONG_WITH_VALUE: [&str; 4] = ["--preset", "--toolchain", "--install-prefix", "--project-file"];
/// Options with which CMake does something else.
const OTHER_MODES: [&str; 12] = [
    "--build",
    "--install",
    "--open",
    "-E",
    "-P",
    "-N",
    "--find-package",
    "--version",
    "-version",
    "-h",
    "-H",
    "-?",
];

impl Configure {
    /// Reads the words of a command; `None` if it configures nothing.
    fn of(words: &[&str]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        if program.rsplit('/').next() != Some("cmake") {
            return None;
        }
        let mut configure = Self::default();
        let mut arguments = arguments.iter().copied();
        while let Some(word) = arguments.next() {
            if OTHER_MODES.contains(&word)
                || ["--help", "-help", "--list-presets", "--system-information"]
                    .iter()
                    .any(|mode| word.starts_with(mode))
            {
                return None;
            }
            if word == "--workflow" {
                configure.is_workflow = true;
                continue;
            }
            let (option, attached) = match word.split_once('=') {
                Some((option, value)) if word.starts_with("--") => (option, Some(value)),
                _ => match word.get(..2) {
                    Some(option) if word.len() > 2 && SHORT_WITH_VALUE.contains(&option) => {
                        (option, word.get(2..))
                    }
                    _ => (word, None),
                },
            };
            if !SHORT_WITH_VALUE.contains(&option) && !LONG_WITH_VALUE.contains(&option) {
                if !word.starts_with('-') {
                    configure.path = Some(word.to_owned());
                }
                continue;
            }
            let value = attached.map_or_else(|| arguments.next(), Some)?.to_owned();
            match option {
                "-S" => configure.source = Some(value),
                "-B" => configure.build = Some(value),
                "--preset" => configure.preset = Some(value),
                _ => {}
            }
        }
        (configure != Self::default()).then_some(configure)
    }

    /// Returns the build directory, if it is sure; `here` is the directory in which CMake starts.
    fn build_dir(&self, here: &Path) -> Option<PathBuf> {
        let is_build = |path: &str| here.join(path).join("CMakeCache.txt").is_file();
        let existing = self
            .path
            .as_deref()
            .filter(|path| self.build.is_none() && self.source.is_none() && is_build(path));
        if let Some(path) = existing {
            return Some(here.join(path));
        }
        let source = self.source.as_deref().or(self.path.as_deref());
        let source = source.map_or_else(|| here.to_owned(), |source| here.join(source));
        let build = match (&self.build, &self.preset) {
            (Some(build), _) => here.join(build),
            (None, Some(preset)) => {
                let presets = Presets::read(&source)?;
                let preset = if self.is_workflow { presets.configured_by(preset)? } else { preset.clone() };
                presets.binary_dir(&preset, here)?
            }
            (None, None) => here.to_owned(),
        };
        // A mistyped path must not leave directories behind.
        let is_project = source.join("CMakeLists.txt").is_file() || build.join("CMakeCache.txt").is_file();
        is_project.then_some(build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, files: &[(&str, &str)], expected: Option<&str>) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let here = root.join("here");
        std::fs::create_dir_all(&here).unwrap();
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let build_dir = place(&command, Some(&here));
        let said = build_dir.map(|build_dir| {
            assert_eq!(std::fs::read_to_string(build_dir.join(QUERY_DIR).join("query.json")).unwrap(), QUERY);
            build_dir.strip_prefix(&root).unwrap_or(&build_dir).display().to_string()
        });
        assert_eq!(said.as_deref(), expected, "{line}");
        if said.is_none() && !files.iter().any(|(name, _)| name.starts_with("here/b")) {
            assert!(!here.join(".cmake").exists() && !here.join("b").exists(), "{line}");
        }
    }

    const LISTS: (&str, &str) = ("here/CMakeLists.txt", "");

    #[test]
    fn build_directories_of_command_lines() {
        check("cmake -B b", &[LISTS], Some("here/b"));
        check("cmake -Bb -S.", &[LISTS], Some("here/b"));
        check("/usr/bin/cmake -S . -B b -G Ninja -DX=1 -D Y=2 -Wno-dev", &[LISTS], Some("here/b"));
        check("cmake -S ../src -B b", &[("src/CMakeLists.txt", "")], Some("here/b"));
        check("cmake ../src", &[("src/CMakeLists.txt", "")], Some("here"));
        check("cmake ..", &[("CMakeLists.txt", ""), ("here/CMakeCache.txt", "")], Some("here"));
        check("cmake b", &[("here/b/CMakeCache.txt", "")], Some("here/b"));
        check("cmake . -B b", &[LISTS], Some("here/b"));
        check("env A=1 nice cmake -B b", &[LISTS], Some("here/b"));
        check("cmake -S ../src", &[("src/CMakeLists.txt", "")], Some("here"));
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in [
            "cmake --build b",
            "cmake --install b",
            "cmake -E make_directory b",
            "cmake -P script.cmake",
            "cmake --version",
            "cmake --help-command add_library",
            "cmake -N -L b",
            "cmake",
            "cmake -S",
            "ccmake -B b",
            "make -B b",
            "sudo cmake -B b",
            "env -C b cmake -B b",
            "cmake -S nowhere -B b",
            "cmake --preset x",
        ] {
            check(line, &[LISTS, ("here/x", "")], None);
        }
        check("cmake -B b", &[], None);
    }

    #[test]
    fn presets_name_build_directories() {
        let presets = r#"{"version":6,"configurePresets":[
            {"name":"base","hidden":true,"binaryDir":"${sourceDir}/b/${presetName}"},
            {"name":"other","hidden":true,"binaryDir":"/elsewhere"},
            {"name":"debug","inherits":["base","other"]},
            {"name":"own","inherits":"base","binaryDir":"out"},
            {"name":"odd","binaryDir":"${sourceDir}/$vendor{x}"},
            {"name":"env","environment":{"KIND":"fast${dollar}"},"binaryDir":"b-$env{KIND}"},
            {"name":"loop","inherits":"pool"},{"name":"pool","inherits":"loop"},
            {"name":"bare"}],
            "workflowPresets":[{"name":"all","steps":[{"type":"configure","name":"debug"},{"type":"build","name":"x"}]}]}"#;
        let files = [LISTS, ("here/CMakePresets.json", presets)];
        check("cmake --preset debug", &files, Some("here/b/debug"));
        check("cmake --preset=own", &files, Some("here/out"));
        check("cmake --preset debug -B b", &files, Some("here/b"));
        check("cmake --preset odd", &files, None);
        check("cmake --preset env", &files, Some("here/b-fast$"));
        check("cmake --preset loop", &files, Some("here"));
        check("cmake --preset bare", &files, Some("here"));
        check("cmake --preset none", &files, None);
        check("cmake --workflow --preset all", &files, Some("here/b/debug"));
        check("cmake --workflow --preset debug", &files, None);
        let user = r#"{"version":6,"include":["more/x.json"],"configurePresets":[{"name":"mine","inherits":["far","debug"]}]}"#;
        let far = r#"{"version":6,"configurePresets":[{"name":"far","binaryDir":"${fileDir}/b"}]}"#;
        let files = [LISTS, files[1], ("here/CMakeUserPresets.json", user), ("here/more/x.json", far)];
        check("cmake --preset mine", &files, Some("here/more/b"));
        check("cmake --preset debug", &[LISTS, ("here/CMakePresets.json", "{")], None);
    }

    #[test]
    fn a_question_that_cannot_be_written_is_none() {
        check("cmake -B b", &[LISTS, ("here/b/.cmake", "a file")], None);
    }
}
