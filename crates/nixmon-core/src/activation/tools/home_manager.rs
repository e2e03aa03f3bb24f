//! home-manager: its command, its activation script, its news. Its steps are named, its texts are translated.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::activation::{
    Tool::{self, HomeManager},
    rule::{Effect::*, Program, Quote, is_step, rule},
};

const INIT: &str = "HM:modules/lib-bash/activation-init.sh";
const HOME: &str = "HM:modules/home-environment.nix";
const FILES: &str = "HM:modules/files.nix, modules/files/check-link-targets.sh";
const COMMAND: &str = "HM:home-manager/home-manager";
const SYSTEMD: &str = "HM:modules/systemd.nix";
const PO: &str = "HM:modules/po";

pub(super) static PROGRAM: Program = Program {
    within: &[HomeManager, Tool::NixDarwin, Tool::Nh, Tool::DeployRs],
    rules: &[
        rule("home-manager switch{any}", Command(HomeManager), COMMAND),
        rule("nix run {text}home-manager{text} switch{any}", Command(HomeManager), COMMAND),
        rule("Starting Home Manager activation", Begin(HomeManager), INIT),
        rule("Starting home manager activation", Begin(HomeManager), "HM before December 2021"),
        // Known translations; the others are recognised by the step that follows, see `translated_step`.
        rule("Starte Home-Manager-Aktivierung", Begin(HomeManager), PO),
        rule("Démarrage de l'activation de Home Manager", Begin(HomeManager), PO),
        rule("Comenzando activación de Home Manager", Begin(HomeManager), PO),
        rule("Startar Home Manager-aktivering", Begin(HomeManager), PO),
        rule("Home Managerの有効化を開始しました", Begin(HomeManager), PO),
        rule("Activating {step}", NamedStep, HOME),
        rule("Aktiviere {step}", NamedStep, PO),
        rule("Activation de {step}", NamedStep, PO),
        rule("Activando {step}", NamedStep, PO),
        rule("Aktiverar {step}", NamedStep, PO),
        rule("{step} を有効化しています", NamedStep, PO),
        // Before the first step.
        rule("Sanity checking Nix", Note, INIT),
        rule("Sanity checking oldGenNum and oldGenPath", Note, INIT),
        rule("This is a dry run", DryRun(None), INIT),
        rule("This is a live run", Note, INIT),
        rule("Using Nix version: {any}", Note, INIT),
        rule("Activation variables:", Note, INIT),
        rule("Migrating profile from {any}", Note, INIT),
        rule("USER is \"{any}\", expected \"{any}\"", RefusedQuietly(Some(HomeManager), "checks"), INIT),
        rule("HOME is \"{any}\", expected \"{any}\"", RefusedQuietly(Some(HomeManager), "checks"), INIT),
        rule("UID is \"{any}\", expected \"{any}\"", RefusedQuietly(Some(HomeManager), "checks"), INIT),
        rule(
            "USER is set to \"{any}\" but we expect \"{any}\"",
            RefusedQuietly(Some(HomeManager), "checks"),
            INIT,
        ),
        rule(
            "HOME is set to \"{any}\" but we expect \"{any}\"",
            RefusedQuietly(Some(HomeManager), "checks"),
            INIT,
        ),
        rule("UID is \"{any}\" but we expect \"{any}\"", RefusedQuietly(Some(HomeManager), "checks"), INIT),
        rule(
            "Error: USER is set to \"{any}\" but we expect \"{any}\"",
            RefusedQuietly(Some(HomeManager), "checks"),
            INIT,
        ),
        rule(
            "Error: HOME is set to \"{any}\" but we expect \"{any}\"",
            RefusedQuietly(Some(HomeManager), "checks"),
            INIT,
        ),
        rule(
            "Could not find suitable profile directory, tried {any}",
            Refused(Some(HomeManager), "checks"),
            INIT,
        ),
        rule(
            "The configuration does not contain the specialisation \"{any}\"",
            Refused(Some(HomeManager), "checks"),
            COMMAND,
        ),
        // checkLinkTargets: from the harmless to the fatal; the last form is that of older releases.
        rule(
            "Existing file '{text}' is in the way of '{text}', will be skipped since they are the same",
            Note,
            FILES,
        ),
        rule("Existing file '{text}' is in the way of '{text}', will be moved to '{text}'", Note, FILES),
        rule(
            "Existing file '{text}' is in the way of '{text}' and '{text}' exists. Backup will be clobbered {any}",
            Warn,
            FILES,
        ),
        rule("Existing file '{text}' would be clobbered by backing up '{text}'", FileInTheWay, FILES),
        rule("Existing file '{text}' would be clobbered", FileInTheWay, FILES),
        rule("Existing file '{text}' is in the way of '{path}'", FileInTheWay, FILES),
        rule("Please do one of the following:", Fatal, FILES),
        rule("Path '{text}' does not link into a Home Manager generation. Skipping delete.", Warn, FILES),
        rule("A link target changed while resolving symlinks; retry activation.", Fatal, FILES),
        rule("Moving '{text}' failed!", Complain, FILES),
        rule("Running '{text}' on '{text}' failed.", Complain, FILES),
        rule("Cleaning up orphan links from {path}", Home, FILES),
        rule("Creating home file links in {path}", Home, FILES),
        rule("Creating new profile generation{any}", Note, HOME),
        rule("Creating profile generation{any}", Note, HOME),
        rule("No change so reusing latest profile generation{any}", Note, HOME),
        // installPackages.
        rule("replacing old '{text}'", Note, "NIX:src/nix/nix-env/nix-env.cc"),
        rule("installing '{text}'", Note, "NIX:src/nix/nix-env/nix-env.cc"),
        rule("Oops, Nix failed to install your new Home Manager profile!", Fatal, HOME),
        rule("Oops, nix-env failed to install your new Home Manager profile!", Fatal, HOME),
        // reloadSystemd.
        rule("User systemd daemon not running. Skipping reload.", Warn, SYSTEMD),
        rule("The user systemd session is degraded:", Quote(Quote::DegradedTable), SYSTEMD),
        rule("Attempting to reload services anyway...", Note, SYSTEMD),
        rule("Suggested commands:", Note, SYSTEMD),
        rule("systemctl --user {word} {any}", Note, SYSTEMD),
        // The only sign of success, and optional.
        rule("There are {code} unread and relevant news items.", Note, COMMAND),
        rule("There is 1 unread and relevant news item.", Note, COMMAND),
        rule("Read them by running the command \"home-manager news\".", Note, COMMAND),
        rule("Read it by running the command \"home-manager news\".", Note, COMMAND),
    ],
};

