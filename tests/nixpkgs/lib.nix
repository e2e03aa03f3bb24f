# What the flake uses of `lib`, with the meaning that it has in nixpkgs.
let
  # A file set is an attribute set with the paths in it; a path is coerced to one.
  coerce =
    value:
    if builtins.isAttrs value then
      value
    else if builtins.pathExists value then
      { paths = [ value ]; }
    else
      throw "lib.fileset: ${toString value} does not exist; lib.fileset.maybeMissing takes such a path";

  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
in
{
  genAttrs =
    names: f:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );

  importTOML = path: builtins.fromTOML (builtins.readFile path);

  optionalString = condition: text: if condition then text else "";

  getExe =
    package: "${package}/bin/${package.meta.mainProgram or (throw "lib.getExe: no meta.mainProgram")}";

  licenses = {
    mit.spdxId = "MIT";
    asl20.spdxId = "Apache-2.0";
  };

  platforms.unix = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "aarch64-darwin"
  ];

  fileset = {
    maybeMissing = path: if builtins.pathExists path then coerce path else { paths = [ ]; };

    unions = sets: { paths = builtins.concatMap (set: (coerce set).paths) sets; };

    toSource =
      { root, fileset }:
      let
        inside = path: map toString (coerce fileset).paths;
      in
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: type:
          builtins.any (
            member:
            path == member
            # Below a directory of the set, or a directory on the way to a member.
            || hasPrefix "${member}/" path
            || hasPrefix "${path}/" member
          ) (inside path);
      };
  };
}
