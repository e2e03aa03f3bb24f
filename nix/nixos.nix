# services.nixmon-agent of NixOS.
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
    systemd.services.nixmon-agent = {
      description = "nixmon: reports runs to a hub";
      wantedBy = [ "multi-user.target" ];
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      # A switch that it has started neither stops nor restarts it.
      restartIfChanged = false;
      stopIfChanged = false;
      # Its actions want the programs of the system as it is then.
      path = [
        "/run/wrappers"
        "/run/current-system/sw"
      ];
      environment.HOME = "/root";
      serviceConfig = {
        ExecStart = lib.escapeShellArgs agent.command;
        Restart = "always";
        RestartSec = 30;
        # Commands have processes of their own, which outlive the agent.
        KillMode = "process";
      };
    };
  };
}
