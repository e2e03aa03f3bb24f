//! Hooks of interactive shells, which report their builds themselves, and the directory through which they reach a sensor.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nixmon_log::escapes::sanitize;

use crate::journal::open;
use crate::model::event::{Backend, BuildEvent, Verdict};
use crate::model::mask::command_line;
use crate::model::programs::{Class, Rules};
use crate::model::tracker::SHORTEST;

/// Size limit of a report, in bytes.
const MAX_REPORT: u64 = 64 << 10;
/// Reports taken at once.
const MAX_REPORTS: usize = 256;

/// A shell with a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash, 5.0 or later. It tells the hook no command that `HISTCONTROL` keeps from its list, such as a repeated one with
    /// `ignoreboth`.
    Bash,
    /// zsh.
    Zsh,
    /// fish, 3.0 or later.
    Fish,
}

const BASH: &str = r#"# nixmon: reports builds of this shell when they end.
# PS0 is expanded before each command; an index of an array is arithmetic, which can set a variable there.
if [[ $- == *i* && -z ${_nixmon_hook-} && ${BASH_VERSINFO[0]} -ge 5 ]]; then
  _nixmon_hook=1 _nixmon_none=() _nixmon_began=0 _nixmon_number=
  PS0="${PS0-}"'${_nixmon_none[_nixmon_began=${EPOCHREALTIME//[!0-9]/}]}'
  _nixmon_ended() {
    local status=$? now=${EPOCHREALTIME//[!0-9]/} began=$_nixmon_began entry number
    _nixmon_began=0
    entry=$(HISTTIMEFORMAT='' builtin history 1)
    number=${entry%%[!0-9 ]*}
    # A command that is not in the list of commands repeats the last one there, if it is not left out for anything else.
    if [[ $number == "$_nixmon_number" ]]; then
      case :${HISTCONTROL-}: in
        *:ignorespace:* | *:ignoreboth:*) began=0 ;;
        *:ignoredups:* | *:erasedups:*) [[ -o history && -z ${HISTIGNORE-} ]] || began=0 ;;
        *) began=0 ;;
      esac
    fi
    if ((began > 0)) && (((now - began) / 1000 >= 500)) && [[ $entry =~ (@PROGRAMS@) ]]; then
      (command nixmon watch --report "$status" --elapsed-ms "$(((now - began) / 1000))" -- "${entry:${#number}}" >/dev/null 2>&1 &)
    fi
    _nixmon_number=$number
    return "$status"
  }
  PROMPT_COMMAND="_nixmon_ended${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
fi
"#;

const ZSH: &str = r#"# nixmon: reports builds of this shell when they end.
if [[ -o interactive && -z ${_nixmon_hook-} ]]; then
  _nixmon_hook=1
  zmodload zsh/datetime
  typeset -F _nixmon_began=0
  _nixmon_begun() { _nixmon_began=$EPOCHREALTIME; _nixmon_line=$1 }
  _nixmon_ended() {
    local code=$?
    if (( _nixmon_began > 0 )); then
      local -i ms=$(( (EPOCHREALTIME - _nixmon_began) * 1000 ))
      _nixmon_began=0
      if (( ms >= 500 )) && [[ $_nixmon_line =~ '(@PROGRAMS@)' ]]; then
        command nixmon watch --report $code --elapsed-ms $ms -- $_nixmon_line >/dev/null 2>&1 &!
      fi
    fi
    return $code
  }
  autoload -Uz add-zsh-hook
  add-zsh-hook preexec _nixmon_begun
  precmd_functions=(_nixmon_ended $precmd_functions)
fi
"#;

const FISH: &str = r#"# nixmon: reports builds of this shell when they end.
if status is-interactive; and not functions -q _nixmon_ended
    function _nixmon_ended --on-event fish_postexec
        set -l code $status
        if test "$CMD_DURATION" -ge 500; and string match -qr '(@PROGRAMS@)' -- $argv[1]
            command nixmon watch --report $code --elapsed-ms $CMD_DURATION -- $argv[1] >/dev/null 2>&1 &
            disown
        end
    end
end
"#;

impl Shell {
    /// Returns the hook, to be read by the shell at its start. It looks for the names of the programs; the rest is up to
    /// [`Report::read`].
    pub fn hook(self, rules: &Rules) -> String {
        let text = match self {
            Self::Bash => BASH,
            Self::Zsh => ZSH,
            Self::Fish => FISH,
        };
        // Letters, digits, `-` and `_` mean themselves in all their patterns.
        let quoted = rules.programs().filter(|name| !name.is_empty()).map(|name| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            name.chars().map(|c| if plain(c) { c.to_string() } else { ".".to_owned() }).collect::<String>()
        });
        text.replace("@PROGRAMS@", &quoted.collect::<Vec<_>>().join("|"))
    }
}

