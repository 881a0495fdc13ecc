# A drop-in replacement for ipc-exporter-rust's module, with the same options. It configures NixOS's Telegraf
# (services.telegraf) to run the plugin and serve the metrics.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.bitcoind-ipc-exporter;

  # The output of `telegraf-bitcoin-ipc config`, with the types of all metrics and the expiry of their values.
  example = builtins.fromTOML (builtins.readFile ./telegraf.conf.example);

  arguments =
    lib.optionals cfg.debug [ "--debug" ]
    ++ lib.optionals (cfg.pollInterval != null) [
      "--poll-interval"
      (builtins.toJSON cfg.pollInterval)
    ]
    ++ lib.optionals (cfg.emitInterval != null) [
      "--emit-interval"
      (builtins.toJSON cfg.emitInterval)
    ]
    ++ lib.optionals (cfg.metricGroups != null) [
      "--metrics"
      (if cfg.metricGroups == [ ] then "none" else lib.concatStringsSep "," cfg.metricGroups)
    ]
    ++ lib.optionals (!cfg.utxoTrace) [ "--no-utxo-trace" ]
    ++ lib.concatLists (
      lib.mapAttrsToList (key: value: [
        "--tag"
        "${key}=${value}"
      ]) cfg.tags
    )
    ++ cfg.extraArgs
    ++ [ cfg.socketPath ];

  # Telegraf replaces environment variables before it parses the TOML, and turns $$ into a dollar sign. If
  # environmentFiles are set, NixOS runs envsubst first, which does the same.
  escape =
    builtins.replaceStrings
      [ "$" ]
      [ (if config.services.telegraf.environmentFiles == [ ] then "$$" else "$$$$") ];

  input = lib.head example.inputs.execd // {
    command = map escape ([ "${cfg.package}/bin/telegraf-bitcoin-ipc" ] ++ arguments);
  };

  output =
    lib.head example.outputs.prometheus_client
    // {
      listen = cfg.metricsAddr;
    }
    // lib.optionalAttrs (cfg.emitInterval != null) {
      # As in `config`: three emissions, and at least three flushes of the output.
      expiration_interval = "${toString (lib.max 3 (builtins.ceil (3 * cfg.emitInterval)))}s";
    };

  # null, or a list whose last element is the port.
  address =
    let
      name = "[0-9A-Za-z._-]*";
      ipv6 = "\\[[0-9A-Fa-f:.]+(%[0-9A-Za-z._-]+)?]";
    in
    builtins.match "(${name}|${ipv6}):([1-9][0-9]{0,4})" cfg.metricsAddr;
  port = if address == null then null else lib.toInt (lib.last address);

  accounts = map (user: user.name) (lib.attrValues config.users.users);

  tagAssertions = key: value: [
    {
      assertion = builtins.match "[A-Za-z][A-Za-z0-9_]*" key != null;
      message = "services.bitcoind-ipc-exporter.tags has a tag named \"${key}\"; use letters, digits and _, a letter first.";
    }
    {
      assertion = key != "host";
      message = "services.bitcoind-ipc-exporter.tags has a tag named \"host\", which is Telegraf's own.";
    }
    {
      assertion = value != "";
      message = "services.bitcoind-ipc-exporter.tags.${key} is empty.";
    }
  ];
