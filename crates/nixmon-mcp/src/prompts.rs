//! Prompts: workflows that a user picks from a menu.

use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role,
};

/// Returns all prompts.
pub(crate) fn all() -> Vec<Prompt> {
    let argument = |name: &str, description: &str| {
        vec![PromptArgument::new(name).with_description(description).with_required(false)]
    };
    vec![
        Prompt::new(
            "rebuild-home",
            Some("Rebuild and switch the home configuration, watched"),
            Some(argument("target", "Name of the configured target, default home")),
        )
        .with_title("Rebuild home"),
        Prompt::new(
            "update-flake",
            Some("Update the inputs of a flake, build it, and report what changed"),
            Some(argument("flake", "Directory of the flake, default the current one")),
        )
        .with_title("Update a flake"),
    ]
}

/// Returns the messages of a prompt.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| -> Option<String> {
        let text = request.arguments.as_ref()?.get(name)?.as_str()?;
        let text = crate::words::clean(text, 200);
        (!text.is_empty()).then_some(text)
    };
    let text = match request.name.as_str() {
        "rebuild-home" => {
            let target = argument("target").unwrap_or_else(|| "home".to_owned());
            format!(
                "Rebuild the home configuration. Call build_plan with target \"{target}\"; tell me briefly what would be \
                 built and the generation to roll back to, and ask whether to go on. Then call build_apply with the plan, \
                 and build_wait as its answers say. If there is no such target, ask me for the command. If it fails, call \
                 why_failed and explain the cause with its file and line; change nothing without asking."
            )
        }
        "update-flake" => {
            let flake = argument("flake").unwrap_or_else(|| ".".to_owned());
            format!(
                "Update the inputs of the flake in \"{flake}\": call build_start with command \
                 [\"nix\",\"flake\",\"update\",\"--flake\",\"{flake}\"], and build_wait. Then build what matters of it with \
                 build_start, and build_wait. Report which inputs changed and whether it builds. If it fails, call \
                 why_failed, and say whether the update or something else is to blame."
            )
        }
        name => {
            let name = crate::words::clean(name, 40);
            return Err(ErrorData::invalid_params(
                format!("there is no prompt {name}; there are rebuild-home and update-flake"),
                None,
            ));
        }
    };
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]))
}
