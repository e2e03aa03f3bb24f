//! Weights of steps: how much of a build's time a file or a link is expected to take.
//!
//! A count of steps is a bad measure of time: a C file takes a tenth of a second, a C++ file seconds, and a link with
//! link-time optimization as long as a third of all that it links. The figures are only ratios: a build's own pace
//! corrects them as it goes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::packages::{Project, Target, TargetKind};

/// The language of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Language {
    /// C and Objective-C.
    C,
    /// C++, CUDA and Objective-C++.
    Cxx,
    /// A Rust crate.
    Rust,
    /// Fortran.
    Fortran,
    /// Assembly.
    Assembly,
    /// Go.
    Go,
    /// Haskell.
    Haskell,
    /// Java, Kotlin and Scala.
    Java,
    /// Anything else.
    Other,
}

impl Language {
    /// Reads CMake's name of a language.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "C" | "OBJC" => Self::C,
            "CXX" | "CUDA" | "HIP" | "OBJCXX" => Self::Cxx,
            "Fortran" => Self::Fortran,
            "ASM" | "ASM_NASM" | "ASM-ATT" => Self::Assembly,
            _ => return None,
        })
    }

    /// Tells the language of a source or an object from its name.
    pub fn of_path(path: &str) -> Self {
        let path = path.strip_suffix(".o").or_else(|| path.strip_suffix(".obj")).unwrap_or(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "c" | "m" => Self::C,
            "cc" | "cpp" | "cxx" | "c++" | "C" | "cu" | "mm" => Self::Cxx,
            "rs" => Self::Rust,
            "f" | "f90" | "F90" | "f77" => Self::Fortran,
            "s" | "S" | "asm" => Self::Assembly,
            "go" => Self::Go,
            "hs" => Self::Haskell,
            "java" | "kt" | "scala" => Self::Java,
            _ => Self::Other,
        }
    }
}

/// Steps whose times are alike, so that one tells of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Source(Language),
    Archive,
    Link,
    LtoLink,
}

impl Class {
    const LANGUAGES: [Language; 9] = [
        Language::C,
        Language::Cxx,
        Language::Rust,
        Language::Fortran,
        Language::Assembly,
        Language::Go,
        Language::Haskell,
        Language::Java,
        Language::Other,
    ];
    pub(crate) const N: usize = Self::LANGUAGES.len() + 3;

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Source(language) => {
                Self::LANGUAGES.iter().position(|other| *other == language).unwrap_or(0)
            }
            Self::Archive => Self::LANGUAGES.len(),
            Self::Link => Self::LANGUAGES.len() + 1,
            Self::LtoLink => Self::LANGUAGES.len() + 2,
        }
    }
}

/// Seconds that a source of a language takes before its text counts, and seconds for each 100 KB of it, on a common
/// machine with optimization. C++ spends its time on headers, whatever the file's own length.
fn language_cost(language: Language) -> (f64, f64) {
    match language {
        Language::C => (0.15, 0.6),
        Language::Cxx => (2.0, 2.5),
        Language::Rust => (2.5, 0.0),
        Language::Fortran => (0.4, 1.0),
        Language::Assembly => (0.05, 0.1),
        Language::Go | Language::Haskell => (0.8, 2.0),
        Language::Java => (0.2, 0.2),
        Language::Other => (0.2, 0.0),
    }
}

/// Length of a source whose length is not known.
const USUAL_LEN: f64 = 15_000.0;

/// Share of the compilers' time that link-time optimization moves to the link of each program: the back end's half,
/// less what the link leaves out because no program calls it.
const LTO_SHARE: f64 = 0.3;

/// Returns the expected seconds of a source.
pub(crate) fn source_cost(language: Language, bytes: Option<u64>) -> f64 {
    let (base, by_length) = language_cost(language);
    let len = bytes.map_or(USUAL_LEN, |bytes| (bytes as f64).min(2e6));
    base + by_length * len / 100_000.0
}