in
{
  options.services.bitcoind-ipc-exporter = {
    enable = lib.mkEnableOption "metrics of a Bitcoin node, read from its IPC socket and served by Telegraf";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "telegraf-bitcoin-ipc.packages.\${system}.default";
      description = "The telegraf-bitcoin-ipc package to use.";
    };

    socketPath = mkOption {
      type = types.str;
      example = "/var/lib/bitcoind-main/node.sock";
      description = "Absolute path of the node's IPC socket.";
    };

    metricsAddr = mkOption {
      type = types.str;
      default = "127.0.0.1:9332";
      description = "HOST:PORT of the Prometheus page (/metrics). An IPv6 host is in brackets.";
    };

    debug = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to log every event of the node. This also enables Telegraf's debug log.";
    };

    user = mkOption {
      type = types.str;
      default = throw (
        "services.bitcoind-ipc-exporter.user has no default: name the account that owns the node's socket "
        + "(the node's own), because whoever can open it has full RPC rights."
      );
      defaultText = lib.literalMD "none: name the account that owns the node's socket";
      example = "bitcoind-main";
      description = "Account that Telegraf runs as. It must be able to open the node's socket, so use the node's account.";
    };

    group = mkOption {
      type = types.str;
      default = "";
      description = "Group that Telegraf runs as. Empty: the user's primary group.";
    };

    after = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "bitcoind-main.service" ];
      description = "Units to start after and, more importantly, to stop before: the node's.";
    };

    bindsTo = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        Units to start and stop with, and to start after. Without it, Telegraf keeps running while the node is down
        and shows `bitcoin_up 0`.
      '';
    };

    pollInterval = mkOption {
      type = types.nullOr (types.numbers.between 0.1 86400);
      default = null;
      description = "Seconds between two polls of the node. Null: the plugin's default.";
    };

    emitInterval = mkOption {
      type = types.nullOr (types.numbers.between 0.1 86400);
      default = null;
      description = "Seconds between two emissions; values expire after three. Null: the plugin's default.";
    };

    metricGroups = mkOption {
      type = types.nullOr (
        types.listOf (
          types.enum [
            "mempool"
            "chain"
            "network"
            "peers"
            "fees"
            "blocks"
          ]
        )
      );
      default = null;
      example = [ "mempool" ];
      description = "Groups of metrics in addition to core and plugin, which are always on. Null: the plugin's default.";
    };

    utxoTrace = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to trace the UTXO cache, which costs the node one call per coin.";
    };

    tags = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        node = "alpha";
      };
      description = "Tags for every metric.";
    };

    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Additional arguments for the plugin.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of `metricsAddr` in the firewall.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.user != "";
        message = "services.bitcoind-ipc-exporter.user is empty, which would run Telegraf as root: name the account that owns the node's socket.";
      }
      {
        assertion = lib.getName cfg.package == "telegraf-bitcoin-ipc";
        message = "services.bitcoind-ipc-exporter.package is \"${lib.getName cfg.package}\", which is not telegraf-bitcoin-ipc: remove the line, or name this flake's package.";
      }
      {
        assertion = port != null && port <= 65535;
        message = "services.bitcoind-ipc-exporter.metricsAddr is \"${cfg.metricsAddr}\", which is not HOST:PORT (for instance 127.0.0.1:9332, or [::1]:9332).";
      }
      {
        assertion = lib.hasPrefix "/" cfg.socketPath;
        message = "services.bitcoind-ipc-exporter.socketPath is \"${cfg.socketPath}\", which is not an absolute path.";
      }
    ]
    ++ lib.concatLists (lib.mapAttrsToList tagAssertions cfg.tags);

    # Only a warning, because an account can also be created by hand.
    warnings = lib.optional (!lib.elem cfg.user accounts) (
      "services.bitcoind-ipc-exporter.user is \"${cfg.user}\", but users.users declares no account of that name: "
      + "Telegraf does not start unless there is one."
    );

    services.telegraf = {
      enable = true;
      extraConfig = {
        # Defaults: the machine's other Telegraf settings have precedence.
        agent = lib.mapAttrs (_: lib.mkDefault) (
          example.agent // lib.optionalAttrs cfg.debug { debug = true; }
        );
        # Lists, so that they are merged with those of other modules.
        inputs.execd = [ input ];
        outputs.prometheus_client = [ output ];
      };
    };

    systemd.services.telegraf = {
      # Telegraf starts after the node and so stops before it: no subscriber is left when the node is told to stop.
      after = cfg.after ++ cfg.bindsTo;
      inherit (cfg) bindsTo;
      # bindsTo stops Telegraf with those units; this starts it with them again.
      wantedBy = cfg.bindsTo;

      startLimitIntervalSec = lib.mkDefault 300;
      startLimitBurst = lib.mkDefault 20;

      serviceConfig = {
        # Overrides what services.telegraf sets.
        User = lib.mkForce cfg.user;
        Group = lib.mkForce cfg.group;
        RestartSec = lib.mkDefault 10;

        # Telegraf stops the plugin, and the guard exits after it. If systemd killed a subscribed guard, the node would
        # abort.
        KillMode = "process";

        # The node's socket may be anywhere, including /tmp and /home, and must stay visible: so no PrivateTmp, and
        # /home is only read-only. These are defaults, because other inputs of this Telegraf may need more.
        CapabilityBoundingSet = lib.mkDefault "CAP_NET_RAW";
        LockPersonality = lib.mkDefault true;
        NoNewPrivileges = lib.mkDefault true;
        ProtectControlGroups = lib.mkDefault true;
        ProtectHome = lib.mkDefault "read-only";
        ProtectHostname = lib.mkDefault true;
        ProtectKernelLogs = lib.mkDefault true;
        ProtectKernelModules = lib.mkDefault true;
        ProtectKernelTunables = lib.mkDefault true;
        ProtectSystem = lib.mkDefault "strict";
        RestrictAddressFamilies = lib.mkDefault "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
        RestrictNamespaces = lib.mkDefault true;
        RestrictRealtime = lib.mkDefault true;
        RestrictSUIDSGID = lib.mkDefault true;
        SystemCallArchitectures = lib.mkDefault "native";
      };
    };

    networking.firewall.allowedTCPPorts = lib.optional (cfg.openFirewall && port != null) port;
  };
}
