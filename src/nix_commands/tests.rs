use super::*;

/// The known facts that decide the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    /// Nix 2.8: flags.
    Old,
    /// Nix 2.34: the socket.
    New,
    /// Nix 2.34 and scripts that know no `--log-format`.
    NewWithOldScripts,
    /// Nix 2.34, whose user has a `json-log-path` of his own.
    NewWithoutSocket,
    /// Nix 2.3: neither.
    Ancient,
    /// No Nix that answers.
    Nothing,
}

fn planned(line: &str, world: World) -> Plan {
    let command: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let nix = match world {
        World::Old => Some("nix (Nix) 2.8.0"),
        World::New | World::NewWithOldScripts | World::NewWithoutSocket => Some("nix (Nix) 2.34.8"),
        World::Ancient => Some("nix (Nix) 2.3.16"),
        World::Nothing => None,
    };
    let known = Known {
        nix: nix.map(|output| NixVersion::parse(output).unwrap()),
        socket: world != World::NewWithoutSocket,
        takes_log_format: &|_| world != World::NewWithOldScripts,
    };
    plan(&command, known)
}

fn text(command: &[OsString]) -> String {
    shortened(&command.join(" ".as_ref()).into_string().unwrap())
}

fn shortened(line: &str) -> String {
    line.replace("--log-format internal-json", "JSON")
}

/// Each line: the world, the command as given, the command as planned with JSON for the flag or `=` for the same, and
/// whether there is a socket.
fn check(cases: &[(World, &str, &str, bool)]) {
    for (world, line, expected, socket) in cases {
        let plan = planned(line, *world);
        let expected = if *expected == "=" { shortened(line) } else { (*expected).to_owned() };
        assert_eq!((text(&plan.command), plan.socket), (expected, *socket), "{world:?} {line}");
    }
}

#[test]
fn new_commands() {
    use World::{Ancient, New, NewWithoutSocket, Nothing, Old};
    check(&[
        (New, "nix build", "=", true),
        (New, "nix build .#a -L -- x", "=", true),
        (New, "nix --version", "=", true),
        (NewWithoutSocket, "nix build", "nix build JSON -v", false),
        (Ancient, "nix build", "=", false),
        (Nothing, "nix build", "=", false),
        (Old, "nix build", "nix build JSON -v", false),
        (Old, "/nix/store/x-nix/bin/nix build", "/nix/store/x-nix/bin/nix build JSON -v", false),
        (Old, "nix build .#a .#b", "nix build JSON -v .#a .#b", false),
        (Old, "nix build -- .#a", "nix build JSON -v -- .#a", false),
        (Old, "nix --offline build .#a", "nix --offline build JSON -v .#a", false),
        (
            Old,
            "nix --extra-experimental-features nix-command build .#a",
            "nix --extra-experimental-features nix-command build JSON -v .#a",
            false,
        ),
        (Old, "nix --option build eval build", "nix --option build eval build JSON -v", false),
        (Old, "nix flake check", "nix flake check JSON -v", false),
        (Old, "nix flake --offline check .", "nix flake --offline check JSON -v .", false),
        (Old, "nix profile install .#a", "nix profile install JSON -v .#a", false),
        (Old, "nix store gc", "nix store gc JSON -v", false),
        (Old, "nix eval .#a", "nix eval JSON -v .#a", false),
        (Old, "nix fmt -- file", "nix fmt JSON -v -- file", false),
        (Old, "nix run .#a -- --log-level 3", "nix run JSON -v .#a -- --log-level 3", false),
        (Old, "nix run -- build", "nix run JSON -v -- build", false),
        // Behind the -L that would undo it.
        (Old, "nix build -L .#a", "nix build -L JSON -v .#a", false),
        (Old, "nix build .#a -vL .#b", "nix build .#a -vL JSON -v .#b", false),
        (Old, "nix build -Lf default.nix .#b", "nix build -Lf default.nix JSON -v .#b", false),
        (NewWithoutSocket, "nix build -Lf x .#b", "nix build JSON -v -Lf x .#b", false),
        (Old, "nix build -L", "nix build -L JSON -v", false),
        (Old, "nix build --print-build-logs", "nix build --print-build-logs JSON -v", false),
        (Old, "nix run .#a -- -L", "nix run JSON -v .#a -- -L", false),
        // Nothing to be watched.
        (Old, "nix", "=", false),
        (Old, "nix flake", "=", false),
        (Old, "nix --version", "=", false),
        (Old, "nix no-such-command", "=", false),
        (Old, "nix -- build", "=", false),
        (Old, "nix log .#a", "=", false),
        (Old, "nix repl", "=", false),
        (Old, "nix daemon", "=", false),
        (Old, "nix store ls /nix/store/x", "=", false),
        // The user's own.
        (Old, "nix build --log-format raw", "=", false),
        (Old, "nix --log-format bar build", "=", false),
        (New, "nix build --log-format bar", "=", true),
        (New, "nix build --log-format internal-json", "=", false),
        (New, "nix build --log-format=internal-json", "=", false),
    ]);
}

