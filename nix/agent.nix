# What the modules of the agent have in common: the options, and the command.
{
  self,
  lib,
  pkgs,
  cfg,
}:
{
  options = {
    enable = lib.mkEnableOption "the agent of nixmon, which reports runs to a hub";
    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = "the package of nixmon's flake";
      description = "The package with `nixmon agent`.";
    };
    settings = lib.mkOption {
      type = (pkgs.formats.toml { }).type;
      default = { };
      example = {
        hub = "https://hub.example.org";
        token-file = "/run/secrets/nixmon-agent";
        actions.switch = [
          "nixos-rebuild"
          "switch"
          "--flake"
          "/etc/nixos"
        ];
      };
      description = ''
        The table `[agent]` of the configuration: the hub, the file with the token, and the actions that the hub may ask for. The
        token itself does not belong here, since everybody can read the Nix store.
      '';
    };
  };

  command = [
    (lib.getExe cfg.package)
    "agent"
    "--config"
    "${(pkgs.formats.toml { }).generate "nixmon-agent.toml" { agent = cfg.settings; }}"
  ];
}
