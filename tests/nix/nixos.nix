# The options of NixOS that module.nix sets, and what its own Telegraf module sets beside it.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  settings = mkOption {
    type = types.settings;
    default = { };
  };
in
{
  options = {
    assertions = mkOption {
      type = types.settings;
      default = [ ];
    };
    networking.firewall.allowedTCPPorts = mkOption {
      type = types.settings;
      default = [ ];
    };
    services.telegraf = {
      enable = lib.mkEnableOption "telegraf";
      environmentFiles = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      extraConfig = mkOption {
        type = types.settings;
        default = { };
      };
    };
    systemd.services = settings;
    users.users = settings // {
      # Accounts have the name of their attribute, unless they are given another.
      apply = builtins.mapAttrs (name: user: { inherit name; } // user);
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
  };

  config = {
    services.telegraf.extraConfig = {
      inputs = { };
      outputs = { };
    };
    systemd.services.telegraf = {
      after = [ "network-online.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        User = "telegraf";
        Group = "telegraf";
        Restart = "on-failure";
        RuntimeDirectory = "telegraf";
        AmbientCapabilities = [ "CAP_NET_RAW" ];
      };
    };
  };
}
