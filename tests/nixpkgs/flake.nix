# A stand-in for nixpkgs: just what the flake of nixmon uses of it, for machines that cannot fetch nixpkgs.
#
#   nix run --impure --override-input nixpkgs path:./tests/nixpkgs .#monitor -- --version
#
# Everything evaluates without --impure. A build needs it: the builders run the host's cargo, whose place they know from
# the environment (pkgs.nix). Where an attribute has a rule in nixpkgs that a caller may break, the stand-in keeps it.
{
  description = "Stand-in for nixpkgs in the tests of nixmon";

  outputs =
    { self }:
    let
      lib = import ./lib.nix;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ] (system: import ./pkgs.nix { inherit lib system; });
    };
}
