//! Meson's configure step. ninja builds, and its table reads that.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const SETUP: &str = "Meson 1.0.1 mesonbuild/msetup.py";
const INTERPRETER: &str = "Meson 1.0.1 mesonbuild/interpreter/interpreter.py";
const COMPILERS: &str = "Meson 1.0.1 mesonbuild/interpreter/compiler.py";

pub(super) static TABLE: Table = Table {
    tool: Tool::Meson,
    within: &[],
    rows: &[
        row("The Meson build system", Opens(Stage::Configure), SETUP),
        inner("Project name: {item}", Begins(Stage::Configure), INTERPRETER),
        inner("Checking for function {item} : {any}", Ends(Stage::Configure), COMPILERS),
        inner("Check usable header {item} : {any}", Ends(Stage::Configure), COMPILERS),
        inner("Compiler for C supports arguments {item}: {any}", Ends(Stage::Configure), COMPILERS),
        inner("Compiler for C++ supports arguments {item}: {any}", Ends(Stage::Configure), COMPILERS),
        inner("Run-time dependency {item} found: {any}", Ends(Stage::Configure), INTERPRETER),
        inner("Library {item} found: {any}", Ends(Stage::Configure), INTERPRETER),
        inner("Program {item} found: {any}", Ends(Stage::Configure), INTERPRETER),
        row("Build targets in project: {n}", Closes, SETUP),
        inner("Installing {item} to {any}", Ends(Stage::Install), "Meson 1.0.1 mesonbuild/minstall.py"),
    ],
};
