//! The Nix that tests get where the machine's is too old: that it is new enough, and builds.

#![expect(clippy::disallowed_methods, reason = "these tests start processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use crate::common::newer_nix::newer_nix;
use crate::common::nix::Nix;
use nixmon::nix_commands::{NixVersion, detect, nix_config};

/// Two derivations, of which the second needs the first; with `bad = true` the first fails.
const EXPRESSION: &str = "{ bad ? false }: let make = name: script: derivation { inherit name; system = \
    builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" script ]; }; in make \"top\" \
    \"read x < ${make \"dep\" (if bad then \"exit 7\" else \"echo made > $out\")}; echo $x > $out\"";

#[test]
fn it_knows_the_socket_and_every_command_goes_by_its_name() {
    let Some(commands) = newer_nix() else { return };
    for name in ["nix", "nix-build", "nix-store"] {
        let version = detect(&[commands.join(name).into()]).unwrap();
        assert!(version.takes_json_log_path(), "{name}: {version:?}");
        let nix = Nix::new().unwrap();
        let output = nix.command(commands.join(name).to_str().unwrap()).arg("--version").output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.starts_with(&format!("{name} (")), "{output}");
        assert_eq!(NixVersion::parse(&output), Some(version));
    }
}

#[test]
fn it_builds() {
    let Some(commands) = newer_nix() else { return };
    let nix = Nix::new().unwrap();
    let build = |program: &str, arguments: &[&str]| {
        let mut command = nix.command(commands.join(program).to_str().unwrap());
        command.args(arguments);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = nix.root().join("default.nix");
    fs::write(&file, EXPRESSION).unwrap();
    let file = file.to_str().unwrap();
    let (status, path, stderr) = build("nix", &["build", "--no-link", "--print-out-paths", "-f", file]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("these 2 derivations will be built"), "{stderr}");
    assert_eq!(fs::read_to_string(path.trim()).unwrap(), "made\n");
    assert_eq!(build("nix-build", &["--no-out-link", file]).1, path);
    let (status, _, stderr) = build("nix-build", &["--no-out-link", file, "--arg", "bad", "true"]);
    assert_eq!(status, Some(100), "{stderr}");
    assert!(stderr.contains("failed with exit code 7"), "{stderr}");
}

/// What is sent to the socket at `path`, one text for each connection, until `count` connections have ended.
fn listen(path: &Path, count: usize) -> thread::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let texts = listener.incoming().take(count).map(|connection| {
            let mut text = String::new();
            connection.unwrap().read_to_string(&mut text).unwrap();
            text
        });
        texts.collect()
    })
}

#[test]
fn records_come_through_the_socket_and_the_users_settings_stay() {
    let Some(commands) = newer_nix() else { return };
    let nix = Nix::new().unwrap();
    let file = nix.root().join("default.nix");
    fs::write(&file, EXPRESSION).unwrap();
    let socket = nix.root().join("log.sock");
    let texts = listen(&socket, 2);
    let config = nix_config(Some("cores = 7\nlog-lines = 3".as_ref()), &socket).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = nix.command(commands.join("nix").to_str().unwrap());
        command.args(arguments).env("NIX_CONFIG", &config).output().unwrap()
    };
    let cores = run(&["config", "show", "cores"]);
    assert_eq!(String::from_utf8_lossy(&cores.stdout), "7\n", "{cores:?}");
    let build = run(&["build", "--no-link", "-f", file.to_str().unwrap(), "--arg", "bad", "true"]);
    assert_eq!(build.status.code(), Some(1), "{build:?}");
    let [first, records] = &texts.join().unwrap()[..] else { panic!() };
    // It logs nothing, and opens a connection all the same.
    assert_eq!(first, "");
    // No prefix, and on standard error there is text as before.
    assert!(records.lines().all(|record| record.starts_with('{')), "{records}");
    let has = |part: &str| records.lines().any(|record| record.contains(part));
    assert!(has(r#""action":"start""#) && has(r#""type":105"#) && has("these 2 derivations"), "{records}");
    assert!(has("failed with exit code 7"), "{records}");
    let stderr = String::from_utf8_lossy(&build.stderr);
    assert!(stderr.contains("failed with exit code 7") && !stderr.contains("@nix"), "{stderr}");
}
