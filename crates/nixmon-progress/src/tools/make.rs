//! GNU make: directories, failed targets, and the commands of recipes as make prints them.

use crate::{
    form::{Effect::*, Table, row},
    step,
    unit::{Stage, Tool},
};

const OUTPUT: &str = "GNU make 4.3 src/output.c";
const JOB: &str = "GNU make 4.3 src/job.c, child_error";
const RECIPE: &str = "make -n of a rule: POSIX c99 and ar; read from tree 2.1.0 and lz4 1.9.4";
const KBUILD: &str = "Linux scripts/Kbuild.include, automake 1.16 silent rules";

pub(super) static TABLE: Table = Table {
    tool: Tool::Make,
    within: &[],
    rows: &[
        row("make: Entering directory '{any}'", Opens(Stage::Compile), OUTPUT),
        row("make[{n}]: Entering directory '{any}'", Opens(Stage::Compile), OUTPUT),
        row("make: Entering directory `{any}'", Opens(Stage::Compile), OUTPUT),
        row("make[{n}]: Entering directory `{any}'", Opens(Stage::Compile), OUTPUT),
        row("gmake: Entering directory '{any}'", Opens(Stage::Compile), OUTPUT),
        row("gmake[{n}]: Entering directory '{any}'", Opens(Stage::Compile), OUTPUT),
        row("make: *** [{item}] Error {n}{any}", Fails, JOB),
        row("make[{n}]: *** [{item}] Error {n}{any}", Fails, JOB),
        row("gmake: *** [{item}] Error {n}{any}", Fails, JOB),
        row("gmake[{n}]: *** [{item}] Error {n}{any}", Fails, JOB),
        row("gcc {any}", Custom(step::recipe), RECIPE),
        row("g++ {any}", Custom(step::recipe), RECIPE),
        row("cc {any}", Custom(step::recipe), RECIPE),
        row("c++ {any}", Custom(step::recipe), RECIPE),
        row("clang {any}", Custom(step::recipe), RECIPE),
        row("clang++ {any}", Custom(step::recipe), RECIPE),
        row("x86_64-{any}", Custom(step::recipe), RECIPE),
        row("aarch64-{any}", Custom(step::recipe), RECIPE),
        row("/usr/bin/{any}", Custom(step::recipe), RECIPE),
        row("/nix/store/{any}", Custom(step::recipe), RECIPE),
        row("/bin/bash {any}", Custom(step::recipe), "automake 1.16.5 lib/am/ltlib.am"),
        row("/bin/sh {any}", Custom(step::recipe), "automake 1.16.5 lib/am/ltlib.am"),
        row("ar {any}", Custom(step::recipe), RECIPE),
        row("ld {any}", Custom(step::recipe), RECIPE),
        row("CC {object}", Begins(Stage::Compile), KBUILD),
        row("CC [M] {object}", Begins(Stage::Compile), KBUILD),
        row("CXX {object}", Begins(Stage::Compile), KBUILD),
        row("AS {object}", Begins(Stage::Compile), KBUILD),
        row("HOSTCC {object}", Begins(Stage::Compile), KBUILD),
        row("AR {object}", Begins(Stage::Link), KBUILD),
        row("LD {object}", Begins(Stage::Link), KBUILD),
        row("LD [M] {object}", Begins(Stage::Link), KBUILD),
        row("CCLD {object}", Begins(Stage::Link), KBUILD),
        row("CXXLD {object}", Begins(Stage::Link), KBUILD),
    ],
};
