//! nh. It activates first and sets the profile and the boot loader afterwards.

use crate::activation::{
    Tool::Nh,
    rule::{EarlyStage, Effect::*, Program, Stage, rule},
};

const NH: &str = "NH:crates/nh-nixos/src/nixos.rs";
const CORE: &str = "NH:crates/nh-core/src/command.rs";

pub(super) static PROGRAM: Program = Program {
    within: &[Nh],
    rules: &[
        rule("nh os {any}", Command(Nh), NH),
        rule("nh home {any}", Command(Nh), "NH:crates/nh-home/src/home.rs"),
        rule("nh darwin {any}", Command(Nh), "NH:crates/nh-darwin/src/darwin.rs"),
        rule("> Building NixOS configuration", Announces(Some(Nh)), NH),
        rule("> Building Home-Manager configuration", Announces(Some(Nh)), "NH:crates/nh-home/src/home.rs"),
        rule("> Building Darwin configuration", Announces(Some(Nh)), "NH:crates/nh-darwin/src/darwin.rs"),
        rule("> Activating configuration", Begin(Nh), NH),
        rule("> Adding configuration to bootloader", BeginStage(Nh, Stage::Bootloader), NH),
        rule("   0: Bootloader activation failed", FatalIn("bootloader"), NH),
        rule("   0: Failed to set system profile", FatalIn("set-profile"), NH),
        rule(
            "   0: Failed to set Darwin system profile",
            FatalIn("set-profile"),
            "NH:crates/nh-darwin/src/darwin.rs",
        ),
        rule("   0: Activation ({word}) failed", Report, NH),
        rule("   0: Darwin activation failed", Report, "NH:crates/nh-darwin/src/darwin.rs"),
        rule("   0: Activation failed", Report, "NH:crates/nh-home/src/home.rs"),
        rule("   1: {text}Exited({code}){any}", ExitStatus, CORE),
        rule(
            "   0: Failed to build configuration",
            StageFailed(EarlyStage::Build),
            "NH:crates/nh-core/src/command.rs",
        ),
        rule("      stderr:", Note, CORE),
        rule("Error: ", Report, "color-eyre's report"),
        rule("   {text}.rs:{code}", Note, "color-eyre's report"),
        rule("Location:", Note, "color-eyre's report"),
        rule("! {text}", Warn, "NH:crates/nh-core/src/lib.rs"),
    ],
};

/// A line of the inner command's output as the report repeats it, without the report's indentation.
pub(in crate::activation) fn reported(line: &str) -> Option<&str> {
    line.strip_prefix("      ")
}