#[test]
fn old_commands() {
    use World::{Ancient, New, NewWithoutSocket, Nothing, Old};
    check(&[
        (Old, "nix-build", "nix-build JSON", false),
        (New, "nix-build", "nix-build JSON", true),
        (NewWithoutSocket, "nix-build", "nix-build JSON", false),
        (Ancient, "nix-build", "=", false),
        (Nothing, "nix-build", "=", false),
        (Old, "nix-build default.nix -A a", "nix-build JSON default.nix -A a", false),
        (Old, "nix-build --log-format raw", "=", false),
        (Old, "nix-instantiate --eval -E 1", "nix-instantiate JSON --eval -E 1", false),
        (Old, "nix-env -iA a", "nix-env JSON -iA a", false),
        (Old, "nix-store -r /nix/store/x", "nix-store JSON -r /nix/store/x", false),
        (Old, "nix-store --realise x", "nix-store JSON --realise x", false),
        (Old, "nix-store -q --references x", "=", false),
        (Old, "nix-shell --run make", "nix-shell JSON --run make", false),
        (Old, "nix-shell -p hello --run hello", "nix-shell -p hello JSON --run hello", false),
        (Old, "nix-shell shell.nix --run make", "nix-shell shell.nix JSON --run make", false),
        (Old, "nix-shell . --command make", "nix-shell . JSON --command make", false),
        (Old, "nix-shell <nixpkgs> --run make", "nix-shell <nixpkgs> JSON --run make", false),
        (Old, "nix-shell ./tests --run make", "=", false),
        (Old, "nix-shell script --run all", "=", false),
        (Old, "nix-shell", "=", false),
        (Old, "nix-channel --update", "=", false),
        (Old, "nix-collect-garbage -d", "=", false),
    ]);
}

#[test]
fn commands_behind_wrappers() {
    use World::{New, Old};
    check(&[
        // sudo drops the environment, and the socket's name with it.
        (New, "sudo nix build", "sudo nix build JSON -v", false),
        (New, "sudo -E nix build", "sudo -E nix build JSON -v", false),
        (New, "env NIX_CONFIG=cores=1 nix build", "env NIX_CONFIG=cores=1 nix build JSON -v", false),
        (New, "env A=1 nix build", "=", true),
        (New, "nice -n 19 nix build", "=", true),
        (Old, "nice -n 19 nix build", "nice -n 19 nix build JSON -v", false),
        (Old, "time nix-build -A a", "time nix-build JSON -A a", false),
        (Old, "sudo -u build nix-build -A a", "sudo -u build nix-build JSON -A a", false),
        (New, "sudo make", "=", false),
    ]);
}

