//! Commands that run another one, such as `sudo` and `env`.

use std::ffi::OsStr;

/// A command that runs the command in its arguments.
struct Wrapper {
    name: &'static str,
    /// Its command sees our environment.
    keeps_environment: bool,
    /// Its short options that have a value, which is the rest of the word or the next one.
    short_with_value: &'static str,
    /// Its long options whose value is the next word; with `=` it is in the same one.
    long_with_value: &'static [&'static str],
    /// Arguments of its own between the options and the command.
    n_arguments: usize,
}

const WRAPPERS: [Wrapper; 14] = [
    Wrapper {
        name: "sudo",
        keeps_environment: false,
        short_with_value: "CDRTUghprtu",
        long_with_value: &[
            "--chdir",
            "--chroot",
            "--close-from",
            "--command-timeout",
            "--group",
            "--host",
            "--other-user",
            "--prompt",
            "--role",
            "--type",
            "--user",
        ],
        n_arguments: 0,
    },
    Wrapper {
        name: "doas",
        keeps_environment: false,
        short_with_value: "Cau",
        long_with_value: &[],
        n_arguments: 0,
    },
    Wrapper {
        name: "run0",
        keeps_environment: false,
        short_with_value: "Dghu",
        long_with_value: &[
            "--background",
            "--chdir",
            "--description",
            "--group",
            "--machine",
            "--nice",
            "--property",
            "--setenv",
            "--slice",
            "--unit",
            "--user",
        ],
        n_arguments: 0,
    },
    Wrapper {
        name: "env",
        keeps_environment: true,
        short_with_value: "Cu",
        long_with_value: &["--argv0", "--chdir", "--unset"],
        n_arguments: 0,
    },
    Wrapper {
        name: "time",
        keeps_environment: true,
        short_with_value: "fo",
        long_with_value: &["--format", "--output"],
        n_arguments: 0,
    },
    Wrapper {
        name: "nice",
        keeps_environment: true,
        short_with_value: "n",
        long_with_value: &["--adjustment"],
        n_arguments: 0,
    },
    Wrapper {
        name: "ionice",
        keeps_environment: true,
        short_with_value: "cn",
        long_with_value: &["--class", "--classdata"],
        n_arguments: 0,
    },
    Wrapper {
        name: "chrt",
        keeps_environment: true,
        short_with_value: "DPT",
        long_with_value: &["--sched-deadline", "--sched-period", "--sched-runtime"],
        n_arguments: 1,
    },
    Wrapper {
        name: "nohup",
        keeps_environment: true,
        short_with_value: "",
        long_with_value: &[],
        n_arguments: 0,
    },
    Wrapper {
        name: "setsid",
        keeps_environment: true,
        short_with_value: "",
        long_with_value: &[],
        n_arguments: 0,
    },
    Wrapper {
        name: "stdbuf",
        keeps_environment: true,
        short_with_value: "eio",
        long_with_value: &["--error", "--input", "--output"],
        n_arguments: 0,
    },
    Wrapper {
        name: "timeout",
        keeps_environment: true,
        short_with_value: "ks",
        long_with_value: &["--kill-after", "--signal"],
        n_arguments: 1,
    },
    Wrapper {
        name: "caffeinate",
        keeps_environment: true,
        short_with_value: "tw",
        long_with_value: &[],
        n_arguments: 0,
    },
    Wrapper {
        name: "systemd-inhibit",
        keeps_environment: true,
        short_with_value: "",
        long_with_value: &["--mode", "--what", "--who", "--why"],
        n_arguments: 0,
    },
];

/// The place of the command that the wrappers before it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inner {
    /// The number of words before it.
    pub(super) at: usize,
    /// It sees the `NIX_CONFIG` that the outermost command is given.
    pub(super) sees_nix_config: bool,
}

/// Looks behind the wrappers. A wrapper without a command, as `sudo -v`, is a command like any other.
pub(super) fn inner<W: AsRef<OsStr>>(command: &[W]) -> Inner {
    let mut inner = Inner { at: 0, sees_nix_config: true };
    // Words are read once, since every round begins behind the last.
    while let Some(next) = behind_one(command, inner) {
        inner = next;
    }
    inner
}

