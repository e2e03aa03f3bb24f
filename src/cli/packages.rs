//! Arguments of what prints packages.

use clap::{Args, ValueHint};

/// The project whose packages are printed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PackagesArgs {
    /// A directory: a CMake or ninja build, a project with one in build/, out/ or cmake-build-*, a cargo workspace, or one
    /// with CMakeLists.txt files; or an installable of Nix or a .drv file [default: this directory]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub place: Option<String>,
    /// Also print the sources of each package
    #[arg(long)]
    pub sources: bool,
    /// All packages, not only those that take longest
    #[arg(long, short)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The packages whose past is printed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PackageHistoryArgs {
    /// A CMake target, crate or directory, or a derivation without its version [default: all, the slowest first]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Only runs of this target
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// The newest N runs, if no package is named
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub runs: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
