# What a NixOS configuration becomes with module.nix: the settings of its Telegraf, its unit, the open ports.
{ configuration }:
let
  lib = import ./standin/nixpkgs/lib.nix;
  package = {
    pname = "telegraf-bitcoin-ipc";
    outPath = "/nix/store/plugin";
  };
  config = lib.evalModules {
    modules = [
      (import ./nixos.nix)
      (import ../../module.nix)
      configuration
    ];
    specialArgs = {
      inherit lib;
      pkgs.callPackage = _: _: package;
    };
  };
  failed = builtins.filter (one: !one.assertion) config.assertions;
in
if failed != [ ] then
  throw (builtins.head failed).message
else
  {
    telegraf = config.services.telegraf.extraConfig;
    inherit (config.services.telegraf) enable;
    inherit (config) warnings;
    unit = config.systemd.services.telegraf;
    ports = config.networking.firewall.allowedTCPPorts;
  }
