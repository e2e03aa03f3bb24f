//! The words of this crate: tools, stages, units of work and counts of tests.

use serde::Serialize;

macro_rules! tools {
    ($($tool:ident $name:literal $doc:literal,)*) => {
        /// A build tool, test runner or downloader whose output is recognised.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[non_exhaustive]
        pub enum Tool {
            $(#[doc = $doc] #[serde(rename = $name)] $tool,)*
        }

        impl Tool {
            /// All tools, in the order of their tables.
            pub const ALL: &'static [Self] = &[$(Self::$tool),*];

            /// Returns the name that the JSON output uses.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$tool => $name,)*
                }
            }
        }
    };
}

tools! {
    Ninja "ninja" "ninja, or samurai.",
    CMake "cmake" "CMake: configure, its Makefiles, install.",
    Make "make" "GNU make and its recipes.",
    Meson "meson" "Meson's configure; it builds by ninja.",
    Autotools "autotools" "`configure`, automake and libtool.",
    Cargo "cargo" "cargo build, check and install.",
    Rustc "rustc" "rustc called without cargo.",
    Ghc "ghc" "GHC, also below Cabal.",
    Go "go" "`go build -v` and `-x`.",
    Npm "npm" "npm.",
    Pnpm "pnpm" "pnpm.",
    Vite "vite" "Vite and Rollup.",
    Webpack "webpack" "webpack.",
    Gradle "gradle" "Gradle.",
    Maven "maven" "Maven.",
    Pip "pip" "pip, and setuptools below it.",
    Latex "latex" "LaTeX and latexmk.",
    Bazel "bazel" "Bazel.",
    CTest "ctest" "CTest.",
    CargoTest "cargo-test" "The test harness of Rust.",
    Nextest "nextest" "cargo-nextest.",
    Pytest "pytest" "pytest.",
    GoTest "go-test" "`go test`.",
    Prove "prove" "prove, and TAP.",
    MesonTest "meson-test" "`meson test`.",
    Curl "curl" "curl's progress meter.",
    Git "git" "`git clone` and `git fetch`.",
    CargoFetch "cargo-fetch" "Crates that cargo downloads.",
}

impl Tool {
    /// Returns the tool's bit in a [`ToolSet`].
    pub(crate) const fn bit(self) -> u64 {
        1 << (self as u64)
    }

    /// Finds the tool that a program's name stands for, as the first word of a command line.
    pub fn of_program(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next().unwrap_or(name);
        Some(match name {
            "ninja" | "samu" | "ninja-build" => Self::Ninja,
            "make" | "gmake" => Self::Make,
            "cmake" => Self::CMake,
            "meson" => Self::Meson,
            "configure" => Self::Autotools,
            "cargo" => Self::Cargo,
            "rustc" => Self::Rustc,
            "ghc" | "cabal" | "Setup" => Self::Ghc,
            "go" => Self::Go,
            "npm" | "npx" => Self::Npm,
            "pnpm" => Self::Pnpm,
            "vite" => Self::Vite,
            "webpack" => Self::Webpack,
            "gradle" | "gradlew" => Self::Gradle,
            "mvn" | "mvnw" => Self::Maven,
            "pip" | "pip3" => Self::Pip,
            "latexmk" | "pdflatex" | "xelatex" | "lualatex" | "latex" => Self::Latex,
            "bazel" | "bazelisk" => Self::Bazel,
            "ctest" => Self::CTest,
            "cargo-nextest" => Self::Nextest,
            "pytest" | "py.test" => Self::Pytest,
            "prove" => Self::Prove,
            "curl" => Self::Curl,
            "git" => Self::Git,
            _ => return None,
        })
    }

    /// Returns whether the tool only runs tests.
    pub fn runs_tests(self) -> bool {
        matches!(
            self,
            Self::CTest
                | Self::CargoTest
                | Self::Nextest
                | Self::Pytest
                | Self::GoTest
                | Self::Prove
                | Self::MesonTest
        )
    }

    /// Returns whether the tool only fetches.
    pub fn downloads(self) -> bool {
        matches!(self, Self::Curl | Self::Git | Self::CargoFetch)
    }
}

/// The stage of a build that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Sources or dependencies are fetched.
    Download,
    /// The build is being set up.
    Configure,
    /// Sources are compiled or generated.
    Compile,
    /// Objects are linked or archived.
    Link,
    /// Tests run.
    Test,
    /// Files are put in place.
    Install,
}

/// Counts of a test runner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tests {
    /// Tests that ended, failed and skipped ones included.
    pub done: u64,
    /// Tests there are, where the runner says so.
    pub total: Option<u64>,
    /// Tests that failed.
    pub failed: u64,
}

/// The work of one tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    /// The tool whose lines these are.
    pub tool: Tool,
    /// The stage of its latest line.
    pub stage: Stage,
    /// Steps that ended: files, crates, modules, tasks or tests.
    pub done: u64,
    /// Steps there are, where the tool or the project says so.
    pub total: Option<u64>,
    /// Share of the work that is done, from 0 to 100. It never falls.
    pub percent: Option<f64>,
    /// True if the percent rests on an estimate and not on the tool's own count.
    pub estimated: bool,
    /// The file or test of the latest line.
    pub current: Option<String>,
    /// The package, target or crate of the latest line.
    pub package: Option<String>,
    /// Steps that failed.
    pub failed: u64,
    /// Counts of tests, where the tool runs tests.
    pub tests: Option<Tests>,
}