/// The report of a shell on a command line that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The line as it was typed.
    pub line: String,
    /// Its exit status, 128 and the number of the signal if one ended it.
    pub status: i32,
    /// Its duration.
    pub elapsed: Duration,
    /// The working directory.
    pub directory: Option<String>,
    /// The number of the user.
    pub user: Option<u32>,
}

impl Report {
    /// Makes an event of it, which ended at `now` in milliseconds since 1970; `None` if the line has no build.
    pub fn read(&self, rules: &Rules, now: u64) -> Option<BuildEvent> {
        if self.elapsed < SHORTEST {
            return None;
        }
        let commands = commands(&self.line);
        let found = commands.iter().enumerate().find_map(|(at, (words, _))| {
            let command = rules.command(words, None);
            (rules.class(&command) == Class::Build).then_some((at, command))
        });
        let (at, command) = found?;
        let result = verdict(&commands, at, self.status);
        let status = self.status;
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        // The time of a line with other commands is not that of the build.
        let elapsed = (commands.len() == 1).then_some(elapsed);
        Some(BuildEvent {
            label: sanitize(&command.label()).into_owned(),
            command: command_line(&command.program, &command.name, &command.arguments),
            directory: self.directory.as_deref().map(|path| sanitize(path).into_owned()),
            user: self.user,
            result: Some(result),
            exit_status: matches!(result, Verdict::Pass | Verdict::Fail).then_some(status),
            signal: (result == Verdict::Signal).then_some(status - 128),
            started_ms: elapsed.map(|elapsed| now.saturating_sub(elapsed)),
            ended_ms: Some(now),
            elapsed_ms: elapsed,
            ..BuildEvent::new(
                format!("shell-{}-{now}", std::process::id()),
                &sanitize(&command.program),
                Backend::Shell,
            )
        })
    }
}

/// The joint between a command and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// The end of the line.
    End,
    /// `&&`
    And,
    /// A pipe, `||`, `;`, `&`, or anything that this reader of lines does not know.
    Other,
}

/// Returns the result of a command of a line from the status of the whole line, as far as it tells.
fn verdict(commands: &[(Vec<String>, Joint)], at: usize, status: i32) -> Verdict {
    let is_chain = commands.iter().all(|(_, joint)| *joint != Joint::Other);
    match status {
        _ if !is_chain => Verdict::Unknown,
        // All commands of a chain have passed.
        0 => Verdict::Pass,
        // Which of several has failed is not known.
        _ if commands.len() > 1 => Verdict::Unknown,
        _ if at > 0 => Verdict::Unknown,
        // A program can end itself with such a status as well, but then it means the same.
        129..=192 => Verdict::Signal,
        _ => Verdict::Fail,
    }
}

/// Splits a line into its commands, with the words of each. Variables and programs that only run another one are left out.
fn commands(line: &str) -> Vec<(Vec<String>, Joint)> {
    let mut commands = Vec::new();
    let (mut words, mut word, mut has_word) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    let mut quote = None;
    let mut is_odd = false;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(mark), _) if c == mark => quote = None,
            (Some('"'), '\\') => word.extend(chars.next()),
            (Some(_), _) => word.push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                has_word = true;
            }
            (None, '\\') => {
                word.extend(chars.next());
                has_word = true;
            }
            // In the middle of a word it is part of it.
            (None, '#') if !has_word && word.is_empty() => break,
            (None, '&' | '|' | ';' | '\n') => {
                let is_double = chars.next_if_eq(&c).is_some();
                // A redirection, as in `2>&1` or `&>file`.
                if c == '&' && !is_double && (word.ends_with(['>', '<']) || chars.peek() == Some(&'>')) {
                    word.push(c);
                    continue;
                }
                if has_word || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
                let joint = if c == '&' && is_double { Joint::And } else { Joint::Other };
                commands.push((std::mem::take(&mut words), joint));
            }
            (None, c) if c.is_whitespace() => {
                if has_word || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
            }
            (None, '(' | ')' | '{' | '}' | '!' | '`') => {
                is_odd = true;
                word.push(c);
            }
            (None, _) => word.push(c),
        }
    }
    if has_word || !word.is_empty() {
        words.push(word);
    }
    // An open quote, a group, a loop: whose status it is that came out of the line is not known.
    const KEYWORDS: [&str; 9] = ["if", "while", "for", "until", "case", "function", "do", "then", "not"];
    is_odd |= quote.is_some()
        || words
            .iter()
            .chain(commands.iter().flat_map(|(words, _)| words))
            .any(|word| KEYWORDS.contains(&&**word));
    if !words.is_empty() || commands.is_empty() {
        commands.push((words, Joint::End));
    }
    if is_odd && let Some((_, joint)) = commands.last_mut() {
        *joint = Joint::Other;
    }
    commands.into_iter().map(|(words, joint)| (behind_wrappers(words), joint)).collect()
}

