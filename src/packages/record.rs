//! The packages of a project as JSON.

use std::borrow::Cow;

use nixmon_core::wire::{Package, SCHEMA, Schemas};
use nixmon_history::packages::PackageHistory;
use nixmon_progress::Language;
use nixmon_progress::packages as progress;
use nixmon_runs::{RunState, Status};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The packages of a project, as `nixmon packages --json` prints them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PackagesRecord {
    /// Type of the line.
    #[schemars(extend("const" = "packages"))]
    pub(crate) r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub(crate) schema: u32,
    /// The directory that was read, absolute, or the installable or derivation that was named.
    pub(crate) place: String,
    /// The source of this knowledge.
    pub(crate) origin: PackagesOrigin,
    /// Other build directories of the project, which were configured earlier.
    pub(crate) other_places: Vec<String>,
    /// The packages, sorted by name.
    pub(crate) packages: Vec<PackageRow>,
    /// The chain of packages that wait for each other and takes longest.
    pub(crate) critical_path: CriticalPath,
}

impl PackagesRecord {
    pub(super) fn new(place: String, origin: PackagesOrigin, packages: Vec<PackageRow>) -> Self {
        Self {
            r#type: "packages".into(),
            schema: SCHEMA,
            place,
            origin,
            other_places: Vec::new(),
            packages,
            critical_path: CriticalPath::default(),
        }
    }

    /// Makes the record of a project.
    pub(super) fn of_project(place: String, project: &progress::Project) -> Self {
        let rows = project.targets.iter().map(|target| PackageRow::of_target(project, target));
        Self::new(place, project.origin.into(), rows.collect())
    }
}

/// The packages of a run, as `nixmon status --packages --json` prints them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PackageStatusRecord<'s> {
    /// Type of the line.
    #[schemars(extend("const" = "package-status"))]
    pub(crate) r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub(crate) schema: u32,
    /// Number of the run.
    pub(crate) run: u64,
    /// The stage of the run's life.
    pub(crate) state: RunState,
    /// True if packages are derivations: those that failed or are in progress, the next, and the last that were built.
    pub(crate) are_derivations: bool,
    /// The packages, sorted by name.
    pub(crate) packages: &'s [Package],
}

impl<'s> PackageStatusRecord<'s> {
    /// Makes the record of a run.
    pub(crate) fn new(status: &Status, are_derivations: bool, packages: &'s [Package]) -> Self {
        let (run, state) = (status.id.0, status.state);
        Self { r#type: "package-status".into(), schema: SCHEMA, run, state, are_derivations, packages }
    }
}

/// The past of packages, as `nixmon history packages --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PackageHistoryRecord {
    /// Type of the line.
    #[schemars(extend("const" = "package-history"))]
    pub(crate) r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub(crate) schema: u32,
    /// The target that was asked for.
    pub(crate) target: Option<String>,
    /// The packages, the slowest first.
    pub(crate) packages: Vec<PackageHistory>,
}

impl PackageHistoryRecord {
    /// Makes the record of packages.
    pub(crate) fn new(target: Option<&str>, packages: Vec<PackageHistory>) -> Self {
        let target = target.map(str::to_owned);
        Self { r#type: "package-history".into(), schema: SCHEMA, target, packages }
    }
}

/// The files or the tool from which packages were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PackagesOrigin {
    /// CMake's file API: `.cmake/api/v1/reply`.
    CmakeFileApi,
    /// `build.ninja`.
    NinjaFile,
    /// CMake's Makefiles.
    Makefiles,
    /// `CMakeLists.txt` files, whose conditions are not evaluated.
    CmakeLists,
    /// The output of `cargo metadata`.
    CargoMetadata,
    /// The `.drv` files of a derivation and of all that it needs.
    Derivations,
}

impl From<progress::Origin> for PackagesOrigin {
    fn from(origin: progress::Origin) -> Self {
        match origin {
            progress::Origin::CmakeFileApi => Self::CmakeFileApi,
            progress::Origin::NinjaFile => Self::NinjaFile,
            progress::Origin::Makefiles => Self::Makefiles,
            progress::Origin::CmakeLists => Self::CmakeLists,
            progress::Origin::CargoMetadata => Self::CargoMetadata,
        }
    }
}

impl PackagesOrigin {
    /// Returns the words for it, to be read after `from`.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::CmakeFileApi => "CMake's file API",
            Self::NinjaFile => "build.ninja",
            Self::Makefiles => "CMake's Makefiles",
            Self::CmakeLists => "CMakeLists.txt files, conditions not evaluated",
            Self::CargoMetadata => "cargo metadata",
            Self::Derivations => ".drv files",
        }
    }
}

/// A package.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PackageRow {
    /// The name: of a CMake target, a crate, or a derivation. Derivations that share a name have their digest before it.
    pub(crate) name: String,
    /// The kind.
    pub(crate) kind: PackageKind,
    /// The file that it makes, without directories, where that is known.
    pub(crate) output: Option<String>,
    /// The path of the derivation; null for other packages.
    pub(crate) derivation: Option<String>,
    /// True if it is a part of the project itself; false for a crate from elsewhere that the project needs.
    pub(crate) is_own: bool,
    /// True if a build without arguments makes it, as far as is known.
    pub(crate) is_built: bool,
    /// Names of the packages that must be built before, sorted.
    pub(crate) depends_on: Vec<String>,
    /// The sources that are compiled.
    pub(crate) sources: Vec<SourceRow>,
    /// Number of sources by language, the most frequent first.
    pub(crate) languages: Vec<LanguageCount>,
    /// The time that it is expected to take, in milliseconds; null if nothing is known.
    pub(crate) expected_ms: Option<u64>,
    /// The origin of that time.
    pub(crate) expected_from: Option<Basis>,
    /// The number of builds behind it, if it is from the history.
    pub(crate) samples: Option<u32>,
}

