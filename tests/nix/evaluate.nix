# What a NixOS configuration becomes with module.nix: the settings of its Telegraf, the units, the open ports.
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
      # Quotes words for systemd, which reads C's escapes, specifiers (%) and variables ($).
      utils.escapeSystemdExecArgs = lib.concatMapStringsSep " " (
        word: builtins.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON word)
      );
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
    units = config.systemd.services;
    ports = config.networking.firewall.allowedTCPPorts;
  }
