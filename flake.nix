{
  description = "A Telegraf execd input that watches a Bitcoin node over its Cap'n Proto IPC socket";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Only for its bitcoin-node. It keeps its own inputs; none of them follows ours.
    ipc-exporter-rust.url = "github:bitcoin-dev-tools/ipc-exporter-rust";
  };

  outputs =
    {
      self,
      nixpkgs,
      ipc-exporter-rust,
    }:
    let
      inherit (nixpkgs) lib;

      inherit (lib.importTOML ./pyproject.toml) project;

      forAllSystems = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];

      pkgsFor = forAllSystems (system: nixpkgs.legacyPackages.${system});

      # What the tests need in addition to the plugin's own dependencies.
      testTools = ps: [
        ps.hypothesis
        ps.pytest
      ];

      # The checkout as an installed package, from the directory where the development shell was entered.
      checkout =
        ps:
        ps.mkPythonEditablePackage {
          pname = project.name;
          inherit (project) version scripts;
          root = "$CHECKOUT";
        };

      # Where tests/conftest.py looks for the programs that `make test` would provide.
      testPrograms = pkgs: {
        TELEGRAF_BINARY = lib.getExe pkgs.telegraf;
        PROMETHEUS_BINARY = "${pkgs.prometheus}/bin/prometheus";
        PROMTOOL_BINARY = "${pkgs.prometheus.cli}/bin/promtool";
        TMUX_BINARY = lib.getExe pkgs.tmux;
      };
    in
    {
      packages = forAllSystems (system: {
        default = pkgsFor.${system}.callPackage ./package.nix { };
        inherit (ipc-exporter-rust.packages.${system}) bitcoin-node;
      });

      # Also the names of the other flake's overlay, for configurations that take their node from it.
      overlays.default =
        final: _:
        let
          inherit (ipc-exporter-rust.packages.${final.stdenv.hostPlatform.system}) bitcoin-node;
        in
        {
          telegraf-bitcoin-ipc = final.callPackage ./package.nix { };
          inherit bitcoin-node;
          bitcoind = bitcoin-node;
          bitcoin-cli = bitcoin-node;
        };

      nixosModules.default.imports = [ ./module.nix ];

      devShells = forAllSystems (
        system:
        let
          pkgs = pkgsFor.${system};
        in
        {
          default = pkgs.mkShell (
            testPrograms pkgs
            // {
              inputsFrom = [ self.packages.${system}.default ];
              packages = [
                (pkgs.python3.withPackages (ps: [ (checkout ps) ] ++ testTools ps))
                pkgs.mypy
                pkgs.nixfmt
                pkgs.ruff
              ];
              TEST_CHECKOUT = "1";
              shellHook = "export CHECKOUT=$PWD";
            }
          );
        }
      );

      checks = forAllSystems (
        system:
        let
          pkgs = pkgsFor.${system};
          package = self.packages.${system}.default;
          python = pkgs.python3.withPackages (ps: [ (ps.toPythonModule package) ] ++ testTools ps);
        in
        {
          inherit package;

          # What runs in a build sandbox: no network, no Nix, nothing that is timed, and none of the tests of the
          # dashboards' generator, whose library nixpkgs does not have.
          tests =
            pkgs.runCommand "telegraf-bitcoin-ipc-tests"
              (testPrograms pkgs // { nativeBuildInputs = [ python ]; })
              ''
                cp -r ${self} source
                chmod -R u+w source
                cd source
                HOME=$TMPDIR python -P -m pytest -p no:cacheprovider @tests/nix/sandbox.txt
                touch $out
              '';

          module = pkgs.callPackage ./tests/nix/vm.nix {
            module = self.nixosModules.default;
            inherit package;
          };

          # Python is formatted by the ruff that pyproject.toml names: `make lint`.
          formatting =
            pkgs.runCommand "telegraf-bitcoin-ipc-formatting" { nativeBuildInputs = [ pkgs.nixfmt ]; }
              ''
                find ${self} -name '*.nix' -exec nixfmt --check {} +
                touch $out
              '';
        }
      );
    };
}
