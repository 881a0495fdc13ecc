{
  lib,
  fetchPypi,
  python3Packages,
}:
let
  project = (lib.importTOML ./pyproject.toml).project;

  # nixpkgs does not have it.
  influx-line-protocol = python3Packages.buildPythonPackage rec {
    pname = "influx-line-protocol";
    version = "0.1.5";
    pyproject = true;
    src = fetchPypi {
      inherit pname version;
      hash = "sha256-c5VMmg4JkVtKfoE82kJa7BX13q+dHQ4kpGb3Bn0geYA=";
    };
    build-system = [ python3Packages.setuptools ];
    pythonImportsCheck = [ "influx_line_protocol" ];
    meta = {
      description = "Implementation of InfluxDB line protocol";
      homepage = "https://github.com/SebastianCzoch/influx-line-protocol";
      license = lib.licenses.mit;
    };
  };
in
python3Packages.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ./.;
    fileset = lib.fileset.unions [
      ./LICENSE
      ./README.md
      ./pyproject.toml
      ./schema
      ./telegraf_bitcoin_ipc
    ];
  };

  build-system = [ python3Packages.hatchling ];

  dependencies = [
    influx-line-protocol
    python3Packages.prometheus-client
    python3Packages.pycapnp
    python3Packages.pydantic
    python3Packages.python-bitcoinlib
    python3Packages.rich
  ];

  pythonImportsCheck = [ "telegraf_bitcoin_ipc.plugin" ];

  meta = {
    inherit (project) description;
    license = lib.licenses.mit;
    mainProgram = "telegraf-bitcoin-ipc";
    platforms = lib.platforms.linux;
  };
}