fn behind_wrappers(words: Vec<String>) -> Vec<String> {
    const WRAPPERS: [&str; 9] = ["time", "nice", "ionice", "nohup", "sudo", "doas", "env", "command", "exec"];
    let mut words = words.into_iter().peekable();
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-') && !name.contains('/'))
    };
    loop {
        match words.peek() {
            Some(word) if is_assignment(word) => drop(words.next()),
            Some(word) if WRAPPERS.contains(&&**word) => {
                words.next();
                // Options of the wrapper, with a number as their value.
                while words
                    .peek()
                    .is_some_and(|word| word.starts_with('-') || word.bytes().all(|b| b.is_ascii_digit()))
                {
                    words.next();
                }
            }
            _ => return words.collect(),
        }
    }
}

/// The directory through which reports of shells reach a sensor: a file for each.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

impl Spool {
    /// Makes a spool beside a journal.
    pub fn beside(journal: &crate::Journal) -> Self {
        Self(journal.directory().join("reports"))
    }

    /// Leaves a report.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put(&self, event: &BuildEvent) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let temporary = self.0.join(format!(".{}", event.id));
        let mut file = open(OpenOptions::new().write(true).create_new(true), &temporary)?;
        let written =
            serde_json::to_writer(&mut file, event).map_err(io::Error::from).and_then(|()| file.flush());
        let placed = written.and_then(|()| std::fs::rename(&temporary, self.0.join(&event.id)));
        if placed.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        placed
    }

    /// Takes the reports that are there, the oldest first. Others than this program's are removed.
    pub fn take(&self) -> Vec<BuildEvent> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut events: Vec<BuildEvent> = Vec::new();
        for entry in entries.take(MAX_REPORTS) {
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            events.extend(read(&entry.path()));
            let _ = std::fs::remove_file(entry.path());
        }
        events.sort_by(|a, b| (a.ended_ms, &a.id).cmp(&(b.ended_ms, &b.id)));
        events
    }
}

fn read(path: &Path) -> Option<BuildEvent> {
    let mut text = String::new();
    let file = open(OpenOptions::new().read(true), path).ok()?;
    file.take(MAX_REPORT).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(line: &str, status: i32) -> Option<BuildEvent> {
        let elapsed = Duration::from_secs(3);
        let directory = Some("/src".to_owned());
        Report { line: line.to_owned(), status, elapsed, directory, user: None }
            .read(&Rules::default(), 10_000)
    }

    #[test]
    fn lines_and_their_results() {
        use Verdict::{Fail, Pass, Signal, Unknown};
        for (line, status, expected) in [
            ("make -j8", 0, Some(("make -j8", Pass))),
            ("make -j8", 2, Some(("make -j8", Fail))),
            ("make", 130, Some(("make", Signal))),
            ("CC=gcc sudo -u 0 nice -n 10 make x", 2, Some(("make x", Fail))),
            ("cd x && cargo build", 0, Some(("cargo build", Pass))),
            ("cd x && cargo build", 101, Some(("cargo build", Unknown))),
            ("make; echo", 0, Some(("make", Unknown))),
            ("make | tee log", 0, Some(("make", Unknown))),
            ("make || true", 0, Some(("make", Unknown))),
            ("make 2>&1", 2, Some(("make '2>&1'", Fail))),
            ("make &", 0, Some(("make", Unknown))),
            ("if make\nthen echo; fi", 0, None),
            ("for x in 1 2; do make; done", 0, None),
            ("! make", 0, None),
            ("echo make", 0, None),
            ("cargo metadata", 0, None),
            ("sh -c 'make -j8'", 0, None),
            ("npm publish --token=abc", 0, Some(("npm publish --token=…", Pass))),
            ("make 'a b' # c", 0, Some(("make 'a b'", Pass))),
            ("", 0, None),
        ] {
            let event = report(line, status);
            let found = event.as_ref().map(|event| (&*event.command, event.result.unwrap()));
            assert_eq!(found, expected, "{line}");
        }
        let event = report("make", 130).unwrap();
        assert_eq!((event.signal, event.exit_status, event.elapsed_ms), (Some(2), None, Some(3000)));
        assert_eq!(report("cd x && make", 0).unwrap().elapsed_ms, None);
    }

    #[test]
    fn reports_are_taken_once() {
        let temp = tempfile::tempdir().unwrap();
        let spool = Spool(temp.path().join("reports"));
        assert_eq!(spool.take(), []);
        let event = report("make", 0).unwrap();
        spool.put(&event).unwrap();
        std::fs::write(temp.path().join("reports/other"), "{}").unwrap();
        assert_eq!(spool.take(), [event]);
        assert_eq!(spool.take(), []);
        assert_eq!(std::fs::read_dir(temp.path().join("reports")).unwrap().count(), 0);
    }

    #[test]
    fn hooks_name_the_programs() {
        let rules = Rules::default().with_programs(["make".to_owned(), "g++".to_owned(), "a'b".to_owned()]);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(shell.hook(&rules).contains("(a.b|g..|make)"), "{shell:?}");
        }
    }
}
