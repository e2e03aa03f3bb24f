//! The target of a command line, and the numbers of jobs in it.

/// The things a command line says of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The name of the run, else its command line without numbers of jobs.
    pub(crate) target: Option<String>,
    /// The whole command line.
    pub(crate) command: Option<String>,
    /// The kind of command.
    pub(crate) kind: Option<&'static str>,
    /// `max-jobs` of Nix.
    pub(crate) max_jobs: Option<u32>,
    /// `cores` of Nix.
    pub(crate) cores: Option<u32>,
    /// `-j` of make, ninja, cargo or CMake.
    pub(crate) tool_jobs: Option<u32>,
}

impl Subject {
    /// Reads the words of a command.
    pub(crate) fn of(name: Option<&str>, words: &[String]) -> Self {
        let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        let kind = match program {
            "nix" | "nix-build" | "nix-store" | "nix-shell" | "nix-env" | "nix-instantiate" => "nix",
            "nixos-rebuild" | "darwin-rebuild" | "home-manager" | "nh" | "colmena" | "deploy"
            | "system-manager" => "switch",
            "make" | "gmake" => "make",
            "ninja" | "samu" => "ninja",
            "cargo" => "cargo",
            "cmake" => "cmake",
            _ => "other",
        };
        let is_nix = matches!(kind, "nix" | "switch");
        let mut subject = Self { command: Some(words.join(" ")), kind: Some(kind), ..Self::default() };
        let mut rest = Vec::new();
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let (option, attached) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value)),
                _ if word.len() > 2 && word.starts_with("-j") => ("-j", Some(&word[2..])),
                _ => (word, None),
            };
            let jobs =
                matches!(option, "-j" | "--jobs" | "--max-jobs") || option == "--parallel" && kind == "cmake";
            let cores = option == "--cores" && is_nix;
            if !jobs && !cores {
                rest.push(word);
                continue;
            }
            let value = match attached {
                Some(value) => Some(value),
                None => words.next_if(|next| *next == "auto" || next.parse::<u32>().is_ok()),
            };
            let number = value.and_then(|value| value.parse().ok());
            let place = match (cores, is_nix) {
                (true, _) => &mut subject.cores,
                (false, true) => &mut subject.max_jobs,
                (false, false) => &mut subject.tool_jobs,
            };
            *place = number.or(*place);
        }
        subject.target = name.map(str::to_owned).or_else(|| (!rest.is_empty()).then(|| rest.join(" ")));
        subject
    }

    /// Returns the number of jobs that the command line asks for.
    #[cfg(feature = "mcp")]
    pub(crate) fn jobs(&self) -> Option<u32> {
        self.tool_jobs.or(self.max_jobs)
    }
}

impl Subject {
    /// Returns the same with the number of jobs that the environment has a part in, where that is known.
    pub(crate) fn with_tool_jobs(self, jobs: Option<u32>) -> Self {
        Self { tool_jobs: jobs.or(self.tool_jobs), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_jobs_are_no_part_of_a_target() {
        let check = |line: &str, target: &str, kind: &str, jobs: [Option<u32>; 3]| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let subject = Subject::of(None, &words);
            let got = [subject.max_jobs, subject.cores, subject.tool_jobs];
            assert_eq!(
                (subject.target.as_deref(), subject.kind, got),
                (Some(target), Some(kind), jobs),
                "{line}"
            );
        };
        check("nix build .#a -j 4 --cores 2", "nix build .#a", "nix", [Some(4), Some(2), None]);
        check("nix build --max-jobs=8 .#a", "nix build .#a", "nix", [Some(8), None, None]);
        check("nix build --max-jobs auto .#a", "nix build .#a", "nix", [None; 3]);
        check("make -j4 home", "make home", "make", [None, None, Some(4)]);
        check("make -j home", "make home", "make", [None; 3]);
        check("cmake --build b --parallel 3", "cmake --build b", "cmake", [None, None, Some(3)]);
        check("/usr/bin/cargo build --jobs 2", "/usr/bin/cargo build", "cargo", [None, None, Some(2)]);
        check("sh -c make", "sh -c make", "other", [None; 3]);
        let named = Subject::of(Some("home"), &["make".to_owned(), "-j2".to_owned()]);
        assert_eq!((named.target.as_deref(), named.tool_jobs), (Some("home"), Some(2)));
    }
}
