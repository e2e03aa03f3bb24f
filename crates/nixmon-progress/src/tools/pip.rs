//! pip, and setuptools' commands below it.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const SPINNERS: &str = "pip 23.2 src/pip/_internal/cli/spinners.py";
const PREPARE: &str = "pip 23.2 src/pip/_internal/operations/prepare.py";
const INSTALL: &str = "pip 23.2 src/pip/_internal/commands/install.py";
const DIST: &str = "setuptools 65 distutils/dist.py, run_command";
const EXT: &str = "setuptools 65 distutils/command/build_ext.py";

pub(super) static TABLE: Table = Table {
    tool: Tool::Pip,
    within: &[],
    rows: &[
        row(
            "Collecting {package}",
            Begins(Stage::Download),
            "pip 23.2 src/pip/_internal/resolution/resolvelib",
        ),
        row(
            "Collecting {package} {any}",
            Begins(Stage::Download),
            "pip 23.2 src/pip/_internal/resolution/resolvelib",
        ),
        row("Processing {item}.whl", Begins(Stage::Install), PREPARE),
        row("Building wheel for {package} ({any}): started", Begins(Stage::Compile), SPINNERS),
        row(
            "Building wheel for {package} ({any}): finished with status 'done'",
            Ends(Stage::Compile),
            SPINNERS,
        ),
        row("Building wheel for {package} ({any}): finished with status 'error'", Fails, SPINNERS),
        row("Preparing metadata ({any}): started", Opens(Stage::Configure), SPINNERS),
        row("Installing build dependencies: started", Opens(Stage::Configure), SPINNERS),
        row("Installing collected packages: {item}", Begins(Stage::Install), INSTALL),
        row("Successfully installed {any}", Closes, INSTALL),
        row("running bdist_wheel", Opens(Stage::Compile), DIST),
        row("running build_py", Opens(Stage::Compile), DIST),
        row("running build_ext", Opens(Stage::Compile), DIST),
        row("running install_lib", Opens(Stage::Install), DIST),
        inner("building '{item}' extension", Begins(Stage::Compile), EXT),
        inner("copying {item} -> {any}", Ends(Stage::Install), "setuptools 65 distutils/file_util.py"),
        inner("adding '{item}'", Ends(Stage::Install), "wheel 0.38 src/wheel/wheelfile.py"),
    ],
};