#[test]
fn tools() {
    use World::{Ancient, New, NewWithOldScripts, Old};
    check(&[
        (Old, "nixos-rebuild switch --flake .", "nixos-rebuild switch JSON --flake .", false),
        (Old, "nixos-rebuild --flake . switch", "nixos-rebuild --flake . switch JSON", false),
        (New, "nixos-rebuild switch --flake .", "=", true),
        (New, "nixos-rebuild switch --flake=.", "=", true),
        (New, "sudo nixos-rebuild switch --flake .", "sudo nixos-rebuild switch JSON --flake .", false),
        // It may find a flake or run nix-build; the flag does for both.
        (New, "nixos-rebuild switch", "nixos-rebuild switch JSON", false),
        (NewWithOldScripts, "nixos-rebuild switch", "=", true),
        (NewWithOldScripts, "sudo nixos-rebuild switch", "=", false),
        (Ancient, "nixos-rebuild switch", "=", false),
        (Old, "nixos-rebuild-ng build", "nixos-rebuild-ng build JSON", false),
        (Old, "nixos-rebuild repl", "=", false),
        (Old, "nixos-rebuild list-generations", "=", false),
        (Old, "home-manager switch --flake .#me", "home-manager switch JSON --flake .#me", false),
        (New, "home-manager switch --flake .#me", "=", true),
        (Old, "home-manager generations", "=", false),
        (Old, "sudo darwin-rebuild switch", "sudo darwin-rebuild switch JSON", false),
        (NewWithOldScripts, "sudo darwin-rebuild switch --flake .", "=", false),
        (Old, "darwin-rebuild activate", "darwin-rebuild activate JSON", false),
        (New, "nh os switch .", "nh os switch --no-nom .", true),
        (New, "nh os switch --no-nom .", "=", true),
        (Old, "nh os switch .", "nh os switch --no-nom . -- JSON -v", false),
        (Old, "nh home switch . -- --impure", "nh home switch --no-nom . -- JSON -v --impure", false),
        (Old, "nh darwin build", "nh darwin build --no-nom -- JSON -v", false),
        (Ancient, "nh os boot", "nh os boot --no-nom", false),
        (Old, "nh os switch . -- --log-format bar", "=", false),
        (Old, "nh clean all", "=", false),
        (Old, "nh search switch", "=", false),
        (Old, "deploy .#a", "deploy .#a -- JSON -v", false),
        (Old, "deploy .#a -- --impure", "deploy .#a -- JSON -v --impure", false),
        (New, "deploy .#a", "=", true),
        (Old, "colmena apply", "=", false),
        (New, "colmena apply", "=", true),
        (Old, "system-manager switch --flake .", "=", false),
        (New, "make", "=", true),
        (Old, "make", "=", false),
        (New, "sh -c nix", "=", true),
        (New, "", "=", true),
    ]);
}

#[test]
fn results_and_switches() {
    // The command, whether its standard output is a result, and whether it switches.
    for (line, result, switch) in [
        ("nix build", false, false),
        ("nix build --print-out-paths", true, false),
        ("nix build --json", true, false),
        ("nix build -- --json", false, false),
        ("nix eval .#a", true, false),
        ("nix path-info .#a", true, false),
        ("nix flake metadata --json", true, false),
        ("nix flake show", true, false),
        ("nix flake check", false, false),
        ("nix flake archive --json", true, false),
        ("nix log .#a", true, false),
        ("nix run .#a", true, false),
        ("nix run home-manager -- switch --flake .", false, true),
        ("nix run nix-darwin -- -v switch", false, true),
        ("nix run github:LnL7/nix-darwin#darwin-rebuild -- switch", false, true),
        ("nix run nixpkgs#nh -- home switch .", false, true),
        ("nix run home-manager -- generations", true, false),
        ("nix run nixpkgs#git -- switch main", true, false),
        ("nix run .#switch", true, false),
        ("nix-build", true, false),
        ("nix-instantiate", true, false),
        ("nix-store -q --references x", true, false),
        ("nix-store -r x", true, false),
        ("nix-env -q", true, false),
        ("nix-env -qaP a", true, false),
        ("nix-env -iA a", false, false),
        ("nix-channel --update", false, false),
        ("nix-prefetch-url x", true, false),
        ("nixos-rebuild switch", false, true),
        ("nixos-rebuild test", false, true),
        ("nixos-rebuild boot --flake .", false, true),
        ("nixos-rebuild build", false, false),
        ("nixos-rebuild dry-activate", false, false),
        ("nixos-rebuild list-generations", true, false),
        ("/run/current-system/sw/bin/nixos-rebuild switch", false, true),
        ("sudo nixos-rebuild switch", false, true),
        ("home-manager switch", false, true),
        ("home-manager switch -n", false, false),
        ("home-manager build", false, false),
        ("home-manager generations", true, false),
        ("sudo darwin-rebuild switch", false, true),
        ("sudo darwin-rebuild activate", false, true),
        ("darwin-rebuild --list-generations", true, false),
        ("nh os switch", false, true),
        ("nh os switch --dry", false, false),
        ("nh os boot", false, true),
        ("nh home switch .", false, true),
        ("nh darwin switch .", false, true),
        ("nh darwin build .", false, false),
        ("nh search switch", false, false),
        ("system-manager switch", false, true),
        ("colmena apply", false, true),
        ("colmena apply --on host", false, true),
        ("colmena apply dry-activate", false, false),
        ("colmena build", false, false),
        ("deploy .#a", false, true),
        ("deploy --dry-activate .#a", false, false),
        ("make switch", false, false),
    ] {
        for world in [World::Old, World::New, World::Nothing] {
            let plan = planned(line, world);
            assert_eq!((plan.stdout_is_result, plan.is_switch), (result, switch), "{world:?} {line}");
            assert_eq!(plan.interactive, None, "{line}");
        }
    }
}

