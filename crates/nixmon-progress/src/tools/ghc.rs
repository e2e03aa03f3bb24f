//! GHC's `--make` and Cabal's phases.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const MAKE: &str = "GHC 9.0 compiler/GHC/Driver/Make.hs, showModMsg";
const CABAL: &str = "Cabal 3.8 Distribution/Simple";

pub(super) static TABLE: Table = Table {
    tool: Tool::Ghc,
    within: &[],
    rows: &[
        row("[{done} of {total}] Compiling {item} ( {any}", Counts(Stage::Compile), MAKE),
        row("[{done} of {total}] Compiling {item}", Counts(Stage::Compile), MAKE),
        row("[{done} of {total}] Linking {item}", Counts(Stage::Link), "GHC 9.6 compiler/GHC/Driver/Make.hs"),
        inner("Linking {item} ...", Begins(Stage::Link), MAKE),
        row("Preprocessing library for {package}..", Opens(Stage::Compile), CABAL),
        row("Building library for {package}..", Opens(Stage::Compile), CABAL),
        row("Preprocessing executable '{any}' for {package}..", Opens(Stage::Compile), CABAL),
        row("Building executable '{any}' for {package}..", Opens(Stage::Compile), CABAL),
        row("Installing library in {any}", Opens(Stage::Install), CABAL),
    ],
};