/// Returns the class and the expected seconds of a target's link; nothing for objects that are not linked.
pub(crate) fn link_cost(project: &Project, target: &Target) -> Option<(Class, f64)> {
    match target.kind {
        TargetKind::ObjectLibrary | TargetKind::Utility | TargetKind::Crate => None,
        TargetKind::StaticLibrary => Some((Class::Archive, 0.1)),
        TargetKind::Executable | TargetKind::SharedLibrary if target.lto => {
            let libraries = closure(project, target);
            let libraries = libraries.iter().filter(|library| library.kind != TargetKind::Executable);
            let compiled: f64 = libraries.chain([&target]).map(|linked| sources_cost(linked)).sum();
            Some((Class::LtoLink, 0.5 + LTO_SHARE * compiled))
        }
        TargetKind::Executable | TargetKind::SharedLibrary => Some((Class::Link, 0.5)),
    }
}

fn sources_cost(target: &Target) -> f64 {
    target.sources.iter().map(|source| source_cost(source.language, source.bytes)).sum()
}

/// Returns the targets that a target needs, directly or not, without itself.
fn closure<'p>(project: &'p Project, target: &'p Target) -> Vec<&'p Target> {
    let mut found: Vec<&Target> = Vec::new();
    let mut stack: Vec<&str> = target.depends_on.iter().map(String::as_str).collect();
    while let Some(name) = stack.pop() {
        if let Some(next) = project.target(name)
            && next.name != target.name
            && !found.iter().any(|other| other.name == next.name)
        {
            found.push(next);
            stack.extend(next.depends_on.iter().map(String::as_str));
        }
    }
    found
}

/// Sums of expected and seen seconds, by class.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    expected: f64,
    ended: f64,
    seen: f64,
}

/// Turns expected costs into a share of time, and corrects them by the pace seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weigher {
    sums: [Sums; Class::N],
}

/// Expected seconds of a class that its own expectation counts for beside what was seen of it.
const CONFIDENCE: f64 = 8.0;

impl Weigher {
    /// Adds a step that is to come.
    pub(crate) fn expect(&mut self, class: Class, cost: f64) {
        self.sums[class.index()].expected += cost;
    }

    /// Counts a step as ended, after so many seconds where they are known.
    pub(crate) fn end(&mut self, class: Class, cost: f64, seen: Option<f64>) {
        let sums = &mut self.sums[class.index()];
        sums.ended += cost;
        sums.expected = sums.expected.max(sums.ended);
        // A step whose time is not known counts as one of the usual pace.
        sums.seen += seen.unwrap_or(cost);
    }

    /// Returns the factor between expected and seen time, of all classes together and of one.
    fn pace(&self) -> f64 {
        let (seen, ended) = self.sums.iter().fold((0.0, 0.0), |(s, e), sums| (s + sums.seen, e + sums.ended));
        (seen + CONFIDENCE) / (ended + CONFIDENCE)
    }

    pub(crate) fn factor(&self, class: Class) -> f64 {
        let sums = &self.sums[class.index()];
        let pace = self.pace();
        (sums.seen + CONFIDENCE * pace) / (sums.ended + CONFIDENCE)
    }

    /// Returns the expected seconds of all steps and of those that ended, without regard to the pace.
    pub(crate) fn plain_total_and_done(&self) -> (f64, f64) {
        self.sums.iter().fold((0.0, 0.0), |(total, done), sums| (total + sums.expected, done + sums.ended))
    }

    /// Forgets all that was expected.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the seconds of all steps, and of those that ended.
    pub(crate) fn total_and_done(&self) -> (f64, f64) {
        let pace = self.pace();
        self.sums.iter().fold((0.0, 0.0), |(total, done), sums| {
            let factor = (sums.seen + CONFIDENCE * pace) / (sums.ended + CONFIDENCE);
            (total + factor * sums.expected, done + factor * sums.ended)
        })
    }
}

/// Turns seconds into a duration; what is no number is none.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}
