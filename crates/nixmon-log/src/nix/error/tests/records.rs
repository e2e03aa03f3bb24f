//! Records of real runs, unabridged but for keys that say nothing of the error.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        origin: "Nix 2.6.0:13-remote-refused",
        text: r#"@nix {"action":"msg","level":0,"msg":"cannot build on 'ssh://root@127.0.0.1': \u001b[31;1merror:\u001b[0m cannot connect to '\u001b[35;1mroot@127.0.0.1\u001b[0m': ssh: connect to host 127.0.0.1 port 9: Connection refused"}"#,
        expect: r#"
remote-machine: cannot build on 'ssh://root@127.0.0.1': cannot connect to 'root@127.0.0.1': ssh: connect to host 127.0.0.1 port 9: Connection refused
machine ssh://root@127.0.0.1
"#,
    },
    Case {
        origin: "Nix 2.6.0:13-remote-refused",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m unable to start any build; remote machines may not have all required system features.\n       https://nixos.org/manual/nix/stable/advanced-topics/distributed-builds.html","raw_msg":"unable to start any build; remote machines may not have all required system features.\nhttps://nixos.org/manual/nix/stable/advanced-topics/distributed-builds.html"}"#,
        expect: r#"
no-machine: unable to start any build; remote machines may not have all required system features.
| https://nixos.org/manual/nix/stable/advanced-topics/distributed-builds.html
"#,
    },
    Case {
        origin: "Nix 2.6.0:09-eval-deep-trace",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m deep failure at the bottom\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                                                                     \u001b[31;1m^\u001b[0m\n            4| in\n\n       … while evaluating \u001b[35;1m'g'\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7\u001b[0m:\n\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |       \u001b[31;1m^\u001b[0m\n            4| in\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:5:60\u001b[0m:\n\n            4| in\n            5| builtins.addErrorContext \"while computing the demo value\" (g 12)\n             |                                                            \u001b[31;1m^\u001b[0m\n\n       … while computing the demo value\n\n       … while evaluating \u001b[35;1manonymous lambda\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:1:1\u001b[0m:\n\n            1| { ... }:\n             | \u001b[31;1m^\u001b[0m\n            2| let\n\n       … from call site\u001b[35;1m\u001b[0m\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/default.nix:2:63\u001b[0m:\n\n            1| import ./graphs.nix { salt = import ./salt.nix; } // {\n            2|   evalerr = builtins.listToAttrs (map (n: { name = n; value = import (./evalerr + \"/${n}.nix\") { }; })\n             |                                                               \u001b[31;1m^\u001b[0m\n            3|     [ \"undefined\" \"missing\" \"assertion\" \"throwing\" \"infinite\" \"syntax\" \"typeerr\" \"aborting\" \"calling\" \"deep\" ]);","raw_msg":"deep failure at the bottom","trace":[{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":69,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"column":7,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":3,"raw_msg":"while evaluating \u001b[35;1m'g'\u001b[0m"},{"column":60,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":5,"raw_msg":"from call site\u001b[35;1m\u001b[0m"},{"raw_msg":"while computing the demo value"},{"column":1,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix","line":1,"raw_msg":"while evaluating \u001b[35;1manonymous lambda\u001b[0m"},{"column":63,"file":"/nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/default.nix","line":2,"raw_msg":"from call site\u001b[35;1m\u001b[0m"}]}"#,
        expect: r#"
eval-other: deep failure at the bottom
at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
user /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
|      2| let
|      3|   g = n: if n == 0 then throw "deep failure at the bottom" else 1 + g (n - 1);
|       |       ^
|      4| in
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:69
… while evaluating 'g' at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:3:7
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:5:60
… while computing the demo value
… while evaluating anonymous lambda at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/evalerr/deep.nix:1:1
… from call site at /nix/store/aknyzb0yb3yjh7cbsy58n7yzyb9ixddc-source/default.nix:2:63
"#,
    },
    Case {
        origin: "Nix 2.6.0:23-nix-build-fail-json",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/zh2jv0szjp46lydw73izr3xwhsim37nf-mixed-bad.drv\u001b[0m' failed with exit code 1","raw_msg":"builder for '\u001b[35;1m/nix/store/zh2jv0szjp46lydw73izr3xwhsim37nf-mixed-bad.drv\u001b[0m' failed with exit code 1"}"#,
        expect: r#"
builder-failed: builder for '/nix/store/zh2jv0szjp46lydw73izr3xwhsim37nf-mixed-bad.drv' failed with exit code 1
derivation /nix/store/zh2jv0szjp46lydw73izr3xwhsim37nf-mixed-bad.drv
name mixed-bad
exit 1
"#,
    },
    Case {
        origin: "Nix 2.6.0:23-nix-build-fail-json",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m1\u001b[0m dependencies of derivation '\u001b[35;1m/nix/store/5gbmr3jwpsb5z3704x5b9q36hir9k5s5-mixed-top.drv\u001b[0m' failed to build","raw_msg":"\u001b[35;1m1\u001b[0m dependencies of derivation '\u001b[35;1m/nix/store/5gbmr3jwpsb5z3704x5b9q36hir9k5s5-mixed-top.drv\u001b[0m' failed to build"}"#,
        expect: r#"
dependency-failed: 1 dependencies of derivation '/nix/store/5gbmr3jwpsb5z3704x5b9q36hir9k5s5-mixed-top.drv' failed to build
derivation /nix/store/5gbmr3jwpsb5z3704x5b9q36hir9k5s5-mixed-top.drv
name mixed-top
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.6.0:32-no-output",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/rqp5jqlqg92j4k63m3f32gmxlp9im517-no-output.drv\u001b[0m' failed to produce output path for output '\u001b[35;1mout\u001b[0m' at '\u001b[35;1m/nix/store/gbg7ifwls7scaa1piq6jdd5y0kf72cir-no-output\u001b[0m'","raw_msg":"builder for '\u001b[35;1m/nix/store/rqp5jqlqg92j4k63m3f32gmxlp9im517-no-output.drv\u001b[0m' failed to produce output path for output '\u001b[35;1mout\u001b[0m' at '\u001b[35;1m/nix/store/gbg7ifwls7scaa1piq6jdd5y0kf72cir-no-output\u001b[0m'"}"#,
        expect: r#"
no-output: builder for '/nix/store/rqp5jqlqg92j4k63m3f32gmxlp9im517-no-output.drv' failed to produce output path for output 'out' at '/nix/store/gbg7ifwls7scaa1piq6jdd5y0kf72cir-no-output'
derivation /nix/store/rqp5jqlqg92j4k63m3f32gmxlp9im517-no-output.drv
output /nix/store/gbg7ifwls7scaa1piq6jdd5y0kf72cir-no-output
name no-output
"#,
    },
    Case {
        origin: "Nix 2.6.0:13-remote-fail-v",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m build of '\u001b[35;1m/nix/store/m674assgbz9fhp9s4v1iiqvgk5z9wmz7-remote-bad.drv\u001b[0m' on '\u001b[35;1mssh://root@localhost?remote-program=/home/demo/bin/remote-store\u001b[0m' failed: \u001b[35;1m\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/m674assgbz9fhp9s4v1iiqvgk5z9wmz7-remote-bad.drv\u001b[0m' failed with exit code 3\u001b[0m"}"#,
        expect: r#"
builder-failed: builder for '/nix/store/m674assgbz9fhp9s4v1iiqvgk5z9wmz7-remote-bad.drv' failed with exit code 3
derivation /nix/store/m674assgbz9fhp9s4v1iiqvgk5z9wmz7-remote-bad.drv
name remote-bad
exit 3
machine ssh://root@localhost?remote-program=/home/demo/bin/remote-store
"#,
    },
    Case {
        origin: "Nix 2.6.0:29-disk-full",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/2l79a5078i7n1c0sl2q0kwqssx76jh4j-disk-full.drv\u001b[0m' failed with exit code 1\n       note: build failure may have been caused by lack of free disk space","raw_msg":"builder for '\u001b[35;1m/nix/store/2l79a5078i7n1c0sl2q0kwqssx76jh4j-disk-full.drv\u001b[0m' failed with exit code 1\nnote: build failure may have been caused by lack of free disk space"}"#,
        expect: r#"
disk-full: builder for '/nix/store/2l79a5078i7n1c0sl2q0kwqssx76jh4j-disk-full.drv' failed with exit code 1
derivation /nix/store/2l79a5078i7n1c0sl2q0kwqssx76jh4j-disk-full.drv
name disk-full
exit 1
| note: build failure may have been caused by lack of free disk space
"#,
    },
    Case {
        origin: "Nix 2.6.0:31-signal-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/28na3q1cfgf4rxd6k0rb988pf6crik0w-killed-by-signal.drv\u001b[0m' failed due to signal 9 (Killed)","raw_msg":"builder for '\u001b[35;1m/nix/store/28na3q1cfgf4rxd6k0rb988pf6crik0w-killed-by-signal.drv\u001b[0m' failed due to signal 9 (Killed)"}"#,
        expect: r#"
killed-by-signal: builder for '/nix/store/28na3q1cfgf4rxd6k0rb988pf6crik0w-killed-by-signal.drv' failed due to signal 9 (Killed)
derivation /nix/store/28na3q1cfgf4rxd6k0rb988pf6crik0w-killed-by-signal.drv
name killed-by-signal
signal 9
"#,
    },
    Case {
        origin: "Nix 2.6.0:11-nar-missing",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m file '\u001b[35;1mnar/16dsk6prwl6hyciiaznbgcva5lzkynn3pih0j7rjlnq5vdny7flc.nar.xz\u001b[0m' does not exist in binary cache '\u001b[35;1mhttp://127.0.0.1:36833\u001b[0m'"}"#,
        expect: r#"
missing-nar: file 'nar/16dsk6prwl6hyciiaznbgcva5lzkynn3pih0j7rjlnq5vdny7flc.nar.xz' does not exist in binary cache 'http://127.0.0.1:36833'
url http://127.0.0.1:36833
"#,
    },
    Case {
        origin: "Nix 2.6.0:09-eval-assertion",
        text: r#"@nix {"action":"msg","column":1,"file":"/nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix","level":0,"line":4,"msg":"\u001b[31;1merror:\u001b[0m assertion '\u001b[35;1m(version == \"2.0\")\u001b[0m' failed\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1\u001b[0m:\n\n            3| in\n            4| assert version == \"2.0\"; version\n             | \u001b[31;1m^\u001b[0m","raw_msg":"assertion '\u001b[35;1m(version == \"2.0\")\u001b[0m' failed"}"#,
        expect: r#"
eval-assertion: assertion '(version == "2.0")' failed
at /nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1
user /nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1
|      3| in
|      4| assert version == "2.0"; version
|       | ^
"#,
    },
    Case {
        origin: "Nix 2.6.0:16-timeout-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1mbuilding of '/nix/store/niyrfqbhhlza3k8jabvllxxl9nfs59q3-slow-build.drv!out' from .drv file\u001b[0m timed out after \u001b[35;1m2\u001b[0m seconds","raw_msg":"\u001b[35;1mbuilding of '/nix/store/niyrfqbhhlza3k8jabvllxxl9nfs59q3-slow-build.drv!out' from .drv file\u001b[0m timed out after \u001b[35;1m2\u001b[0m seconds"}"#,
        expect: r#"
timeout: building of '/nix/store/niyrfqbhhlza3k8jabvllxxl9nfs59q3-slow-build.drv!out' from .drv file timed out after 2 seconds
derivation /nix/store/niyrfqbhhlza3k8jabvllxxl9nfs59q3-slow-build.drv
name slow-build
"#,
    },
    Case {
        origin: "Nix 2.6.0:11-nar-broken-v",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m unable to download 'http://127.0.0.1:37509/nar/0c5fwx59v9zi929nww82n6iipd2xmvyxrshz59ppy3fhglnkjwm1.nar.xz': HTTP error 500 ('Internal Server Error')\n\n       response body:\n\n       \u001b[35;1m<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\n               \"http://www.w3.org/TR/html4/strict.dtd\">\n       <html>\n           <head>\n               <meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\">\n               <title>Error response</title>\n           </head>\n           <body>\n               <h1>Error response</h1>\n               <p>Error code: 500</p>\n               <p>Message: Internal Server Error.</p>\n               <p>Error code explanation: 500 - Server got itself in trouble.</p>\n           </body>\n       </html>\u001b[0m"}"#,
        expect: r#"
download-failed: unable to download 'http://127.0.0.1:37509/nar/0c5fwx59v9zi929nww82n6iipd2xmvyxrshz59ppy3fhglnkjwm1.nar.xz': HTTP error 500 ('Internal Server Error')
url http://127.0.0.1:37509/nar/0c5fwx59v9zi929nww82n6iipd2xmvyxrshz59ppy3fhglnkjwm1.nar.xz
"#,
    },
    Case {
        origin: "Nix 2.6.0:11-nar-broken-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m some substitutes for the outputs of derivation '\u001b[35;1m/nix/store/nza46md5z4qsyx0i2il7iglzr1vxwknb-pkg-006.drv\u001b[0m' failed (usually happens due to networking issues); try '--fallback' to build derivation from source","raw_msg":"some substitutes for the outputs of derivation '\u001b[35;1m/nix/store/nza46md5z4qsyx0i2il7iglzr1vxwknb-pkg-006.drv\u001b[0m' failed (usually happens due to networking issues); try '--fallback' to build derivation from source "}"#,
        expect: r#"
substitution-failed: some substitutes for the outputs of derivation '/nix/store/nza46md5z4qsyx0i2il7iglzr1vxwknb-pkg-006.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source
derivation /nix/store/nza46md5z4qsyx0i2il7iglzr1vxwknb-pkg-006.drv
name pkg-006
"#,
    },
    Case {
        origin: "Nix 2.6.0:09-eval-attr",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m flake '\u001b[35;1mpath:/home/demo/flake\u001b[0m' does not provide attribute \u001b[35;1m'packages.x86_64-linux.doesNotExist', 'legacyPackages.x86_64-linux.doesNotExist' or 'doesNotExist'\u001b[0m","raw_msg":"flake '\u001b[35;1mpath:/home/demo/flake\u001b[0m' does not provide attribute \u001b[35;1m'packages.x86_64-linux.doesNotExist', 'legacyPackages.x86_64-linux.doesNotExist' or 'doesNotExist'\u001b[0m"}"#,
        expect: r#"
flake-missing-attribute: flake 'path:/home/demo/flake' does not provide attribute 'packages.x86_64-linux.doesNotExist', 'legacyPackages.x86_64-linux.doesNotExist' or 'doesNotExist'
url path:/home/demo/flake
"#,
    },
    Case {
        origin: "Nix 2.6.0:10-module-option",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m The option `programs.gitt' does not exist. Definition values:\n       - In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }","raw_msg":"The option `programs.gitt' does not exist. Definition values:\n- In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }"}"#,
        expect: r#"
eval-module-option: The option `programs.gitt' does not exist
user /nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix
| - In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }
"#,
    },
    Case {
        origin: "Nix 2.6.0:33-rebuild-differs",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m derivation '\u001b[35;1m/nix/store/whbc5krm2w9zjq2q6v7aqm9zxfd24cas-nondeterministic.drv\u001b[0m' may not be deterministic: output '\u001b[35;1m/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic\u001b[0m' differs from '\u001b[35;1m/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic.check\u001b[0m'","raw_msg":"derivation '\u001b[35;1m/nix/store/whbc5krm2w9zjq2q6v7aqm9zxfd24cas-nondeterministic.drv\u001b[0m' may not be deterministic: output '\u001b[35;1m/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic\u001b[0m' differs from '\u001b[35;1m/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic.check\u001b[0m'"}"#,
        expect: r#"
not-deterministic: derivation '/nix/store/whbc5krm2w9zjq2q6v7aqm9zxfd24cas-nondeterministic.drv' may not be deterministic: output '/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic' differs from '/nix/store/q48hcxp07w6xfld2wis5ginnkann4lwr-nondeterministic.check'
derivation /nix/store/whbc5krm2w9zjq2q6v7aqm9zxfd24cas-nondeterministic.drv
name nondeterministic
"#,
    },
    Case {
        origin: "Nix 2.6.0:15-hook-fail",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m program '/home/demo/bin/hook-bad' failed with exit code 1","raw_msg":"program '/home/demo/bin/hook-bad' failed with exit code 1"}"#,
        expect: r#"
post-build-hook: program '/home/demo/bin/hook-bad' failed with exit code 1
exit 1
program /home/demo/bin/hook-bad
"#,
    },
    Case {
        origin: "Nix 2.6.0:24-daemon-sigint",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m interrupted by the user","raw_msg":"interrupted by the user"}"#,
        expect: r#"
interrupted: interrupted by the user
"#,
    },
    Case {
        origin: "Nix 2.6.0:34-output-cycle",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m cycle detected in build of '\u001b[35;1m/nix/store/bg6f0c074rgy7l3633j33l30yr7caldn-cycle.drv\u001b[0m' in the references of output '\u001b[35;1mdev\u001b[0m' from output '\u001b[35;1mout\u001b[0m'","raw_msg":"cycle detected in build of '\u001b[35;1m/nix/store/bg6f0c074rgy7l3633j33l30yr7caldn-cycle.drv\u001b[0m' in the references of output '\u001b[35;1mdev\u001b[0m' from output '\u001b[35;1mout\u001b[0m'"}"#,
        expect: r#"
output-cycle: cycle detected in build of '/nix/store/bg6f0c074rgy7l3633j33l30yr7caldn-cycle.drv' in the references of output 'dev' from output 'out'
derivation /nix/store/bg6f0c074rgy7l3633j33l30yr7caldn-cycle.drv
name cycle
"#,
    },
    Case {
        origin: "Nix 2.6.0:09-eval-deep",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m deep failure at the bottom","raw_msg":"deep failure at the bottom"}"#,
        expect: r#"
unknown: deep failure at the bottom
"#,
    },
    Case {
        origin: "Nix 2.6.0:30-wrong-system",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m a '\u001b[35;1maarch64-darwin\u001b[0m' with features {\u001b[35;1m\u001b[0m} is required to build '\u001b[35;1m/nix/store/jz389bwilffs3qmclj2ar50rjl68i9kz-needs-darwin.drv\u001b[0m', but I am a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mbenchmark, big-parallel, ca-derivations, nixos-test\u001b[0m}","raw_msg":"a '\u001b[35;1maarch64-darwin\u001b[0m' with features {\u001b[35;1m\u001b[0m} is required to build '\u001b[35;1m/nix/store/jz389bwilffs3qmclj2ar50rjl68i9kz-needs-darwin.drv\u001b[0m', but I am a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mbenchmark, big-parallel, ca-derivations, nixos-test\u001b[0m}"}"#,
        expect: r#"
platform-mismatch: a 'aarch64-darwin' with features {} is required to build '/nix/store/jz389bwilffs3qmclj2ar50rjl68i9kz-needs-darwin.drv', but I am a 'x86_64-linux' with features {benchmark, big-parallel, ca-derivations, nixos-test}
derivation /nix/store/jz389bwilffs3qmclj2ar50rjl68i9kz-needs-darwin.drv
name needs-darwin
"#,
    },
    Case {
        origin: "Nix 2.6.0:13-remote-broken",
        text: r#"@nix {"action":"msg","level":0,"msg":"cannot build on 'ssh://root@localhost?remote-program=/nonexistent': \u001b[31;1merror:\u001b[0m cannot connect to '\u001b[35;1mroot@localhost\u001b[0m': bash: line 1: /nonexistent: No such file or directory"}"#,
        expect: r#"
remote-machine: cannot build on 'ssh://root@localhost?remote-program=/nonexistent': cannot connect to 'root@localhost': bash: line 1: /nonexistent: No such file or directory
machine ssh://root@localhost?remote-program=/nonexistent
"#,
    },
    Case {
        origin: "Nix 2.6.0:08-hash-mismatch",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m hash mismatch in fixed-output derivation '\u001b[35;1m/nix/store/fnrvsam32jgrzdlxzrkhgi85zc3x185z-source-1.0.tar.gz.drv\u001b[0m':\n         specified: \u001b[35;1msha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\u001b[0m\n            got:    \u001b[35;1msha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=\u001b[0m","raw_msg":"hash mismatch in fixed-output derivation '\u001b[35;1m/nix/store/fnrvsam32jgrzdlxzrkhgi85zc3x185z-source-1.0.tar.gz.drv\u001b[0m':\n  specified: \u001b[35;1msha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\u001b[0m\n     got:    \u001b[35;1msha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=\u001b[0m"}"#,
        expect: r#"
hash-mismatch: hash mismatch in fixed-output derivation '/nix/store/fnrvsam32jgrzdlxzrkhgi85zc3x185z-source-1.0.tar.gz.drv': specified sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, got sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
derivation /nix/store/fnrvsam32jgrzdlxzrkhgi85zc3x185z-source-1.0.tar.gz.drv
name source-1.0.tar.gz
specified sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
got sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
| specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
| got:    sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
"#,
    },
    Case {
        origin: "Nix 2.8.0:19-spoof-shape",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m [json.exception.type_error.302] type must be string, but is null"}"#,
        expect: r#"
nix-aborted: [json.exception.type_error.302] type must be string, but is null
"#,
    },
    Case {
        origin: "Nix 2.8.0:34-forbidden-reference",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m\u001b[0moutput '\u001b[35;1m/nix/store/5cjppzsbirvw2a45sa06fhpdjx8ni8y5-forbidden-reference\u001b[0m' is not allowed to refer to the following paths:\u001b[35;1m\n         /nix/store/cck29283is2l6576xd7fx6x62x1llbjl-hello-2.12.1\u001b[0m\u001b[0m","raw_msg":"\u001b[35;1m\u001b[0moutput '\u001b[35;1m/nix/store/5cjppzsbirvw2a45sa06fhpdjx8ni8y5-forbidden-reference\u001b[0m' is not allowed to refer to the following paths:\u001b[35;1m\n  /nix/store/cck29283is2l6576xd7fx6x62x1llbjl-hello-2.12.1\u001b[0m\u001b[0m"}"#,
        expect: r#"
forbidden-reference: output '/nix/store/5cjppzsbirvw2a45sa06fhpdjx8ni8y5-forbidden-reference' is not allowed to refer to the following paths: /nix/store/cck29283is2l6576xd7fx6x62x1llbjl-hello-2.12.1
output /nix/store/5cjppzsbirvw2a45sa06fhpdjx8ni8y5-forbidden-reference
name forbidden-reference
"#,
    },
    Case {
        origin: "Nix 2.8.0:25-concurrent-v",
        text: r#"@nix {"action":"msg","level":0,"msg":"error (ignored): \u001b[31;1merror:\u001b[0m SQLite database '/home/demo/.cache/nix/eval-cache-v2/d0c59a86895f877688c0e503b1f94c9e195fe5e75aab97ccf7c755e150a34838.sqlite' is busy"}"#,
        expect: r#"
store-busy: SQLite database '/home/demo/.cache/nix/eval-cache-v2/d0c59a86895f877688c0e503b1f94c9e195fe5e75aab97ccf7c755e150a34838.sqlite' is busy
"#,
    },
    Case {
        origin: "Nix 2.8.0:30-missing-feature",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mkvm, nixos-test\u001b[0m} is required to build '\u001b[35;1m/nix/store/8cjhp2ywm1p1iam4anz0hn5xiwhgx8vd-needs-kvm.drv\u001b[0m', but I am a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mca-derivations, nixos-test\u001b[0m}","raw_msg":"a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mkvm, nixos-test\u001b[0m} is required to build '\u001b[35;1m/nix/store/8cjhp2ywm1p1iam4anz0hn5xiwhgx8vd-needs-kvm.drv\u001b[0m', but I am a '\u001b[35;1mx86_64-linux\u001b[0m' with features {\u001b[35;1mca-derivations, nixos-test\u001b[0m}"}"#,
        expect: r#"
missing-feature: a 'x86_64-linux' with features {kvm, nixos-test} is required to build '/nix/store/8cjhp2ywm1p1iam4anz0hn5xiwhgx8vd-needs-kvm.drv', but I am a 'x86_64-linux' with features {ca-derivations, nixos-test}
derivation /nix/store/8cjhp2ywm1p1iam4anz0hn5xiwhgx8vd-needs-kvm.drv
name needs-kvm
"#,
    },
    Case {
        origin: "Nix 2.8.0:09-eval-calling",
        text: r#"@nix {"action":"msg","column":4,"file":"/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix","level":0,"line":3,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m'f' at \u001b[1m/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix\u001b[0m:2:9\u001b[0m called without required argument '\u001b[35;1mb\u001b[0m'\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:3:4\u001b[0m:\n\n            2| let f = { a, b }: a;\n            3| in f { a = 1; c = 2; }\n             |    \u001b[31;1m^\u001b[0m","raw_msg":"\u001b[35;1m'f' at \u001b[1m/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix\u001b[0m:2:9\u001b[0m called without required argument '\u001b[35;1mb\u001b[0m'"}"#,
        expect: r#"
eval-call: 'f' at /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:2:9 called without required argument 'b'
at /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:3:4
user /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:3:4
|      2| let f = { a, b }: a;
|      3| in f { a = 1; c = 2; }
|       |    ^
"#,
    },
    Case {
        origin: "Nix 2.8.0:36-bad-option",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m unrecognised flag '\u001b[35;1m--no-such-option\u001b[0m'","raw_msg":"unrecognised flag '\u001b[35;1m--no-such-option\u001b[0m'"}"#,
        expect: r#"
usage: unrecognised flag '--no-such-option'
"#,
    },
    Case {
        origin: "Nix 2.8.0:24-daemon-keep-going",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/chpndg4dmf3vzqrqj4yn32040qaa3q4n-bad-1.drv\u001b[0m' failed with exit code 1;\n       last 3 log lines:\n       > Running phase: buildPhase\n       > building bad 1\n       > failing 1\n       For full logs, run '\u001b[1mnix log /nix/store/chpndg4dmf3vzqrqj4yn32040qaa3q4n-bad-1.drv\u001b[0m'."}"#,
        expect: r#"
builder-failed: builder for '/nix/store/chpndg4dmf3vzqrqj4yn32040qaa3q4n-bad-1.drv' failed with exit code 1
derivation /nix/store/chpndg4dmf3vzqrqj4yn32040qaa3q4n-bad-1.drv
name bad-1
exit 1
> Running phase: buildPhase
> building bad 1
> failing 1
log nix log /nix/store/chpndg4dmf3vzqrqj4yn32040qaa3q4n-bad-1.drv
"#,
    },
    Case {
        origin: "Nix 2.8.0:24-daemon-keep-going",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m1\u001b[0m dependencies of derivation '\u001b[35;1m/nix/store/ld2lwlhvphl5bzmwark5pjdazh6iakvy-after-bad-1.drv\u001b[0m' failed to build"}"#,
        expect: r#"
dependency-failed: 1 dependencies of derivation '/nix/store/ld2lwlhvphl5bzmwark5pjdazh6iakvy-after-bad-1.drv' failed to build
derivation /nix/store/ld2lwlhvphl5bzmwark5pjdazh6iakvy-after-bad-1.drv
name after-bad-1
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.8.0:11-nar-broken-fallback",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m substituter '\u001b[35;1mhttp://127.0.0.1:42511\u001b[0m' is disabled"}"#,
        expect: r#"
download-failed: substituter 'http://127.0.0.1:42511' is disabled
url http://127.0.0.1:42511
"#,
    },
    Case {
        origin: "Nix 2.18.1:16-max-silent-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m\u001b[0m\u001b[35;1mbuilding of '/nix/store/bdv1ricy0wsdyklxw8i5bbf47z1drn81-silent-build.drv^out' from .drv file\u001b[0m timed out after \u001b[35;1m2\u001b[0m seconds of silence\u001b[0m","raw_msg":"\u001b[35;1m\u001b[0m\u001b[35;1mbuilding of '/nix/store/bdv1ricy0wsdyklxw8i5bbf47z1drn81-silent-build.drv^out' from .drv file\u001b[0m timed out after \u001b[35;1m2\u001b[0m seconds of silence\u001b[0m"}"#,
        expect: r#"
silent-timeout: building of '/nix/store/bdv1ricy0wsdyklxw8i5bbf47z1drn81-silent-build.drv^out' from .drv file timed out after 2 seconds of silence
derivation /nix/store/bdv1ricy0wsdyklxw8i5bbf47z1drn81-silent-build.drv
name silent-build
"#,
    },
    Case {
        origin: "Nix 2.18.1:27-ifd-fail-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mderivationStrict\u001b[0m' builtin\n\n         \u001b[34;1mat \u001b[35;1m/builtin/derivation.nix:9:12\u001b[0m:\u001b[3m (source not available)\u001b[0m\n\n       … while evaluating the derivation attribute 'name'\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18\u001b[0m:\n\n          237|   ifdBadSource = fail \"generated-bad.nix\" [ ] \"echo generating; sleep 0.3; exit 1\";\n          238|   ifdFail = mk { name = \"ifd-${(import ifdBadSource).value}\"; };\n             |                  \u001b[31;1m^\u001b[0m\n          239|\n\n       \u001b[35;1m(stack trace truncated; use '--show-trace' to show the full trace)\u001b[0m\n\n       \u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv\u001b[0m' failed with exit code 1","raw_msg":"builder for '\u001b[35;1m/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv\u001b[0m' failed with exit code 1"}"#,
        expect: r#"
builder-failed: builder for '/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv' failed with exit code 1
derivation /nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv
name generated-bad.nix
exit 1
at /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
user /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
|    237|   ifdBadSource = fail "generated-bad.nix" [ ] "echo generating; sleep 0.3; exit 1";
|    238|   ifdFail = mk { name = "ifd-${(import ifdBadSource).value}"; };
|       |                  ^
|    239|
… while evaluating the derivation attribute 'name' at /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
… while calling the 'derivationStrict' builtin at /builtin/derivation.nix:9:12
"#,
    },
    Case {
        origin: "Nix 2.18.1:10-module-type-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1maddErrorContext\u001b[0m' builtin\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:10:10\u001b[0m:\n\n            9| in\n           10| { port = builtins.addErrorContext \"while evaluating the option `services.web.port':\" (checkPort config.web.port); badOption = import ./badoption.nix; badSyntax = import ./badsyntax.nix; }\n             |          \u001b[31;1m^\u001b[0m\n           11|\n\n       … while evaluating the option `services.web.port':\n\n       \u001b[31;1merror:\u001b[0m A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\n       - In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': \"eighty\"","raw_msg":"A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\n- In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': \"eighty\""}"#,
        expect: r#"
eval-module-option: A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'
at /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:10:10
user /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix
| - In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': "eighty"
… while evaluating the option `services.web.port':
… while calling the 'addErrorContext' builtin at /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:10:10
"#,
    },
    Case {
        origin: "Nix 2.18.1:09-eval-aborting",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mabort\u001b[0m' builtin\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/d3qqvb8bly57jh09wdfgb7rsjps4yb07-source/evalerr/aborting.nix:1:10\u001b[0m:\n\n            1| { ... }: builtins.abort \"this must never happen\"\n             |          \u001b[31;1m^\u001b[0m\n            2|\n\n       \u001b[31;1merror:\u001b[0m evaluation aborted with the following error message: '\u001b[35;1mthis must never happen\u001b[0m'","raw_msg":"evaluation aborted with the following error message: '\u001b[35;1mthis must never happen\u001b[0m'"}"#,
        expect: r#"
eval-abort: evaluation aborted with the following error message: 'this must never happen'
at /nix/store/d3qqvb8bly57jh09wdfgb7rsjps4yb07-source/evalerr/aborting.nix:1:10
user /nix/store/d3qqvb8bly57jh09wdfgb7rsjps4yb07-source/evalerr/aborting.nix:1:10
|      1| { ... }: builtins.abort "this must never happen"
|       |          ^
|      2|
… while calling the 'abort' builtin at /nix/store/d3qqvb8bly57jh09wdfgb7rsjps4yb07-source/evalerr/aborting.nix:1:10
"#,
    },
    Case {
        origin: "Nix 2.18.1:10-module-syntax",
        text: r#"@nix {"action":"msg","column":23,"file":"/nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/badsyntax.nix","level":0,"line":5,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mimport\u001b[0m' builtin\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/default.nix:10:163\u001b[0m:\n\n            9| in\n           10| { port = builtins.addErrorContext \"while evaluating the option `services.web.port':\" (checkPort config.web.port); badOption = import ./badoption.nix; badSyntax = import ./badsyntax.nix; }\n             |                                                                                                                                                                   \u001b[31;1m^\u001b[0m\n           11|\n\n       \u001b[31;1merror:\u001b[0m syntax error, unexpected '=', expecting ';'\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/badsyntax.nix:5:23\u001b[0m:\n\n            4|   programs.fish.enable = true\n            5|   programs.zsh.enable = true;\n             |                       \u001b[31;1m^\u001b[0m\n            6| }","raw_msg":"syntax error, unexpected '=', expecting ';'"}"#,
        expect: r#"
eval-syntax: syntax error, unexpected '=', expecting ';'
at /nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/badsyntax.nix:5:23
user /nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/badsyntax.nix:5:23
|      4|   programs.fish.enable = true
|      5|   programs.zsh.enable = true;
|       |                       ^
|      6| }
… while calling the 'import' builtin at /nix/store/fvyzz1iw8alhb40zcrfdmk8xg8j73c9y-source/modules/default.nix:10:163
"#,
    },
    Case {
        origin: "Nix 2.18.1:09-eval-calling",
        text: r#"@nix {"action":"msg","column":9,"file":"/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix","level":0,"line":2,"msg":"\u001b[31;1merror:\u001b[0m\n       … from call site\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:3:4\u001b[0m:\n\n            2| let f = { a, b }: a;\n            3| in f { a = 1; c = 2; }\n             |    \u001b[31;1m^\u001b[0m\n            4|\n\n       \u001b[31;1merror:\u001b[0m function '\u001b[35;1mf\u001b[0m' called without required argument '\u001b[35;1mb\u001b[0m'\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:2:9\u001b[0m:\n\n            1| { ... }:\n            2| let f = { a, b }: a;\n             |         \u001b[31;1m^\u001b[0m\n            3| in f { a = 1; c = 2; }","raw_msg":"function '\u001b[35;1mf\u001b[0m' called without required argument '\u001b[35;1mb\u001b[0m'"}"#,
        expect: r#"
eval-call: function 'f' called without required argument 'b'
at /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:2:9
user /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:2:9
|      1| { ... }:
|      2| let f = { a, b }: a;
|       |         ^
|      3| in f { a = 1; c = 2; }
… from call site at /nix/store/84klx1phdyyz7isikn12hcsl7mipgy6n-source/evalerr/calling.nix:3:4
"#,
    },
    Case {
        origin: "Nix 2.18.1:09-eval-undefined-v",
        text: r#"@nix {"action":"msg","column":8,"file":"/nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/evalerr/undefined.nix","level":0,"line":3,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mimport\u001b[0m' builtin\n\n         \u001b[34;1mat \u001b[35;1m/nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/default.nix:2:63\u001b[0m:\n\n            1| import ./graphs.nix { salt = import ./salt.nix; } // {\n            2|   evalerr = builtins.listToAttrs (map (n: { name = n; value = import (./evalerr + \"/${n}.nix\") { }; })\n             |                                                               \u001b[31;1m^\u001b[0m\n            3|     [ \"undefined\" \"missing\" \"assertion\" \"throwing\" \"infinite\" \"syntax\" \"typeerr\" \"aborting\" \"calling\" \"deep\" ]);\n\n       \u001b[31;1merror:\u001b[0m undefined variable '\u001b[35;1mundefinedVariable\u001b[0m'\n\n       \u001b[34;1mat \u001b[35;1m/nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/evalerr/undefined.nix:3:8\u001b[0m:\n\n            2| let x = 1;\n            3| in x + undefinedVariable\n             |        \u001b[31;1m^\u001b[0m\n            4|","raw_msg":"undefined variable '\u001b[35;1mundefinedVariable\u001b[0m'"}"#,
        expect: r#"
eval-undefined-variable: undefined variable 'undefinedVariable'
at /nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/evalerr/undefined.nix:3:8
user /nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/evalerr/undefined.nix:3:8
|      2| let x = 1;
|      3| in x + undefinedVariable
|       |        ^
|      4|
… while calling the 'import' builtin at /nix/store/6i9lhr2bmd6hiz34zlkpb5hm535zjzk2-source/default.nix:2:63
"#,
    },
    Case {
        origin: "Nix 2.24.9:13-remote-refused",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n                           Unable to start any build;\n                           remote machines may not have all required system features.\n\n                           For more information run 'man nix.conf' and search for '/machines'.","raw_msg":"\n                    Unable to start any build;\n                    remote machines may not have all required system features.\n\n                    For more information run 'man nix.conf' and search for '/machines'.\n                    "}"#,
        expect: r#"
no-machine: Unable to start any build; remote machines may not have all required system features.
"#,
    },
    Case {
        origin: "Nix 2.24.9:09-eval-assertion",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while evaluating the condition of the assertion '\u001b[35;1m(version == \"2.0\")\u001b[0m'\n         \u001b[34;1mat \u001b[35;1m/nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1\u001b[0m:\n            3| in\n            4| assert version == \"2.0\"; version\n             | \u001b[31;1m^\u001b[0m\n            5|\n\n       \u001b[31;1merror:\u001b[0m string '\u001b[35;1m\"1.0\"\u001b[0m' is not equal to string '\u001b[35;1m\"2.0\"\u001b[0m'","raw_msg":"string '\u001b[35;1m\"1.0\"\u001b[0m' is not equal to string '\u001b[35;1m\"2.0\"\u001b[0m'"}"#,
        expect: r#"
eval-assertion: assertion '(version == "2.0")' failed: string '"1.0"' is not equal to string '"2.0"'
at /nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1
user /nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1
|      3| in
|      4| assert version == "2.0"; version
|       | ^
|      5|
… while evaluating the condition of the assertion '(version == "2.0")' at /nix/store/bljisrwd0gwidqk2pxqv0g107f139a2d-source/evalerr/assertion.nix:4:1
"#,
    },
    Case {
        origin: "Nix 2.24.9:09-eval-typeerr",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while evaluating a path segment\n         \u001b[34;1mat \u001b[35;1m/nix/store/xg0pjp59l2wr8bkicmgaqlza8253ah7i-source/evalerr/typeerr.nix:3:17\u001b[0m:\n            2| let n = 42;\n            3| in \"number: \" + n\n             |                 \u001b[31;1m^\u001b[0m\n            4|\n\n       \u001b[31;1merror:\u001b[0m cannot coerce \u001b[35;1man integer\u001b[0m to a string: \u001b[36;1m42\u001b[0m","raw_msg":"cannot coerce \u001b[35;1man integer\u001b[0m to a string: \u001b[36;1m42\u001b[0m"}"#,
        expect: r#"
eval-type: cannot coerce an integer to a string: 42
at /nix/store/xg0pjp59l2wr8bkicmgaqlza8253ah7i-source/evalerr/typeerr.nix:3:17
user /nix/store/xg0pjp59l2wr8bkicmgaqlza8253ah7i-source/evalerr/typeerr.nix:3:17
|      2| let n = 42;
|      3| in "number: " + n
|       |                 ^
|      4|
… while evaluating a path segment at /nix/store/xg0pjp59l2wr8bkicmgaqlza8253ah7i-source/evalerr/typeerr.nix:3:17
"#,
    },
    Case {
        origin: "Nix 2.24.9:09-eval-deep",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while computing the demo value\n\n       … while calling the '\u001b[35;1mthrow\u001b[0m' builtin\n         \u001b[34;1mat \u001b[35;1m/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/evalerr/deep.nix:3:25\u001b[0m:\n            2| let\n            3|   g = n: if n == 0 then throw \"deep failure at the bottom\" else 1 + g (n - 1);\n             |                         \u001b[31;1m^\u001b[0m\n            4| in\n\n       \u001b[31;1merror:\u001b[0m deep failure at the bottom","raw_msg":"deep failure at the bottom"}"#,
        expect: r#"
eval-throw: deep failure at the bottom
at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/evalerr/deep.nix:3:25
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/evalerr/deep.nix:3:25
|      2| let
|      3|   g = n: if n == 0 then throw "deep failure at the bottom" else 1 + g (n - 1);
|       |                         ^
|      4| in
… while calling the 'throw' builtin at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/evalerr/deep.nix:3:25
… while computing the demo value
"#,
    },
    Case {
        origin: "Nix 2.24.9:20-dynamic",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Building dynamic derivations in one shot is not yet implemented.","raw_msg":"Building dynamic derivations in one shot is not yet implemented."}"#,
        expect: r#"
build-failed: Building dynamic derivations in one shot is not yet implemented.
"#,
    },
    Case {
        origin: "Nix 2.24.9:10-module-option",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mimport\u001b[0m' builtin\n         \u001b[34;1mat \u001b[35;1m/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/default.nix:10:127\u001b[0m:\n            9| in\n           10| { port = builtins.addErrorContext \"while evaluating the option `services.web.port':\" (checkPort config.web.port); badOption = import ./badoption.nix; badSyntax = import ./badsyntax.nix; }\n             |                                                                                                                               \u001b[31;1m^\u001b[0m\n           11|\n\n       … while evaluating the file '\u001b[35;1m/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix\u001b[0m':\n\n       … while calling the '\u001b[35;1mthrow\u001b[0m' builtin\n         \u001b[34;1mat \u001b[35;1m/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix:1:1\u001b[0m:\n            1| throw \"The option `programs.gitt' does not exist. Definition values:\\n- In `${toString ./badoption.nix}': { enable = true; }\"\n             | \u001b[31;1m^\u001b[0m\n            2|\n\n       \u001b[31;1merror:\u001b[0m The option `programs.gitt' does not exist. Definition values:\n       - In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }","raw_msg":"The option `programs.gitt' does not exist. Definition values:\n- In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }"}"#,
        expect: r#"
eval-module-option: The option `programs.gitt' does not exist
at /nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix:1:1
user /nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix:1:1
| - In `/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix': { enable = true; }
|      1| throw "The option `programs.gitt' does not exist. Definition values:\n- In `${toString ./badoption.nix}': { enable = true; }"
|       | ^
|      2|
… while calling the 'throw' builtin at /nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix:1:1
… while evaluating the file '/nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/badoption.nix':
… while calling the 'import' builtin at /nix/store/1cwzwn8jdr8jjfczgd3q0dbvkqiii68k-source/modules/default.nix:10:127
"#,
    },
    Case {
        origin: "Nix 2.26.3:10-module-type-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while evaluating the option `services.web.port':\n\n       … while calling the '\u001b[35;1mthrow\u001b[0m' builtin\n         \u001b[34;1mat \u001b[35;1m/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:7:50\u001b[0m:\n            6|   config = builtins.foldl' (a: m: a // m) { } modules;\n            7|   checkPort = p: if builtins.isInt p then p else throw\n             |                                                  \u001b[31;1m^\u001b[0m\n            8|     \"A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\\n- In `${toString ./web.nix}': \\\"${p}\\\"\";\n\n       \u001b[31;1merror:\u001b[0m A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\n       - In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': \"eighty\"","raw_msg":"A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\n- In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': \"eighty\""}"#,
        expect: r#"
eval-module-option: A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'
at /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:7:50
user /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix
| - In `/nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/web.nix': "eighty"
… while calling the 'throw' builtin at /nix/store/prw2316kwfj9j6w5x5dyh7ccasy3100l-source/modules/default.nix:7:50
… while evaluating the option `services.web.port':
"#,
    },
    Case {
        origin: "Nix 2.26.3:09-eval-infinite",
        text: r#"@nix {"action":"msg","column":20,"file":"/nix/store/xp6llpdvmb55krgwqq47g2szyv5g527w-source/evalerr/infinite.nix:2:20","level":0,"line":2,"msg":"\u001b[31;1merror:\u001b[0m infinite recursion encountered\n       \u001b[34;1mat \u001b[35;1m/nix/store/xp6llpdvmb55krgwqq47g2szyv5g527w-source/evalerr/infinite.nix:2:20\u001b[0m:\n            1| { ... }:\n            2| let a = b + 1; b = a + 1;\n             |                    \u001b[31;1m^\u001b[0m\n            3| in a","raw_msg":"infinite recursion encountered"}"#,
        expect: r#"
eval-infinite-recursion: infinite recursion encountered
at /nix/store/xp6llpdvmb55krgwqq47g2szyv5g527w-source/evalerr/infinite.nix:2:20
user /nix/store/xp6llpdvmb55krgwqq47g2szyv5g527w-source/evalerr/infinite.nix:2:20
|      1| { ... }:
|      2| let a = b + 1; b = a + 1;
|       |                    ^
|      3| in a
"#,
    },
    Case {
        origin: "Nix 2.26.3:24-daemon-keep-going",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv\u001b[0m' failed with exit code 1;\n       last 3 log lines:\n       > Running phase: buildPhase\n       > building bad 1\n       > failing 1\n       For full logs, run:\n         \u001b[1mnix log /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv\u001b[0m"}"#,
        expect: r#"
builder-failed: builder for '/nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv' failed with exit code 1
derivation /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv
name bad-1
exit 1
> Running phase: buildPhase
> building bad 1
> failing 1
log nix log /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv
"#,
    },
    Case {
        origin: "Nix 2.34.8:23-nix-build-fail-json",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/japcjvq5bdfw9rsqm28vgavsx4yqv25h-mixed-bad.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/wd4a68586ns1av4b92vn5v51s40m9lrv-mixed-bad\u001b[0m","raw_msg":"Cannot build '\u001b[35;1m/nix/store/japcjvq5bdfw9rsqm28vgavsx4yqv25h-mixed-bad.drv\u001b[0m'.\nReason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/wd4a68586ns1av4b92vn5v51s40m9lrv-mixed-bad\u001b[0m"}"#,
        expect: r#"
builder-failed: Cannot build '/nix/store/japcjvq5bdfw9rsqm28vgavsx4yqv25h-mixed-bad.drv': builder failed with exit code 1
derivation /nix/store/japcjvq5bdfw9rsqm28vgavsx4yqv25h-mixed-bad.drv
name mixed-bad
exit 1
"#,
    },
    Case {
        origin: "Nix 2.34.8:07-keep-going-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/ff958nzb8rpz87jra7xaca1ks0c8v99m-keepgoing-top.drv\u001b[0m'.\n       Reason: \u001b[31;1m5 dependencies failed\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/3dwfyjps2kbbkgd3nj8bnx403l60302x-keepgoing-top\u001b[0m","raw_msg":"Cannot build '\u001b[35;1m/nix/store/ff958nzb8rpz87jra7xaca1ks0c8v99m-keepgoing-top.drv\u001b[0m'.\nReason: \u001b[31;1m5 dependencies failed\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/3dwfyjps2kbbkgd3nj8bnx403l60302x-keepgoing-top\u001b[0m"}"#,
        expect: r#"
dependency-failed: Cannot build '/nix/store/ff958nzb8rpz87jra7xaca1ks0c8v99m-keepgoing-top.drv': 5 dependencies failed
derivation /nix/store/ff958nzb8rpz87jra7xaca1ks0c8v99m-keepgoing-top.drv
name keepgoing-top
dependencies 5
"#,
    },
    Case {
        origin: "Nix 2.34.8:30-missing-feature",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/7gg5gqxljb7zi86z2hilhvsjrwfkva8r-needs-kvm.drv\u001b[0m'.\n       Reason: \u001b[31;1mmissing system features\u001b[0m\n       Required features: {kvm, nixos-test}\n       Available features: {ca-derivations, nixos-test}","raw_msg":"Cannot build '\u001b[35;1m/nix/store/7gg5gqxljb7zi86z2hilhvsjrwfkva8r-needs-kvm.drv\u001b[0m'.\nReason: \u001b[31;1mmissing system features\u001b[0m\nRequired features: {kvm, nixos-test}\nAvailable features: {ca-derivations, nixos-test}"}"#,
        expect: r#"
missing-feature: Cannot build '/nix/store/7gg5gqxljb7zi86z2hilhvsjrwfkva8r-needs-kvm.drv': missing system features; Required features: {kvm, nixos-test}; Available features: {ca-derivations, nixos-test}
derivation /nix/store/7gg5gqxljb7zi86z2hilhvsjrwfkva8r-needs-kvm.drv
name needs-kvm
| Required features: {kvm, nixos-test}
| Available features: {ca-derivations, nixos-test}
"#,
    },
    Case {
        origin: "Nix 2.34.8:13-remote-fail-v",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m build of '\u001b[35;1m/nix/store/3xfcl2wrwwn84xaahhkzkn76gv0k57m0-remote-bad.drv\u001b[0m' on '\u001b[35;1mssh://root@localhost?remote-program=/home/demo/bin/remote-store\u001b[0m' failed: \u001b[35;1mCannot build '\u001b[35;1m/nix/store/3xfcl2wrwwn84xaahhkzkn76gv0k57m0-remote-bad.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 3\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/mb3wnmdpkpbszwphkz4nyksva2k8m920-remote-bad\u001b[0m\u001b[0m"}"#,
        expect: r#"
builder-failed: Cannot build '/nix/store/3xfcl2wrwwn84xaahhkzkn76gv0k57m0-remote-bad.drv': builder failed with exit code 3
derivation /nix/store/3xfcl2wrwwn84xaahhkzkn76gv0k57m0-remote-bad.drv
name remote-bad
exit 3
machine ssh://root@localhost?remote-program=/home/demo/bin/remote-store
"#,
    },
    Case {
        origin: "Nix 2.34.8:29-disk-full",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/sv3jz2xrqkhycinwrgs34418vj4wwxmg-disk-full.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/lvbk0sgya1jhp9gdqrv6hbk3l7881p3a-disk-full\u001b[0m\n       note: build failure may have been caused by lack of free disk space","raw_msg":"Cannot build '\u001b[35;1m/nix/store/sv3jz2xrqkhycinwrgs34418vj4wwxmg-disk-full.drv\u001b[0m'.\nReason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/lvbk0sgya1jhp9gdqrv6hbk3l7881p3a-disk-full\u001b[0m\nnote: build failure may have been caused by lack of free disk space"}"#,
        expect: r#"
disk-full: Cannot build '/nix/store/sv3jz2xrqkhycinwrgs34418vj4wwxmg-disk-full.drv': builder failed with exit code 1
derivation /nix/store/sv3jz2xrqkhycinwrgs34418vj4wwxmg-disk-full.drv
name disk-full
exit 1
| note: build failure may have been caused by lack of free disk space
"#,
    },
    Case {
        origin: "Nix 2.34.8:31-signal-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/ag9a7yrns2hfsvsb8vh6n28196m9a0gm-killed-by-signal.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed due to signal 9 (Killed)\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/1xmhbkh2n7f980x839w8vxhs6b305g6j-killed-by-signal\u001b[0m","raw_msg":"Cannot build '\u001b[35;1m/nix/store/ag9a7yrns2hfsvsb8vh6n28196m9a0gm-killed-by-signal.drv\u001b[0m'.\nReason: \u001b[31;1mbuilder failed due to signal 9 (Killed)\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/1xmhbkh2n7f980x839w8vxhs6b305g6j-killed-by-signal\u001b[0m"}"#,
        expect: r#"
killed-by-signal: Cannot build '/nix/store/ag9a7yrns2hfsvsb8vh6n28196m9a0gm-killed-by-signal.drv': builder failed due to signal 9 (Killed)
derivation /nix/store/ag9a7yrns2hfsvsb8vh6n28196m9a0gm-killed-by-signal.drv
name killed-by-signal
signal 9
"#,
    },
    Case {
        origin: "Nix 2.34.8:16-max-silent-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m timed out after \u001b[35;1m2\u001b[0m seconds","raw_msg":"timed out after \u001b[35;1m2\u001b[0m seconds"}"#,
        expect: r#"
timeout: timed out after 2 seconds
"#,
    },
    Case {
        origin: "Nix 2.34.8:27-ifd-fail-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m\n       … while calling the '\u001b[35;1mderivationStrict\u001b[0m' builtin\n         \u001b[34;1mat \u001b[35;1m«nix-internal»/derivation-internal.nix:37:12\u001b[0m:\n           36|\n           37|   strict = derivationStrict drvAttrs;\n             |            \u001b[31;1m^\u001b[0m\n           38|\n\n       … while evaluating the derivation attribute 'name'\n         \u001b[34;1mat \u001b[35;1m/nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18\u001b[0m:\n          237|   ifdBadSource = fail \"generated-bad.nix\" [ ] \"echo generating; sleep 0.3; exit 1\";\n          238|   ifdFail = mk { name = \"ifd-${(import ifdBadSource).value}\"; };\n             |                  \u001b[31;1m^\u001b[0m\n          239|\n\n       \u001b[35;1m(stack trace truncated; use '--show-trace' to show the full, detailed trace)\u001b[0m\n\n       \u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/7ykihg8ibzwdakqm51zpw29d5nq7xrpg-generated-bad.nix\u001b[0m","raw_msg":"Cannot build '\u001b[35;1m/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv\u001b[0m'.\nReason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/7ykihg8ibzwdakqm51zpw29d5nq7xrpg-generated-bad.nix\u001b[0m"}"#,
        expect: r#"
builder-failed: Cannot build '/nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv': builder failed with exit code 1
derivation /nix/store/am3hnbzrg3g0zfh6jv1f87j6knxdcvaz-generated-bad.nix.drv
name generated-bad.nix
exit 1
at /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
user /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
|    237|   ifdBadSource = fail "generated-bad.nix" [ ] "echo generating; sleep 0.3; exit 1";
|    238|   ifdFail = mk { name = "ifd-${(import ifdBadSource).value}"; };
|       |                  ^
|    239|
… while evaluating the derivation attribute 'name' at /nix/store/vmagvdh8irb2x2i8fjj2sgcdxps0hvfy-source/graphs.nix:238:18
… while calling the 'derivationStrict' builtin at «nix-internal»/derivation-internal.nix:37:12
"#,
    },
    Case {
        origin: "Nix 2.34.8:11-nar-broken-fallback",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m path '\u001b[35;1m/nix/store/w2ds36d8xmmn136xqhzlblv3xpnxnqlz-pkg-016\u001b[0m' is required, but there is no substituter that can build it","raw_msg":"path '\u001b[35;1m/nix/store/w2ds36d8xmmn136xqhzlblv3xpnxnqlz-pkg-016\u001b[0m' is required, but there is no substituter that can build it"}"#,
        expect: r#"
no-substituter: path '/nix/store/w2ds36d8xmmn136xqhzlblv3xpnxnqlz-pkg-016' is required, but there is no substituter that can build it
output /nix/store/w2ds36d8xmmn136xqhzlblv3xpnxnqlz-pkg-016
name pkg-016
"#,
    },
    Case {
        origin: "Nix 2.34.8:22-flake-check-v",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m failed to build attribute '\u001b[35;1mchecks.x86_64-linux.fail\u001b[0m', build of '\u001b[35;1m/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv^*\u001b[0m' failed: \u001b[35;1mCannot build '\u001b[35;1m/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/snq3i601lsmsp8737qbb6blkwnrc7cda-check-fail\u001b[0m\u001b[0m","raw_msg":"failed to build attribute '\u001b[35;1mchecks.x86_64-linux.fail\u001b[0m', build of '\u001b[35;1m/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv^*\u001b[0m' failed: \u001b[35;1mCannot build '\u001b[35;1m/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv\u001b[0m'.\nReason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\nOutput paths:\n  \u001b[35;1m/nix/store/snq3i601lsmsp8737qbb6blkwnrc7cda-check-fail\u001b[0m\u001b[0m"}"#,
        expect: r#"
builder-failed: checks.x86_64-linux.fail: Cannot build '/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv': builder failed with exit code 1
derivation /nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-check-fail.drv
name check-fail
exit 1
attribute checks.x86_64-linux.fail
"#,
    },
    Case {
        origin: "Nix 2.34.8:33-rebuild-differs",
        text: r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m derivation '\u001b[35;1m/nix/store/ky931h7x87bf2d08bfj29f134fdr44km-nondeterministic.drv\u001b[0m' may not be deterministic: output \u001b[35;1m\"/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic\"\u001b[0m differs from \u001b[35;1m\"/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic.check\"\u001b[0m","raw_msg":"derivation '\u001b[35;1m/nix/store/ky931h7x87bf2d08bfj29f134fdr44km-nondeterministic.drv\u001b[0m' may not be deterministic: output \u001b[35;1m\"/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic\"\u001b[0m differs from \u001b[35;1m\"/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic.check\"\u001b[0m"}"#,
        expect: r#"
not-deterministic: derivation '/nix/store/ky931h7x87bf2d08bfj29f134fdr44km-nondeterministic.drv' may not be deterministic: output "/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic" differs from "/nix/store/3iwa5wp2svv6dhqkzkgs10s9f9jhrfqh-nondeterministic.check"
derivation /nix/store/ky931h7x87bf2d08bfj29f134fdr44km-nondeterministic.drv
name nondeterministic
"#,
    },
    Case {
        origin: "Nix 2.34.8:24-daemon-keep-going",
        text: r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '\u001b[35;1m/nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv\u001b[0m'.\n       Reason: \u001b[31;1mbuilder failed with exit code 1\u001b[0m.\n       Output paths:\n         \u001b[35;1m/nix/store/fd97kfvq933dxlx2hjhv6qikwvc1lxns-bad-1\u001b[0m\n       Last 3 log lines:\n       > Running phase: buildPhase\n       > building bad 1\n       > failing 1\n       For full logs, run:\n         \u001b[1mnix log /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv\u001b[0m"}"#,
        expect: r#"
builder-failed: Cannot build '/nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv': builder failed with exit code 1
derivation /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv
name bad-1
exit 1
> Running phase: buildPhase
> building bad 1
> failing 1
log nix log /nix/store/jfbaz1a502fgkdmnj0kp2qba5ygmd3hs-bad-1.drv
"#,
    },
];
