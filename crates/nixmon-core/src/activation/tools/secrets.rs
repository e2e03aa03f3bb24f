//! agenix and sops-nix, inside the activations that decrypt secrets.

use crate::activation::{
    Tool,
    rule::{Effect::*, Program, rule},
};

const AG: &str = "AG:modules/age.nix";
const SOPS: &str = "sops-nix, observed";

pub(super) static PROGRAM: Program = Program {
    within: &[
        Tool::NixosRebuild,
        Tool::NixDarwin,
        Tool::HomeManager,
        Tool::Colmena,
        Tool::DeployRs,
        Tool::Nh,
    ],
    rules: &[
        rule("[agenix] WARNING: {text}", Warn, AG),
        rule("[agenix] {text}", Note, AG),
        rule("decrypting '{text}' to '{text}'...", Note, AG),
        rule("age: error: {text}", Complain, "age, observed"),
        rule("sops-install-secrets: failed to {text}", Complain, SOPS),
        rule("{path}/sops-install-secrets: failed to {text}", Complain, SOPS),
        rule("sops-install-secrets: Imported {text}", Note, SOPS),
        rule("{path}/sops-install-secrets: Imported {text}", Note, SOPS),
    ],
};