/// The line that closes the table of failed units.
pub(in crate::activation) const DEGRADED_END: &str = "Attempting to reload services anyway...";

/// The steps home-manager itself defines, in their usual order (HM:modules, `home.activation`). The first three are the
/// ones an activation may begin with.
const STEPS: [&str; 14] = [
    "checkFilesChanged",
    "checkLinkTargets",
    "checkAppManagementPermission",
    "writeBoundary",
    "createXdgUserDirectories",
    "migrateGhAccounts",
    "installPackages",
    "dconfSettings",
    "linkGeneration",
    "onFilesChange",
    "reloadSystemd",
    "setupLaunchAgents",
    "copyApps",
    "setDarwinDefaults",
];

/// Finds any of them: nearly no line has one.
static ANY_STEP: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(STEPS).ok());

/// Steps that run nothing of the user's.
pub(in crate::activation) fn is_own_step(step: &str) -> bool {
    STEPS.contains(&step)
}

/// The step that links the files of a generation, which every activation has.
pub(in crate::activation) const LINK: &str = "linkGeneration";

/// Returns whether other steps of home-manager's follow this one unless [`LINK`] came before it.
pub(in crate::activation) fn is_before_link(step: &str) -> bool {
    STEPS.iter().take_while(|before| **before != LINK).any(|before| *before == step)
}

