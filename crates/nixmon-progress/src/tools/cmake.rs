//! CMake: its configure step, the Makefiles it generates, and its install script.
//!
//! The descriptions of steps are the same in its ninja files; [`crate::step`] reads them.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const MAKEFILES: &str = "CMake 3.25 Source/cmMakefileTargetGenerator.cxx";
const PROGRESS: &str = "CMake 3.25 Source/cmcmd.cxx, cmake_echo_color";
const CONFIGURE: &str = "CMake 3.25 Source/cmake.cxx";
const INSTALL: &str = "CMake 3.25 Source/cmFileInstaller.cxx";
const SCRIPT: &str = "CMake 3.25 Source/cmLocalGenerator.cxx";

pub(super) static TABLE: Table = Table {
    tool: Tool::CMake,
    within: &[],
    rows: &[
        row("[{percent}%] Built target {package}", Built, MAKEFILES),
        row("[{percent}%] {item}", Counts(Stage::Compile), PROGRESS),
        row("Scanning dependencies of target {package}", Opens(Stage::Compile), MAKEFILES),
        row("-- The {word} compiler identification is {any}", Opens(Stage::Configure), "CMake 3.25 Modules"),
        row("-- Configuring done{any}", Opens(Stage::Configure), CONFIGURE),
        row("-- Generating done{any}", Opens(Stage::Configure), CONFIGURE),
        row("-- Build files have been written to: {any}", Opens(Stage::Configure), CONFIGURE),
        inner(
            "-- Looking for {item}",
            Begins(Stage::Configure),
            "CMake 3.25 Modules/CheckFunctionExists.cmake",
        ),
        inner(
            "-- Performing Test {item}",
            Begins(Stage::Configure),
            "CMake 3.25 Modules/CheckSourceCompiles",
        ),
        inner("-- Check for {item}", Begins(Stage::Configure), "CMake 3.25 Modules"),
        row("-- Install configuration: {any}", Opens(Stage::Install), SCRIPT),
        inner("-- Installing: {item}", Ends(Stage::Install), INSTALL),
        inner("-- Up-to-date: {item}", Ends(Stage::Install), INSTALL),
        row("-- Configuring incomplete, errors occurred!", Closes, CONFIGURE),
    ],
};
