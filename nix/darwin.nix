# services.nixmon-agent of nix-darwin.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.nixmon-agent;
  agent = import ./agent.nix {
    inherit
      self
      lib
      pkgs
      cfg
      ;
  };
in
{
  options.services.nixmon-agent = agent.options;

  config = lib.mkIf cfg.enable {
    launchd.daemons.nixmon-agent = {
      # A switch that it has started replaces it; the next one takes the command over.
      serviceConfig = {
        ProgramArguments = agent.command;
        RunAtLoad = true;
        KeepAlive = true;
        ThrottleInterval = 30;
        # Commands have processes of their own, which outlive the agent.
        AbandonProcessGroup = true;
        EnvironmentVariables = {
          HOME = "/var/root";
          PATH = "/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/bin:/bin:/usr/sbin:/sbin";
        };
      };
    };
  };
}