#[test]
fn shells() {
    use World::{New, Old};
    // The command of the first stage; the second is the command as given.
    for (world, line, prepare) in [
        (New, "nix shell .#a", "nix shell .#a --command /bin/sh -c exit"),
        (New, "nix shell -i .#a -c bash -l", "nix shell -i .#a --command /bin/sh -c exit"),
        (Old, "nix shell .#a --command vim x", "nix shell JSON -v .#a --command /bin/sh -c exit"),
        (Old, "nix shell -L .#a", "nix shell -L JSON -v .#a --command /bin/sh -c exit"),
        (Old, "nix --offline shell .#a", "nix --offline shell JSON -v .#a --command /bin/sh -c exit"),
        (New, "nix env shell .#a", "nix env shell .#a --command /bin/sh -c exit"),
        (New, "nix shell .#a --log-format raw", "nix shell .#a --log-format raw --command /bin/sh -c exit"),
        (New, "sudo nix shell .#a", "sudo nix shell JSON -v .#a --command /bin/sh -c exit"),
        (New, "nix develop", "nix print-dev-env"),
        (Old, "nix develop .#a", "nix print-dev-env JSON -v .#a"),
        (New, "nix develop .#a -c zsh", "nix print-dev-env .#a"),
        (New, "nix develop -ic /bin/fish", "nix print-dev-env"),
        (New, "nix develop -iLk HOME .#a -ic nvim", "nix print-dev-env -L .#a"),
        (New, "nix develop -i -k HOME --impure .#a", "nix print-dev-env --impure .#a"),
        (New, "nix develop --set-env-var A b .#a", "nix print-dev-env .#a"),
        (New, "nix develop --profile p .#a", "nix print-dev-env --profile p .#a"),
        (
            New,
            "nix --offline develop --override-input a b",
            "nix --offline print-dev-env --override-input a b",
        ),
        (New, "env A=1 nix develop .#a", "env A=1 nix print-dev-env .#a"),
    ] {
        let plan = planned(line, world);
        let interactive = plan.interactive.unwrap_or_else(|| panic!("{line}"));
        assert_eq!(interactive.prepare.as_deref().map(text).as_deref(), Some(prepare), "{line}");
        assert_eq!(text(&interactive.then), line);
        assert_eq!(plan.socket, world == New && !line.starts_with("sudo"), "{line}");
    }
}

