# services.nixmon-agent of home-manager.
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
    systemd.user.services.nixmon-agent = {
      Unit = {
        Description = "nixmon: reports runs to a hub";
        # A switch that it has started neither stops nor restarts it.
        X-RestartIfChanged = false;
        X-SwitchMethod = "keep-old";
      };
      Service = {
        ExecStart = lib.escapeShellArgs agent.command;
        Restart = "always";
        RestartSec = 30;
        # Commands have processes of their own, which outlive the agent.
        KillMode = "process";
      };
      Install.WantedBy = [ "default.target" ];
    };

    launchd.agents.nixmon-agent = {
      enable = true;
      config = {
        ProgramArguments = agent.command;
        RunAtLoad = true;
        KeepAlive = true;
        ThrottleInterval = 30;
        AbandonProcessGroup = true;
      };
    };
  };
}
