//! Failures outside builds, and errors around errors: not captured, written after the sources of Nix.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        origin: "constructed: untracked",
        text: r#"error: Path 'hosts/web.nix' in the repository "/home/demo/flake" is not tracked by Git.

       To make it visible to Nix, run:

       git -C "/home/demo/flake" add "hosts/web.nix""#,
        expect: r#"
eval-missing-file: Path 'hosts/web.nix' in the repository "/home/demo/flake" is not tracked by Git.
| To make it visible to Nix, run:
| git -C "/home/demo/flake" add "hosts/web.nix"
"#,
    },
    Case {
        origin: "constructed: not-a-flake",
        text: r#"error: path '/home/demo/x' is not part of a flake (neither it nor its parent directories contain a 'flake.nix' file)"#,
        expect: r#"
flake-not-found: path '/home/demo/x' is not part of a flake (neither it nor its parent directories contain a 'flake.nix' file)
"#,
    },
    Case {
        origin: "constructed: git-head",
        text: r#"error: getting the HEAD of the Git tree '/home/demo/x' failed with exit code 128:
       fatal: ambiguous argument 'HEAD'"#,
        expect: r#"
download-failed: getting the HEAD of the Git tree '/home/demo/x' failed with exit code 128: fatal: ambiguous argument 'HEAD'
"#,
    },
    Case {
        origin: "constructed: sqlite-full",
        text: r#"error: executing SQLite statement 'insert into ValidPaths': database or disk is full (in '/nix/var/nix/db/db.sqlite')"#,
        expect: r#"
disk-full: executing SQLite statement 'insert into ValidPaths': database or disk is full (in '/nix/var/nix/db/db.sqlite')
"#,
    },
    Case {
        origin: "constructed: sqlite-readonly",
        text: r#"error: executing SQLite query: attempt to write a readonly database (in '/nix/var/nix/db/db.sqlite')"#,
        expect: r#"
permission-denied: executing SQLite query: attempt to write a readonly database (in '/nix/var/nix/db/db.sqlite')
"#,
    },
    Case {
        origin: "constructed: eval-cache",
        text: r#"error: cached failure of attribute 'packages.x86_64-linux.default'"#,
        expect: r#"
eval-other: cached failure of attribute 'packages.x86_64-linux.default'
"#,
    },
    Case {
        origin: "constructed: protocol",
        text: r#"error: protocol mismatch, got 'ssh: connect to host'"#,
        expect: r#"
daemon-connection: protocol mismatch, got 'ssh: connect to host'
"#,
    },
    Case {
        origin: "constructed: no-builder-23",
        text: r#"error: don't know how to build these paths:
  /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1"#,
        expect: r#"
substitution-failed: don't know how to build these paths: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1
"#,
    },
    Case {
        origin: "constructed: unlocked-input",
        text: r#"error: cannot update unlocked flake input 'nixpkgs' in pure mode"#,
        expect: r#"
flake-error: cannot update unlocked flake input 'nixpkgs' in pure mode
"#,
    },
    Case {
        origin: "constructed: lock-changes",
        text: r#"error: flake 'path:/x' requires lock file changes but they're not allowed due to '--no-update-lock-file'"#,
        expect: r#"
flake-error: flake 'path:/x' requires lock file changes but they're not allowed due to '--no-update-lock-file'
"#,
    },
    Case {
        origin: "constructed: input-404",
        text: r#"error:
       … while updating the lock file of flake 'path:/x'

       … while updating the flake input 'a'

       … while fetching the input 'github:a/b'

       error: unable to download 'https://api.github.com/repos/a/b/commits/HEAD': HTTP error 404

       response body:

       {
         "message": "Not Found"
       }"#,
        expect: r#"
download-failed: unable to download 'https://api.github.com/repos/a/b/commits/HEAD': HTTP error 404
url https://api.github.com/repos/a/b/commits/HEAD
| Not Found
… while fetching the input 'github:a/b'
… while updating the flake input 'a'
… while updating the lock file of flake 'path:/x'
"#,
    },
    Case {
        origin: "constructed: git-input",
        text: r#"error:
       … while fetching the input 'git+ssh://git@x/y'

       error: Failed to fetch git repository 'ssh://git@x/y'"#,
        expect: r#"
download-failed: Failed to fetch git repository 'ssh://git@x/y'
… while fetching the input 'git+ssh://git@x/y'
"#,
    },
    Case {
        origin: "constructed: conflicting-files",
        text: r#"error: An existing package already provides the following file:

         /nix/store/a-x/bin/y

       This is the conflicting file from the new package:

         /nix/store/b-x/bin/y"#,
        expect: r#"
profile-conflict: An existing package already provides the following file: /nix/store/a-x/bin/y
| This is the conflicting file from the new package:
| /nix/store/b-x/bin/y
"#,
    },
    Case {
        origin: "constructed: no-drv",
        text: r#"error: opening file '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv': No such file or directory"#,
        expect: r#"
store-error: opening file '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv': No such file or directory
"#,
    },
    Case {
        origin: "constructed: reason-no-output",
        text: r#"error: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv'.
       Reason: builder failed to produce output path for output 'out' at '/nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-x-1'.
       Output paths:
         /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-x-1"#,
        expect: r#"
no-output: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv': builder failed to produce output path for output 'out' at '/nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-x-1'
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
output /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-x-1
name x-1
"#,
    },
    Case {
        origin: "constructed: odd-remote",
        text: r#"error: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' on 'ssh://b' failed: something odd happened"#,
        expect: r#"
remote-build-failed: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' on 'ssh://b' failed: something odd happened
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
name x-1
machine ssh://b
"#,
    },
    Case {
        origin: "constructed: remote-tail",
        text: r#"error: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' on 'ssh://b' failed: error: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' failed with exit code 2;
       last 1 log lines:
       > boo
       For full logs, run 'nix log /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv'."#,
        expect: r#"
builder-failed: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' failed with exit code 2
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
name x-1
exit 2
machine ssh://b
> boo
log nix log /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
"#,
    },
    Case {
        origin: "constructed: warned",
        text: r#"warning: error: SQLite database '/x' is busy"#,
        expect: r#"
store-busy: SQLite database '/x' is busy
"#,
    },
    Case {
        origin: "constructed: progress-bar",
        text: "[1/2 built]\r\u{1b}[K\u{1b}[31;1merror:\u{1b}[0m undefined variable 'x'",
        expect: r#"
eval-undefined-variable: undefined variable 'x'
"#,
    },
    Case {
        origin: "constructed: cut-off",
        text: r#"error:
       … while calling the 'throw' builtin
         at /x/y.nix:1:2:
            1| throw"#,
        expect: r#"
eval-throw: while calling the 'throw' builtin
at /x/y.nix:1:2
user /x/y.nix:1:2
|      1| throw
… while calling the 'throw' builtin at /x/y.nix:1:2
"#,
    },
    Case {
        origin: "constructed: git-missing",
        text: r#"error: executing 'git': No such file or directory"#,
        expect: r#"
missing-program: executing 'git': No such file or directory
program git
"#,
    },
    Case {
        origin: "constructed: corrupted",
        text: r#"error: path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is corrupted or missing!"#,
        expect: r#"
store-error: path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is corrupted or missing!
output /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1
name x-1
"#,
    },
    Case {
        origin: "constructed: not-a-directory",
        text: r#"error: output path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is not a directory"#,
        expect: r#"
output-rejected: output path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is not a directory
output /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1
name x-1
"#,
    },
    Case {
        origin: "constructed: too-large",
        text: r#"error: closure of path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is too large at 123 bytes; limit is 100 bytes"#,
        expect: r#"
output-rejected: closure of path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1' is too large at 123 bytes; limit is 100 bytes
output /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1
name x-1
"#,
    },
];
