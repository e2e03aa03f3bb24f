//! Text that passes through, and unusual ends of the pipe.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::harness::{Ended, Lines, Pipeline, closed_pipe, feed, nixmon, nixmon_beside, sh, wait, watch};
use crate::common::nix::Nix;

/// Returns the program's output for an input.
fn shown(args: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Ended {
    let mut command = nixmon(args);
    command.envs(environment.iter().copied()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    feed(&mut child, input).unwrap();
    drop(child.stdin.take());
    Ended::of(child)
}

#[test]
fn prompts_pass_at_once() {
    let mut child = nixmon(&[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    feed(&mut child, b"begin\n").unwrap();
    shown.wait_for("begin", Duration::from_secs(20)).unwrap();
    // A machine that does other things may be slow once, not five times.
    let waits = (0..5).map(|i| {
        let prompt = format!("password {i}: ");
        feed(&mut child, prompt.as_bytes()).unwrap();
        let waited = shown.wait_for(&prompt, Duration::from_secs(20)).unwrap();
        feed(&mut child, b"\n").unwrap();
        waited
    });
    let shortest = waits.min().unwrap();
    assert!(shortest < Duration::from_millis(200), "{shortest:?}");
    drop(child.stdin.take());
    assert_eq!(wait(&mut child), Some(0));
    let shown = shown.rest();
    assert_eq!(shown.matches("password").count(), 5, "{shown}");
    assert!(shown.starts_with("begin\n") && shown.contains("password 3: \n"), "{shown}");
}

#[test]
fn a_question_is_shown_though_there_is_no_room() {
    let mut child = nixmon(&["--max-lines", "6"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    for n in 0..20 {
        feed(&mut child, format!("checking for part {n}... ").as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(60));
        feed(&mut child, b"yes\n").unwrap();
    }
    feed(&mut child, b"Overwrite it? ").unwrap();
    shown.wait_for("Overwrite it? ", Duration::from_secs(20)).unwrap();
    feed(&mut child, b"of course\n").unwrap();
    drop(child.stdin.take());
    assert_eq!(wait(&mut child), Some(0));
    let shown = shown.rest();
    // Were it not for the limit there would be 20.
    assert!(shown.matches("checking").count() < 3 && shown.lines().count() <= 7, "{shown}");
}

#[test]
fn prompt_and_answer_stay_together() {
    let mut command = nixmon(&[]);
    let mut child = command.env("LC_ALL", "C").stdin(Stdio::piped()).spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    feed(&mut child, "Passwort für josé: ".as_bytes()).unwrap();
    shown.wait_for("Passwort", Duration::from_secs(20)).unwrap();
    // Without the prompt it would be said by now that Nix evaluates.
    shown.wait_for("Evaluating", Duration::from_millis(800)).unwrap_err();
    feed(&mut child, b"\n").unwrap();
    shown.wait_for("Evaluating", Duration::from_secs(20)).unwrap();
    drop(child.stdin.take());
    assert_eq!(wait(&mut child), Some(0));
    let shown = shown.rest();
    assert!(shown.is_ascii(), "{shown}");
    assert_eq!(shown.matches("Passwort").count(), 1, "{shown}");
}

#[test]
fn a_prompt_is_answered_through_the_pipe() {
    // The command waits until its answer is there, which comes only when the prompt was seen.
    let mut command = sh("printf 'password: '; read answer; echo \"it was $answer\"");
    command.stdin(Stdio::piped());
    let mut pipeline = Pipeline::start(command, nixmon(&[]));
    pipeline.wait_for("password: ");
    pipeline.command.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let ended = pipeline.end();
    assert!(ended.nixmon.stdout.starts_with("password: it was secret\n"), "{}", ended.nixmon.stdout);
}

#[test]
fn output_that_fails_does_not_stop_the_build() {
    let Some(nix) = Nix::new() else { return };
    let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");
    type Open = fn() -> Option<Stdio>;
    let outputs: [(&str, Open); 2] = [
        ("a pipe without a reader", || Some(closed_pipe().into())),
        ("a full disk", || Some(File::options().write(true).open("/dev/full").ok()?.into())),
    ];
    for (name, output) in outputs {
        for (attribute, form, status) in
            [("short", "lines", 0), ("bad", "lines", 1), ("bad", "json", 1), ("loud", "quiet", 0)]
        {
            // Only Linux has /dev/full.
            let Some(output) = output() else { continue };
            let mut build = nix.command("nix");
            build.args(["build", "--no-link", "--log-format", "internal-json", "-v"]);
            build.args(["--file", builds, attribute]);
            let mut command = nixmon_beside(&nix, &["--output", form, "--passthrough", "all"]);
            let (reader, writer) = std::io::pipe().unwrap();
            build.stdout(writer.try_clone().unwrap()).stderr(writer);
            let mut build_child = build.spawn().unwrap();
            drop(build);
            let watcher = command.stdin(reader).stdout(output).spawn().unwrap();
            drop(command);
            // A signal, SIGPIPE above all, would be no status.
            assert_eq!(wait(&mut build_child), Some(status), "{name}, {attribute}");
            let ended = Ended::of(watcher);
            // A reader who has gone does not want to know. Of results there may be none.
            let told = ended.stderr.contains("cannot write to standard output: No space left on device");
            assert!(ended.stderr.is_empty() || told, "{name}, {attribute}: {}", ended.stderr);
            // Lost output is a failure of the filter itself.
            assert_eq!(ended.status, Some(if told { 1 } else { status }), "{name}, {attribute}");
            assert_eq!(told, name == "a full disk" && form != "quiet", "{name}, {attribute}");
        }
    }
}

#[test]
fn input_is_read_without_a_reader() {
    let mut command = nixmon(&["--passthrough", "all"]);
    let mut child = command.stdin(Stdio::piped()).stdout(closed_pipe()).spawn().unwrap();
    let line = [b'x'; 99].iter().chain(b"\n").copied().collect::<Vec<u8>>();
    for _ in 0..20_000 {
        feed(&mut child, &line).unwrap();
    }
    drop(child.stdin.take());
    let ended = Ended::of(child);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn closed_by_head() {
    let Some(nix) = Nix::new() else { return };
    // The line of a shell that people write, with the status of each command.
    let script = format!(
        "nix build --no-link -f {}/tests/system/e2e/builds.nix bad --log-format internal-json 2>&1 \
         | {{ {} --passthrough all; echo \"nixmon $?\" >&2; }} | head -n 1",
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_BIN_EXE_nixmon"),
    );
    let mut command = sh(&script);
    let of_nix = nix.command("true");
    command.envs(of_nix.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = Ended::of(command.spawn().unwrap());
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert_eq!(ended.stderr, "nixmon 1\n");
}

#[test]
fn empty_input() {
    let empty = shown(&[], &[], b"");
    assert_eq!((empty.status, empty.stderr.as_str()), (Some(0), ""), "{}", empty.stdout);
    assert!(empty.stdout.contains("✓ Complete in 0s\n"), "{}", empty.stdout);

    let mut directory = nixmon(&[]);
    directory.stdin(File::open(env!("CARGO_MANIFEST_DIR")).unwrap());
    let directory = Ended::of(directory.spawn().unwrap());
    assert_eq!(directory.status, Some(74), "{directory:?}");
    assert_eq!(directory.stdout, "");
    assert!(directory.stderr.contains("standard input"), "{}", directory.stderr);
}

#[test]
fn forms_of_output() {
    let store_path = "/nix/store/8sm6ml13ji72hg427ixjxbxr3vfyhkzp-hello-2.12";
    let input = format!("warning: naïve\n{store_path}\nwords of another program\n");
    let cases: [(&[&str], &[&str], &[&str]); 5] = [
        (
            &["--output", "lines"],
            &["warning: naïve\n", store_path, "another program\n", "✓ Complete"],
            &["\x1b"],
        ),
        (
            &["--passthrough", "none"],
            &["warning: naïve\n", store_path, "✓ Complete", "1 line of other"],
            &["words"],
        ),
        (&["--output", "quiet"], &[store_path], &["words", "Complete", "warning"]),
        (&["--output", "json"], &["{\"type\":", "naïve", store_path, "\"type\":\"summary\""], &["✓"]),
        (&["--color", "always"], &["\x1b["], &[]),
    ];
    for (args, present, absent) in cases {
        let ended = shown(args, &[], input.as_bytes());
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
        for text in present {
            assert!(ended.stdout.contains(text), "{args:?}: no {text:?}\n{}", ended.stdout);
        }
        for text in absent {
            assert!(!ended.stdout.contains(text), "{args:?}: {text:?}\n{}", ended.stdout);
        }
    }
}

#[test]
fn colour_and_characters_follow_the_environment() {
    let input = "error: attribute 'naïve' missing\n\n       at /srv/josé/x.nix:1:2:\n".as_bytes();
    type Case = (&'static [(&'static str, &'static str)], bool, bool);
    let cases: [Case; 9] = [
        (&[], false, false),
        (&[("CLICOLOR_FORCE", "1")], true, false),
        (&[("CLICOLOR_FORCE", "0")], false, false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
        (&[("NO_COLOR", "1")], false, false),
        (&[("TERM", "dumb")], false, false),
        (&[("LC_ALL", "C")], false, true),
        (&[("LC_ALL", ""), ("LANG", "C")], false, true),
        (&[("LC_ALL", "C"), ("CLICOLOR_FORCE", "1")], true, true),
    ];
    for (environment, color, ascii) in cases {
        let ended = shown(&[], environment, input);
        assert_eq!(ended.status, Some(1), "{environment:?}");
        assert_eq!(ended.stdout.contains('\x1b'), color, "{environment:?}\n{}", ended.stdout);
        assert_eq!(ended.stdout.is_ascii(), ascii, "{environment:?}\n{}", ended.stdout);
    }
}

#[test]
fn everything_is_ascii_where_the_locale_is() {
    let Some(nix) = Nix::new() else { return };
    let demo = concat!("path:", env!("CARGO_MANIFEST_DIR"), "/tests/demo#broken");
    let mut build = nix.command("nix");
    build.args(["build", "--no-link", "-j4", "--log-format", "internal-json", "-v", demo]);
    let mut command = nixmon_beside(&nix, &[]);
    command.env("LC_ALL", "C");
    let ended = Pipeline::start(build, command).end();
    assert_eq!((ended.command, ended.nixmon.status), (Some(1), Some(1)));
    assert!(ended.nixmon.stdout.is_ascii(), "{}", ended.nixmon.stdout);
    assert!(
        ended.nixmon.stdout.contains("parser-0.4 failed in buildPhase, exit 2"),
        "{}",
        ended.nixmon.stdout
    );
}

#[test]
fn other_programs_pass_and_a_flood_is_counted() {
    let Some(nix) = Nix::new() else { return };
    let watched = watch(&nix, sh("echo one; i=0; while [ $i -lt 500 ]; do echo word $i; i=$((i + 1)); done"));
    assert_eq!((watched.command, watched.nixmon), (Some(0), Some(0)));
    assert!(watched.lines.starts_with("one\nword 0\n"), "{}", watched.lines);
    assert!(watched.lines.contains("lines of other output not shown"), "{}", watched.lines);
    assert!(watched.lines.lines().count() <= 60, "{}", watched.lines);
}