/// Steps an activation may begin with.
pub(in crate::activation) fn is_first_step(step: &str) -> bool {
    STEPS.iter().take(3).any(|first| *first == step)
}

/// The text around a step's name in some language: `正在激活 ` and nothing, or nothing and ` を有効化しています`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::activation) struct StepForm {
    before: String,
    after: String,
}

/// Longest step line we take for one, in bytes: the texts around the name are a few words.
const STEP_LINE: usize = 120;
/// Most words around the name: `Activation de NAME`, `NAME を有効化しています`.
const STEP_WORDS: usize = 4;

impl StepForm {
    /// The step a line names in this form.
    pub(in crate::activation) fn step<'l>(&self, line: &'l str) -> Option<&'l str> {
        let step = line.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        is_step(step).then_some(step)
    }
}

/// A line with one of home-manager's own steps in it and little else: the step and the form, if the rest is of a
/// language we have no rule for. Texts are translated, names of steps are not (HM:modules/po).
pub(in crate::activation) fn translated_step(line: &str) -> Option<(&'static str, StepForm)> {
    if line.len() > STEP_LINE || line.starts_with(char::is_whitespace) {
        return None;
    }
    if ANY_STEP.as_ref().is_some_and(|any| !any.is_match(line)) {
        return None;
    }
    STEPS.iter().find_map(|step| {
        let (before, after) = line.split_once(step)?;
        // The name must stand alone, and something must stand beside it that is prose: letters and spaces.
        let edge =
            |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && !"/.-_'\"`=:".contains(c));
        let prose = |c: char| c.is_alphabetic() || c == ' ' || c == '\u{a0}' || !c.is_ascii();
        let alone = edge(before.chars().next_back()) && edge(after.chars().next());
        let words = before.split_whitespace().count() + after.split_whitespace().count();
        let beside = (1..=STEP_WORDS).contains(&words);
        (alone && beside && before.chars().chain(after.chars()).all(prose))
            .then(|| (*step, StepForm { before: before.to_owned(), after: after.to_owned() }))
    })
}

/// A line that announces home-manager's activation in any language, as far as its name tells, which is not translated.
pub(in crate::activation) fn names_itself(line: &str) -> bool {
    if line.len() > STEP_LINE {
        return false;
    }
    let bytes = line.as_bytes();
    memchr::memchr2_iter(b'm', b'M', bytes).any(|at| {
        let before = at.checked_sub("home-".len()).and_then(|from| bytes.get(from..at));
        before.is_some_and(|before| {
            before[..4].eq_ignore_ascii_case(b"home")
                && matches!(before[4], b' ' | b'-')
                && bytes[at..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"manager"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translated_steps() {
        for (line, step) in [
            ("Aktivoidaan writeBoundary", Some("writeBoundary")),
            ("writeBoundary を有効化しています", Some("writeBoundary")),
            ("正在激活 linkGeneration", Some("linkGeneration")),
            ("Activation de l'étape linkGeneration", None),
            ("linkGeneration", None),
            ("lib/linkGeneration is a file", None),
            ("home.activation.linkGeneration is an option", None),
            ("def linkGeneration(x):", None),
            ("see 'linkGeneration' there", None),
            ("  indented linkGeneration", None),
            ("The option linkGeneration is described in the manual", None),
        ] {
            assert_eq!(translated_step(line).map(|(step, _)| step), step, "{line}");
        }
        let (_, form) = translated_step("Aktivoidaan writeBoundary").unwrap();
        assert_eq!(form.step("Aktivoidaan my-own_step"), Some("my-own_step"));
        assert_eq!(form.step("Aktivoidaan kaikki muu"), None);
    }
}
