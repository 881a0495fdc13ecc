# A drop-in replacement for ipc-exporter-rust's module, with the same options. Its unit, bitcoind-ipc-exporter.service,
# is the standing guard, which alone has the node's rights. NixOS's Telegraf (services.telegraf) runs the plugin behind
# the guard and serves the metrics.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.bitcoind-ipc-exporter;

  program = "${cfg.package}/bin/telegraf-bitcoin-ipc";

  # The guard makes its socket in the unit's RuntimeDirectory. No socket unit: it would start the guard, and with
  # bindsTo the node, as soon as Telegraf tries again after both were stopped.
  directory = "bitcoind-ipc-exporter";
  guardSocket = "/run/${directory}/guard.sock";

  # The group that may open the guard's socket: Telegraf's, also if the machine has changed it.
  telegrafGroup = config.systemd.services.telegraf.serviceConfig.Group or "telegraf";

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
    ++ [ guardSocket ];

  # Telegraf replaces environment variables before it parses the TOML, and turns $$ into a dollar sign. If
  # environmentFiles are set, NixOS runs envsubst first, which does the same.
  escape =
    builtins.replaceStrings
      [ "$" ]
      [ (if config.services.telegraf.environmentFiles == [ ] then "$$" else "$$$$") ];

  input =
    lib.head example.inputs.execd
    // {
      command = map escape ([ program ] ++ arguments);
    }
    // lib.optionalAttrs cfg.debug { log_level = "debug"; };

  output =
    lib.head example.outputs.prometheus_client
    // {
      listen = cfg.metricsAddr;
    }
    // lib.optionalAttrs (cfg.emitInterval != null) {
      # As in `config`: three emissions, and at least three flushes of the output.
      expiration_interval = "${toString (lib.max 3 (builtins.ceil (3 * cfg.emitInterval)))}s";
    };

  # Add one table for a plugin; there may be a list of tables already, or a single one.
  add =
    plugin: one: plugins:
    plugins // { ${plugin} = lib.toList (plugins.${plugin} or [ ]) ++ [ one ]; };

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
  # Not a definition: the module system cannot merge our list with a single table from the machine's configuration.
  options.services.telegraf.extraConfig = mkOption {
    apply =
      settings:
      if cfg.enable then
        settings
        // {
          inputs = add "execd" input (settings.inputs or { });
          outputs = add "prometheus_client" output (settings.outputs or { });
        }
      else
        settings;
  };

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
      description = "Whether to log every event of the node, in Telegraf's log.";
    };

    user = mkOption {
      type = types.str;
      default = throw (
        "services.bitcoind-ipc-exporter.user has no default: name the account that owns the node's socket "
        + "(the node's own), because whoever can open it has full RPC rights."
      );
      defaultText = lib.literalMD "none: name the account that owns the node's socket";
      example = "bitcoind-main";
      description = "Account that the guard runs as. It must be able to open the node's socket, so use the node's account.";
    };

    group = mkOption {
      type = types.str;
      default = "";
      description = "Group that the guard runs as. Empty: the user's primary group.";
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
        Units to start and stop with, and to start after. Without it, the guard keeps running while the node is down.
        Telegraf does in any case, and shows `bitcoin_up 0`.
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
        message = "services.bitcoind-ipc-exporter.user is empty, which would run the guard as root: name the account that owns the node's socket.";
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
      + "the guard does not start unless there is one."
    );

    services.telegraf.enable = true;

    systemd.services.bitcoind-ipc-exporter = {
      description = "Standing guard of the Bitcoin node";
      # The guard starts after the node and so stops before it: no subscriber is left when the node is told to stop.
      after = cfg.after ++ cfg.bindsTo;
      inherit (cfg) bindsTo;
      # bindsTo stops the guard with those units; this starts it with them again.
      wantedBy = [ "multi-user.target" ] ++ cfg.bindsTo;

      startLimitIntervalSec = lib.mkDefault 300;
      startLimitBurst = lib.mkDefault 20;

      serviceConfig = {
        Type = "notify";
        ExecStart = utils.escapeSystemdExecArgs [
          program
          "guard"
          "--listen"
          guardSocket
          "--group"
          telegrafGroup
          cfg.socketPath
        ];
        User = cfg.user;
        Group = cfg.group;
        # Only a member can give the socket to the group.
        SupplementaryGroups = [ telegrafGroup ];
        RuntimeDirectory = directory;
      }
      // lib.mapAttrs (_: lib.mkDefault) {
        Restart = "on-failure";
        RestartSec = 10;

        # If a guard is killed while somebody watches, the node aborts. On SIGTERM each of its processes leaves the
        # node; systemd never sends SIGKILL. KillMode=mixed would send it to the others as soon as the first exits.
        KillMode = "control-group";
        SendSIGKILL = false;
        TimeoutStopSec = 300;

        # The last to be killed when memory is short. If one of its processes is, the other clients stay.
        OOMPolicy = "continue";
        OOMScoreAdjust = -900;
        ManagedOOMPreference = "avoid";

        # The node's socket may be anywhere, including /tmp and /home, and must stay visible: so no PrivateTmp, and
        # /home is only read-only. No ProtectProc, which hides the node's process from a guard of another group. No
        # PrivateUsers, because the guard logs each client's user.
        CapabilityBoundingSet = "";
        IPAddressDeny = "any";
        KeyringMode = "private";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateNetwork = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = "read-only";
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = "AF_UNIX";
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        # It gives its socket to a group (@chown). A call that is not allowed fails, instead of killing the guard.
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
          "@chown"
        ];
        SystemCallErrorNumber = "EPERM";
        UMask = "0077";
      };
    };

    networking.firewall.allowedTCPPorts = lib.optional (cfg.openFirewall && port != null) port;
  };
}
