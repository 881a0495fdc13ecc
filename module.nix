# A drop-in for the module of ipc-exporter-rust: its options mean here what they mean there. Instead of running a
# program of its own it has Telegraf, as NixOS runs it (services.telegraf), run the plugin and serve the metrics.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.bitcoind-ipc-exporter;

  # What `telegraf-bitcoin-ipc config` prints: the types of all metrics, and how long their values are kept.
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

  # Telegraf replaces environment variables before it reads the TOML, and takes $$ for a dollar sign. Where
  # environmentFiles are set NixOS has envsubst do so before that, which halves them, too.
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
      # As `config` has it: three emissions, and not less than three of the output's flushes.
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
    enable = lib.mkEnableOption "metrics of a Bitcoin node, watched over its IPC socket, served by Telegraf";

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
      description = "HOST:PORT on which the Prometheus page is served, under /metrics. An IPv6 host stands in brackets.";
    };

    debug = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to log every event of the node's, which needs Telegraf's own debug log, too.";
    };

    user = mkOption {
      type = types.str;
      default = throw (
        "services.bitcoind-ipc-exporter.user has no default: name the account that owns the node's socket "
        + "(the node's own), for whoever can open it has full RPC rights."
      );
      defaultText = lib.literalMD "none: name the account that owns the node's socket";
      example = "bitcoind-main";
      description = "Account that Telegraf runs as. It has to be able to open the node's socket, which is the node's own.";
    };

    group = mkOption {
      type = types.str;
      default = "";
      description = "Group that Telegraf runs as. Empty: the primary group of the user.";
    };

    after = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "bitcoind-main.service" ];
      description = "Units to start after and, what matters more, to stop before: the node's.";
    };

    bindsTo = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        Units to begin and end with, and to start after. Without it Telegraf outlives the node, and shows
        `bitcoin_up 0` meanwhile.
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
      description = "Seconds between two emissions; values are kept for three. Null: the plugin's default.";
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
      description = "Groups of metrics beside core and plugin, which are always on. Null: the plugin's default.";
    };

    utxoTrace = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to trace the UTXO cache, which costs the node a call for each coin.";
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
      description = "More arguments for the plugin.";
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

    # No more than a warning: an account can be made by hand, too.
    warnings = lib.optional (!lib.elem cfg.user accounts) (
      "services.bitcoind-ipc-exporter.user is \"${cfg.user}\", and users.users declares no account of that name: "
      + "Telegraf does not start unless there is one."
    );

    services.telegraf = {
      enable = true;
      extraConfig = {
        # What else the machine's Telegraf does decides, where it has a word on it.
        agent = lib.mapAttrs (_: lib.mkDefault) (
          example.agent // lib.optionalAttrs cfg.debug { debug = true; }
        );
        # Lists, which are put together with those of others.
        inputs.execd = [ input ];
        outputs.prometheus_client = [ output ];
      };
    };

    systemd.services.telegraf = {
      # What starts after the node stops before it: a node that is told to stop has no subscriber any more.
      after = cfg.after ++ cfg.bindsTo;
      inherit (cfg) bindsTo;
      # Bound units are stopped with the others; this has them start with the others again.
      wantedBy = cfg.bindsTo;

      startLimitIntervalSec = lib.mkDefault 300;
      startLimitBurst = lib.mkDefault 20;

      serviceConfig = {
        # Above what services.telegraf sets.
        User = lib.mkForce cfg.user;
        Group = lib.mkForce cfg.group;
        RestartSec = lib.mkDefault 10;

        # Telegraf ends the plugin, and the guard ends after it. Killed by systemd, a guard that is subscribed would
        # take the node with it.
        KillMode = "process";

        # A Unix socket may be anywhere, /tmp and /home included, and has to stay in sight: no PrivateTmp here, no
        # ProtectHome that hides. Defaults, because other inputs of this Telegraf may need more.
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