#[test]
fn commands_of_shells_are_watched() {
    use World::{New, NewWithoutSocket, Old};
    let cases = [
        (New, "nix develop .#a -c make -j4", "=", true),
        (Old, "nix develop .#a -c make -j4", "nix develop JSON -v .#a -c make -j4", false),
        (Old, "nix develop -L .#a -c make", "nix develop -L JSON -v .#a -c make", false),
        (New, "nix develop -ic make", "=", true),
        (New, "nix shell .#a --command make", "=", true),
        (NewWithoutSocket, "nix shell .#a -c make", "nix shell JSON -v .#a -c make", false),
        (New, "sudo nix develop -c make", "sudo nix develop JSON -v -c make", false),
        // A script is nobody to talk to.
        (New, "nix develop -c bash -c x", "=", true),
        (New, "nix develop -c bash -lc x", "=", true),
        (New, "nix develop -c python3 x.py", "=", true),
        (New, "nix develop --build", "=", true),
        (New, "nix develop --set-env-var A b --phase x .#a", "=", true),
        (New, "nix develop --help", "=", true),
        (Old, "nix-shell --run make", "nix-shell JSON --run make", false),
    ];
    check(&cases);
    for (world, line, ..) in cases {
        let plan = planned(line, world);
        assert_eq!((plan.interactive, plan.stdout_is_result), (None, true), "{line}");
    }
}

#[test]
fn what_has_the_terminal() {
    // All of the command, or nothing of it.
    for (line, expected) in [
        ("nix repl", true),
        ("nix repl --file x.nix", true),
        ("nix edit .#a", true),
        ("nix help", true),
        ("nix-shell", true),
        ("nix-shell shell.nix", true),
        ("nix-shell -p hello", true),
        ("nix-shell . --run bash", true),
        ("nix-shell -p hello --command zsh", true),
        ("env A=1 nix-shell", true),
        ("sudo nix repl", true),
        ("nix-shell --run make", false),
        ("nix-shell -p hello --run hello", false),
        ("nix-shell script --run all", false),
        ("nix-shell script", false),
        ("nix-shell --version", false),
        ("nix daemon", false),
        ("nix build", false),
        ("nix registry add a b", false),
    ] {
        let plan = planned(line, World::New);
        let interactive = plan.interactive.map(|interactive| (interactive.prepare, text(&interactive.then)));
        assert_eq!(interactive, expected.then(|| (None, line.to_owned())), "{line}");
    }
}

#[test]
fn configurations() {
    // The user's NIX_CONFIG, the socket, and what becomes of both.
    for (existing, socket, expected) in [
        (None, "/run/x.sock", Some("json-log-path = /run/x.sock\n")),
        (Some(""), "/run/x.sock", Some("json-log-path = /run/x.sock\n")),
        (Some("cores = 1"), "/x", Some("cores = 1\njson-log-path = /x\n")),
        (Some("cores = 1\n"), "/x", Some("cores = 1\njson-log-path = /x\n")),
        (Some("# json-log-path = /y"), "/x", Some("# json-log-path = /y\njson-log-path = /x\n")),
        (Some("extra-json-log-path = /y"), "/x", Some("extra-json-log-path = /y\njson-log-path = /x\n")),
        (Some("cores = 1\n\tjson-log-path\t= /y # mine\n"), "/x", None),
        (Some("json-log-path ="), "/x", None),
        (None, "", None),
        (None, "/a b", None),
        (None, " /a", None),
        (None, "/a\n", None),
        (None, "/a\nb", None),
        (None, "/a#b", None),
    ] {
        let made = nix_config(existing.map(OsStr::new), Path::new(socket));
        assert_eq!(made.as_deref(), expected.map(OsStr::new), "{existing:?} {socket:?}");
    }
    let large = OsString::from("#".repeat(MAX_NIX_CONFIG + 1));
    assert_eq!(nix_config(Some(&large), Path::new("/x")), None);
}

#[test]
fn arguments_that_are_not_text_are_passed_on() {
    use std::os::unix::ffi::OsStrExt;

    let odd = OsStr::from_bytes(b"./\xff\xfe").to_owned();
    let known =
        Known { nix: NixVersion::parse("nix (Nix) 2.8.0"), socket: true, takes_log_format: &|_| true };
    for program in ["nix-build", "sudo", "env", "nix", "nh", "nix-shell", "nixos-rebuild", "timeout"] {
        let command = [OsString::from(program), odd.clone(), "build".into(), "--".into(), odd.clone()];
        let plan = plan(&command, known);
        let kept = plan.command.iter().filter(|word| command.contains(word)).count();
        assert!(kept >= command.len(), "{program}: {:?}", plan.command);
    }
}
