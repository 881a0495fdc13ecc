# The module on a NixOS machine, with the simulated node, which dies with status 134 where a real one would abort.
{
  curl,
  lib,
  module,
  package,
  testers,
}:
testers.runNixOSTest {
  name = "bitcoind-ipc-exporter";

  nodes.machine = {
    imports = [ module ];

    users.groups.bitcoind = { };
    users.users.bitcoind = {
      isSystemUser = true;
      group = "bitcoind";
    };

    systemd.services.bitcoind = {
      description = "Simulated Bitcoin node";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        ExecStart = "${lib.getExe package} simulate /run/bitcoind/node.sock";
        User = "bitcoind";
        Group = "bitcoind";
        RuntimeDirectory = "bitcoind";
        RuntimeDirectoryMode = "0700";
      };
    };

    services.bitcoind-ipc-exporter = {
      enable = true;
      inherit package;
      socketPath = "/run/bitcoind/node.sock";
      user = "bitcoind";
      group = "bitcoind";
      after = [ "bitcoind.service" ];
      bindsTo = [ "bitcoind.service" ];
      pollInterval = 1;
      emitInterval = 1;
    };

    # Other work of this Telegraf, with an output of the same kind.
    services.telegraf.extraConfig.outputs = {
      file = [ { files = [ "stdout" ]; } ];
      prometheus_client.listen = "127.0.0.1:9273";
    };

    environment.systemPackages = [ curl ];
  };

  testScript = ''
    page = "curl --fail --silent http://127.0.0.1:9332/metrics"
    node = "systemctl show --property MainPID --value bitcoind.service"

    machine.wait_for_unit("bitcoind-ipc-exporter.service")
    machine.wait_for_unit("telegraf.service")
    machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
    machine.wait_until_succeeds(f"{page} | grep '^bitcoin_block_height [1-9]'")
    machine.succeed(f"{page} | grep -x 'bitcoin_guard_standing 1'")
    machine.succeed(f"{page} | grep -x '# TYPE bitcoin_blocks_connected_total counter'")
    machine.succeed(f"{page} | grep -x '# TYPE bitcoin_chain_height gauge'")
    machine.wait_until_succeeds("journalctl --unit telegraf.service | grep 'bitcoin,host=.*up=1i'")
    machine.wait_until_succeeds("curl --fail --silent http://127.0.0.1:9273/metrics | grep '^bitcoin_up'")

    with subtest("Telegraf is who it was, and only the guard can open the node's socket"):
        machine.succeed("systemctl show --property User --value telegraf.service | grep -x telegraf")
        machine.fail("runuser -u telegraf -- ls /run/bitcoind")
        machine.succeed("stat --format '%U %G %a' /run/bitcoind-ipc-exporter/guard.sock | grep -x 'bitcoind telegraf 660'")
        machine.succeed("journalctl --unit bitcoind-ipc-exporter.service | grep 'user telegraf.*: connected'")

    with subtest("Nothing that happens to Telegraf reaches the node"):
        before = machine.succeed(node)
        machine.succeed("systemctl kill --kill-whom all --signal KILL telegraf.service")
        machine.wait_until_succeeds("journalctl --unit bitcoind-ipc-exporter.service | grep ': gone'")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
        assert machine.succeed(node) == before

    with subtest("The guard can be stopped and started"):
        machine.succeed("systemctl stop bitcoind-ipc-exporter.service")
        machine.succeed("systemctl show --property ExecMainStatus --value bitcoind-ipc-exporter.service | grep -x 0")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 0'")
        machine.succeed("systemctl start bitcoind-ipc-exporter.service")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
        assert machine.succeed(node) == before

    with subtest("The guard has left before the node is told to stop"):
        machine.succeed("systemctl stop bitcoind.service")
        machine.require_unit_state("bitcoind-ipc-exporter.service", "inactive")
        machine.require_unit_state("telegraf.service", "active")
        machine.succeed("systemctl show --property ExecMainStatus --value bitcoind.service | grep -x 0")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 0'")

    with subtest("and comes back with it"):
        machine.succeed("systemctl start bitcoind.service")
        machine.wait_for_unit("bitcoind-ipc-exporter.service")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
  '';
}
