system:
let
  lib = import ./lib.nix;

  build =
    name: attributes:
    derivation {
      inherit name system;
      builder = "/bin/sh";
    }
    // {
      passthru = attributes;
    }
    // attributes;

  program = name: build name { meta.mainProgram = name; };

  callPackage =
    file: given:
    import file (builtins.intersectAttrs (builtins.functionArgs (import file)) packages // given);

  buildPython = attributes: build "${attributes.pname}-${attributes.version}" attributes;

  python3Packages = {
    buildPythonApplication = buildPython;
    buildPythonPackage = buildPython;
    mkPythonEditablePackage = buildPython;
    toPythonModule = package: package;
  }
  // lib.genAttrs [
    "hatchling"
    "hypothesis"
    "prometheus-client"
    "pycapnp"
    "pydantic"
    "pytest"
    "python-bitcoinlib"
    "rich"
    "setuptools"
  ] program;

  packages = {
    inherit callPackage lib python3Packages;
    fetchPypi = attributes: build "${attributes.pname}-${attributes.version}.tar.gz" attributes;
    mkShell = build "shell";
    prometheus = program "prometheus" // {
      cli = program "promtool";
    };
    python3.withPackages = choose: build "python" { chosen = choose python3Packages; };
    runCommand =
      name: environment: script:
      build name (environment // { inherit script; });
    testers.runNixOSTest = test: build test.name test;
  }
  // lib.genAttrs [
    "curl"
    "mypy"
    "nixfmt"
    "ruff"
    "telegraf"
    "tmux"
  ] program;
in
packages
