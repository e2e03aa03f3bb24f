//! One file per program, one table per file.

use std::sync::LazyLock;

use super::rule::{Program, Tables};

pub(super) mod colmena;
pub(super) mod deploy_rs;
pub(super) mod disko;
pub(super) mod home_manager;
pub(super) mod launchd;
pub(super) mod make;
pub(super) mod nh;
mod nix_darwin;
pub(super) mod nix_profile;
pub(super) mod nixos_rebuild;
mod sd_switch;
mod secrets;
pub(super) mod sudo;
mod switch_to_configuration;
pub(super) mod system_manager;

/// Every program we know. Order matters where two programs print the same line and both take part in a run: the
/// first whose rule is possible wins.
pub(super) static PROGRAMS: [&Program; 15] = [
    &sudo::PROGRAM,
    &nix_profile::PROGRAM,
    &colmena::PROGRAM,
    &deploy_rs::PROGRAM,
    &disko::PROGRAM,
    &disko::SCRIPT_COMMANDS,
    &nh::PROGRAM,
    &system_manager::PROGRAM,
    &nixos_rebuild::PROGRAM,
    &switch_to_configuration::PROGRAM,
    &nix_darwin::PROGRAM,
    &launchd::PROGRAM,
    &sd_switch::PROGRAM,
    &home_manager::PROGRAM,
    &secrets::PROGRAM,
];

/// The rows of all tables.
pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::new(&PROGRAMS));

#[cfg(test)]
mod tests {
    use super::PROGRAMS;
    use crate::activation::rule::Rule;

    #[test]
    fn tables_are_well_formed() {
        const HOLES: [&str; 9] = ["units", "unit", "agent", "word", "step", "code", "path", "text", "any"];
        for program in PROGRAMS {
            for Rule { form, source, .. } in program.rules {
                assert!(!source.is_empty(), "{form}: no source");
                let (mut literal, mut holes) = (form.len(), 0);
                for piece in form.split('{').skip(1) {
                    let (hole, _) = piece.split_once('}').expect("a hole is closed");
                    assert!(HOLES.contains(&hole), "{form}: no hole is called {hole}");
                    literal -= hole.len() + 2;
                    holes += 1;
                }
                // A form with too little around its holes would fit anything.
                assert!(literal > 1, "{form}: fits anything");
                assert_eq!(form.matches('}').count(), holes, "{form}: a brace too many");
            }
            let forms: Vec<&str> = program.rules.iter().map(|rule| rule.form).collect();
            for (at, form) in forms.iter().enumerate() {
                assert!(!forms[..at].contains(form), "{form}: listed twice");
            }
        }
    }
}
