//! The table `[agent]`.

use toml::de::DeValue;

use super::{Key, Reader, Value};
use crate::cli::run_name;
use crate::settings::agent::AgentFile;

const AGENT: [&str; 7] = ["hub", "host", "token-file", "ca", "runs", "spool-mib", "actions"];

impl Reader<'_> {
    pub(super) fn agent(&mut self, key: &Key<'_>, value: &Value<'_>, file: &mut AgentFile) {
        for (key, value) in self.table(key, value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "hub" => file.hub = self.word(key, value, "an address like \"https://hub.example.org\""),
                "host" => file.host = self.word(key, value, "a name"),
                "token-file" => file.token_file = self.directory(key, value),
                "ca" => file.ca = self.directory(key, value),
                "runs" => file.runs = self.choice(key, value),
                "spool-mib" => file.spool_mib = self.number(key, value, 1),
                "actions" => self.actions(key, value, file),
                _ => self.unknown(key, "[agent]", &AGENT),
            }
        }
    }

    fn actions(&mut self, key: &Key<'_>, value: &Value<'_>, file: &mut AgentFile) {
        if is_default(value) {
            file.has_defaults = Some(self.set(key, true));
            return;
        }
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong(value, "`actions`", "\"default\", or a table of names and commands");
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Err(message) = run_name(name) {
                self.mistake(
                    key.span(),
                    format!("`{}` is no name of an action: {message}", name.escape_debug()),
                );
                continue;
            }
            let command = if is_default(value) {
                Some(self.set(key, None))
            } else {
                // A hub never gets a shell, but the user of this host may use one.
                self.command(key, value).map(|set| self.set(key, Some(set.value)))
            };
            if let Some(command) = command {
                file.actions.insert(name.to_owned(), command);
            }
        }
    }

    fn word(
        &mut self,
        key: &Key<'_>,
        value: &Value<'_>,
        what: &str,
    ) -> Option<crate::settings::source::Set<String>> {
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(self.set(key, text.as_ref().to_owned())),
            _ => {
                self.wrong(value, &format!("`{}`", key.get_ref()), what);
                None
            }
        }
    }
}

fn is_default(value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::String(text) if text.as_ref() == "default")
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn actions_are_named_one_by_one_or_all() {
        let text = "[agent]\nhub = \"https://hub\"\nruns = \"commands\"\nspool-mib = 10\n[agent.actions]\n\
            switch = [\"nixos-rebuild\", \"switch\"]\nbuild = \"default\"\nclean = \"nix-collect-garbage -d\"\n";
        let file = parse(text).unwrap().agent;
        let actions: Vec<_> =
            file.actions.iter().map(|(name, set)| (name.as_str(), set.line, set.value.clone())).collect();
        let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            actions,
            [
                ("build", 7, None),
                ("clean", 8, words(&["nix-collect-garbage", "-d"])),
                ("switch", 6, words(&["nixos-rebuild", "switch"])),
            ]
        );
        assert!(parse("[agent]\nactions = \"default\"").unwrap().agent.has_defaults.unwrap().value);
        for (text, expected) in [
            ("[agent]\nhubs = 1", "2:1: unknown key `hubs` in [agent]; did you mean `hub`?"),
            ("[agent]\nhub = 1", "2:7: `hub` is an address like"),
            ("[agent]\nruns = \"none\"", "2:8: `runs` is one of all, commands, not \"none\""),
            (
                "[agent]\nactions = \"all\"",
                "2:11: `actions` is \"default\", or a table of names and commands",
            ),
            ("[agent.actions]\n\"a b\" = \"x\"", "2:1: `a b` is no name of an action: "),
            ("[agent.actions]\nswitch = []", "2:10: `command` is a list of the program"),
            ("[agent]\nspool-mib = 0", "2:13: `spool-mib` is a whole number, at least 1"),
        ] {
            let mistakes = parse(text).expect_err(text);
            assert!(mistakes[0].to_string().starts_with(expected), "{text:?}: {mistakes:?}");
        }
    }
}