fn behind_one<W: AsRef<OsStr>>(command: &[W], outer: Inner) -> Option<Inner> {
    let name = super::name(command.get(outer.at)?.as_ref())?;
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.name == name)?;
    let mut inner = Inner { at: outer.at + 1, ..outer };
    inner.sees_nix_config &= wrapper.keeps_environment;
    let mut n_arguments = wrapper.n_arguments;
    let mut is_option = true;
    loop {
        let word = command.get(inner.at)?.as_ref().to_str();
        match word {
            Some("--") if is_option => is_option = false,
            // All of the environment goes.
            Some("-" | "-i" | "--ignore-environment") if is_option && name == "env" => {
                inner.sees_nix_config = false
            }
            // Splits a string into words, which is a shell's work.
            Some(word)
                if is_option && name == "env" && (word.starts_with("-S") || word.starts_with("--split")) =>
            {
                return None;
            }
            Some(word) if is_option && word.starts_with('-') => {
                if takes_next(wrapper, word) {
                    inner.at += 1;
                    if name == "env"
                        && command.get(inner.at).is_some_and(|value| value.as_ref() == "NIX_CONFIG")
                    {
                        inner.sees_nix_config = false;
                    }
                } else if name == "env" && (word == "-uNIX_CONFIG" || word == "--unset=NIX_CONFIG") {
                    inner.sees_nix_config = false;
                }
            }
            Some(word) if is_assignment(word) && matches!(name, "sudo" | "doas" | "env") => {
                inner.sees_nix_config &= !word.starts_with("NIX_CONFIG=");
            }
            _ if n_arguments > 0 => n_arguments -= 1,
            _ => return Some(inner),
        }
        inner.at += 1;
    }
}

/// Returns whether the value of the option `word` is the next word.
fn takes_next(wrapper: &Wrapper, word: &str) -> bool {
    if word.starts_with("--") {
        return wrapper.long_with_value.contains(&word);
    }
    // The first letter with a value takes the rest of the word.
    let letters = word.trim_start_matches('-');
    letters.find(|letter| wrapper.short_with_value.contains(letter)).is_some_and(|at| at + 1 == letters.len())
}

/// `NAME=VALUE`, in which the name is one that a variable can have.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn commands_behind_wrappers() {
        for (line, rest, sees_nix_config) in [
            ("nix build", "nix build", true),
            ("sudo nix build", "nix build", false),
            ("/usr/bin/sudo -H -u root nix build", "nix build", false),
            ("sudo -Hu root nix build", "nix build", false),
            ("sudo -uroot nix build", "nix build", false),
            ("sudo --user=root A=1 nix build", "nix build", false),
            ("sudo --user root -- nix build", "nix build", false),
            ("sudo -E nix build", "nix build", false),
            ("doas -u root nix build", "nix build", false),
            ("run0 --unit x nix build", "nix build", false),
            ("env nix build", "nix build", true),
            ("env A=1 B=2 nix build", "nix build", true),
            ("env -u A nix build", "nix build", true),
            ("env -u NIX_CONFIG nix build", "nix build", false),
            ("env --unset=NIX_CONFIG nix build", "nix build", false),
            ("env NIX_CONFIG=x nix build", "nix build", false),
            ("env -i PATH=/bin nix build", "nix build", false),
            ("env - nix build", "nix build", false),
            ("time nix build", "nix build", true),
            ("time -f %e -o f nix build", "nix build", true),
            ("nice nix build", "nix build", true),
            ("nice -n 19 nix build", "nix build", true),
            ("nice -n19 nix build", "nix build", true),
            ("nice -19 nix build", "nix build", true),
            ("ionice -c3 nice -n 19 nix build", "nix build", true),
            ("chrt -i 0 nix build", "nix build", true),
            ("nohup nix build", "nix build", true),
            ("setsid -w nix build", "nix build", true),
            ("stdbuf -oL -e 0 nix build", "nix build", true),
            ("timeout -k 5 10m nix build", "nix build", true),
            ("timeout --signal=INT 10m nix build", "nix build", true),
            ("caffeinate -is nix build", "nix build", true),
            ("systemd-inhibit --what=sleep nix build", "nix build", true),
            ("nice make -n", "make -n", true),
            ("env -u CC A=1 timeout 10m make", "make", true),
            ("sudo env A=1 nice nix build -v", "nix build -v", false),
            ("env A=1 sudo nix build", "nix build", false),
            // Not ours to take apart.
            ("sudo", "sudo", true),
            ("sudo -v", "sudo -v", true),
            ("env", "env", true),
            ("timeout 10m", "timeout 10m", true),
            ("env -S 'nix build'", "env -S 'nix build'", true),
            ("sh -c nix", "sh -c nix", true),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let inner = inner(&words);
            assert_eq!(words[inner.at..].join(" ".as_ref()), rest, "{line}");
            assert_eq!(inner.sees_nix_config, sees_nix_config, "{line}");
        }
    }
}
