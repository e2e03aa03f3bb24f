//! `make` around the tools: the exit status it hides behind its own 2.

use crate::activation::rule::{Effect::*, Program, rule};

const MAKE: &str = "GNU make, observed";

pub(super) static PROGRAM: Program = Program {
    within: &[],
    rules: &[
        rule("make: *** [{text}] Error {code}", MakeFailed, MAKE),
        rule("make[{text}]: *** [{text}] Error {code}", MakeFailed, MAKE),
        rule("gmake: *** [{text}] Error {code}", MakeFailed, MAKE),
        rule("make: *** [{text}] Interrupt", MakeInterrupted, MAKE),
        rule("make[{text}]: *** [{text}] Interrupt", MakeInterrupted, MAKE),
        rule("gmake: *** [{text}] Interrupt", MakeInterrupted, MAKE),
        rule("make: *** [{text}] Terminated", MakeInterrupted, MAKE),
    ],
};