impl PackageRow {
    fn of_target(project: &progress::Project, target: &progress::Target) -> Self {
        let is_built = project.is_expected(target);
        let time = project.expected_time(target);
        let mut languages: Vec<LanguageCount> = Vec::new();
        for source in &target.sources {
            let language = language(source.language);
            match languages.iter_mut().find(|count| count.language == language) {
                Some(count) => count.files += 1,
                None => languages.push(LanguageCount { language: language.into(), files: 1 }),
            }
        }
        languages.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.language.cmp(&b.language)));
        let sources = target.sources.iter().map(|source| SourceRow {
            path: source.path.clone(),
            language: language(source.language).into(),
            bytes: source.bytes,
        });
        Self {
            name: target.name.clone(),
            kind: target.kind.into(),
            output: target.output.clone(),
            derivation: None,
            is_own: project.origin != progress::Origin::CargoMetadata || target.is_default == Some(true),
            is_built,
            depends_on: target.depends_on.clone(),
            sources: sources.collect(),
            languages,
            expected_ms: (!time.is_zero()).then(|| nixmon_core::wire::millis(time)),
            expected_from: (!time.is_zero()).then_some(Basis::Sources),
            samples: None,
        }
    }
}

/// The kind of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PackageKind {
    /// A program.
    Executable,
    /// An archive.
    StaticLibrary,
    /// A shared library or a plugin.
    SharedLibrary,
    /// Objects that are not linked by themselves.
    ObjectLibrary,
    /// A crate.
    Crate,
    /// A target that compiles nothing.
    Utility,
    /// A derivation.
    Derivation,
}

impl From<progress::TargetKind> for PackageKind {
    fn from(kind: progress::TargetKind) -> Self {
        match kind {
            progress::TargetKind::Executable => Self::Executable,
            progress::TargetKind::StaticLibrary => Self::StaticLibrary,
            progress::TargetKind::SharedLibrary => Self::SharedLibrary,
            progress::TargetKind::ObjectLibrary => Self::ObjectLibrary,
            progress::TargetKind::Crate => Self::Crate,
            progress::TargetKind::Utility => Self::Utility,
        }
    }
}

/// A source of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SourceRow {
    /// The path: absolute where the build system gives it so, else relative to the place.
    pub(crate) path: String,
    /// The language: `c`, `c++`, `rust`, `fortran`, `assembly`, `go`, `haskell`, `java`, `other`.
    pub(crate) language: Cow<'static, str>,
    /// The length in bytes, where the file could be read.
    pub(crate) bytes: Option<u64>,
}

/// Number of sources in a language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct LanguageCount {
    /// The language, as in a source.
    pub(crate) language: Cow<'static, str>,
    /// The number of sources.
    pub(crate) files: u64,
}

/// The origin of an expected time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Basis {
    /// Earlier builds: the median time from the package's begin to its end.
    History,
    /// The languages and lengths of its sources: the time of one after the other, scaled to the packages whose history is
    /// known.
    Sources,
}

/// The longest chain of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct CriticalPath {
    /// Names, the first to be built first. Where no time is known it is the chain of most packages.
    pub(crate) packages: Vec<String>,
    /// The sum of their expected times, in milliseconds; null unless all are known.
    pub(crate) expected_ms: Option<u64>,
}

fn language(language: Language) -> &'static str {
    match language {
        Language::C => "c",
        Language::Cxx => "c++",
        Language::Rust => "rust",
        Language::Fortran => "fortran",
        Language::Assembly => "assembly",
        Language::Go => "go",
        Language::Haskell => "haskell",
        Language::Java => "java",
        _ => "other",
    }
}

#[cfg(test)]
impl PackageRow {
    /// Makes a static library of so many files of C.
    pub(crate) fn for_tests(name: &str, needs: &[&str], n_files: usize) -> Self {
        let source = |n: usize| SourceRow { path: format!("{n}.c"), language: "c".into(), bytes: Some(7) };
        Self {
            name: name.to_owned(),
            kind: if n_files > 0 { PackageKind::StaticLibrary } else { PackageKind::Utility },
            output: None,
            derivation: None,
            is_own: true,
            is_built: n_files > 0,
            depends_on: needs.iter().map(|name| (*name).to_owned()).collect(),
            sources: (0..n_files).map(source).collect(),
            languages: vec![LanguageCount { language: "c".into(), files: n_files as u64 }],
            expected_ms: None,
            expected_from: None,
            samples: None,
        }
    }
}

#[cfg(test)]
impl PackagesRecord {
    /// Makes the packages of a build directory of CMake.
    pub(crate) fn for_tests(place: &str, packages: Vec<PackageRow>) -> Self {
        Self::new(place.to_owned(), PackagesOrigin::CmakeFileApi, packages)
    }
}

/// Returns the JSON schema of what is printed about packages, which `docs/packages.schema.json` holds.
pub fn schema() -> Value {
    let mut schema = Schemas::default()
        .with::<PackagesRecord>()
        .with::<PackageStatusRecord<'_>>()
        .with::<PackageHistoryRecord>()
        .finish();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), "nixmon: packages".into());
        let description = "One line of `nixmon packages --json`, `nixmon status --packages --json` or `nixmon history packages --json`. New fields and names may appear without a new schema number: \
            readers must ignore fields that they do not know, and accept unknown names.";
        schema.insert("description".to_owned(), description.into());
    }
    schema
}
