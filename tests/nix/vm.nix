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

    # Something else that this Telegraf does.
    services.telegraf.extraConfig.outputs.file = [ { files = [ "stdout" ]; } ];

    environment.systemPackages = [ curl ];
  };

  testScript = ''
    page = "curl --fail --silent http://127.0.0.1:9332/metrics"

    machine.wait_for_unit("telegraf.service")
    machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
    machine.wait_until_succeeds(f"{page} | grep '^bitcoin_block_height [1-9]'")
    machine.succeed(f"{page} | grep -x '# TYPE bitcoin_blocks_connected_total counter'")
    machine.succeed(f"{page} | grep -x '# TYPE bitcoin_chain_height gauge'")
    machine.wait_until_succeeds("journalctl --unit telegraf.service | grep 'bitcoin.*up=1i'")

    with subtest("Telegraf is gone before the node is told to stop"):
        machine.succeed("systemctl stop bitcoind.service")
        machine.require_unit_state("telegraf.service", "inactive")
        machine.succeed("systemctl show --property ExecMainStatus --value bitcoind.service | grep -x 0")

    with subtest("and comes back with it"):
        machine.succeed("systemctl start bitcoind.service")
        machine.wait_for_unit("telegraf.service")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")

    with subtest("A Telegraf that is killed takes neither the guard nor the node with it"):
        node = machine.succeed("systemctl show --property MainPID --value bitcoind.service")
        machine.succeed("systemctl kill --kill-whom main --signal KILL telegraf.service")
        machine.wait_until_succeeds(f"{page} | grep -x 'bitcoin_up 1'")
        assert machine.succeed("systemctl show --property MainPID --value bitcoind.service") == node
  '';
}
