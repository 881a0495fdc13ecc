# What module.nix and flake.nix use of nixpkgs' lib, with a module system that is just large enough for them:
# definitions with conditions and priorities, merged by type.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    stringLength
    substring
    tail
    toJSON
    ;

  tagged = tag: value: isAttrs value && value._type or null == tag;

  conditional = condition: content: {
    _type = "if";
    inherit condition content;
  };

  # Definitions without the conditions around them, in a list, which is empty where one does not hold.
  discharged =
    value:
    if !tagged "if" value then
      [ value ]
    else if value.condition then
      discharged value.content
    else
      [ ];

  # What a definition says of one name, in a list. Conditions are handed down, not asked: they may depend on others.
  below =
    name: value:
    if tagged "if" value then
      map (conditional value.condition) (below name value.content)
    else if value ? ${name} then
      [ value.${name} ]
    else
      [ ];

  priority = value: if tagged "override" value then value.priority else 100;

  # The definitions of the strongest priority, bare.
  strongest =
    values:
    let
      least = foldl' (a: v: if priority v < a then priority v else a) 10000 values;
    in
    map (v: if tagged "override" v then v.content else v) (filter (v: priority v == least) values);

  merged =
    path: type: values:
    type.merge path (map (checked path type) (strongest (concatMap discharged values)));

  checked =
    path: type: value:
    if type.check value then
      value
    else
      throw "${path}: ${toJSON value} is not of the type ${type.name}";

  equal =
    path: values:
    if all (v: v == head values) values then
      head values
    else
      throw "${path} has conflicting definitions";

  scalar = name: check: {
    inherit name check;
    merge = equal;
  };

  # A set for the names in any of the sets, from each name and its definitions.
  zip =
    make: sets:
    listToAttrs (
      map (name: {
        inherit name;
        value = make name (concatMap (below name) sets);
      }) (concatMap attrNames sets)
    );

  types = {
    str = scalar "string" isString;
    bool = scalar "boolean" isBool;
    package = scalar "package" (value: isAttrs value && value ? outPath);
    enum = values: scalar "one of ${toJSON values}" (value: elem value values);
    numbers.between =
      lowest: highest:
      scalar "number between ${toString lowest} and ${toString highest}" (
        value: (isInt value || isFloat value) && value >= lowest && value <= highest
      );
    nullOr = type: {
      name = "null or ${type.name}";
      check = value: value == null || type.check value;
      merge = equal;
    };
    listOf = type: {
      name = "list of ${type.name}";
      check = value: isList value && all type.check value;
      merge = _: concatMap (value: value);
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = isAttrs;
      merge = path: zip (name: merged "${path}.${name}" type);
    };
    # Sets and lists are put together, anything else has to be equal: as NixOS does with settings.
    settings = {
      name = "setting";
      check = _: true;
      merge =
        path: values:
        if all isAttrs values then
          (types.attrsOf types.settings).merge path values
        else if all isList values then
          concatMap (value: value) values
        else
          equal path values;
    };
  };

  # What the definitions in `configs` make of a tree of options.
  evaluated =
    path: options: configs:
    mapAttrs (
      name: option:
      let
        here = "${path}.${name}";
        values = concatMap (below name) configs;
      in
      if !tagged "option" option then
        evaluated here option values
      else
        (option.apply or (value: value)) (
          if concatMap discharged values != [ ] then
            merged here option.type values
          else
            option.default or (throw "${here} is used, and has no value")
        )
    ) options;

  # The paths of definitions that have no option.
  strays =
    path: options: config:
    concatMap (
      name:
      let
        here = "${path}.${name}";
      in
      if !(options ? ${name}) then
        [ here ]
      else if tagged "option" options.${name} then
        [ ]
      else
        concatMap (strays here options.${name}) (discharged config.${name})
    ) (attrNames config);

  # The options of two modules. One option may be declared by both, each with other attributes.
  together =
    path: a: b:
    a
    // mapAttrs (
      name: value:
      let
        here = "${path}.${name}";
        both = removeAttrs (builtins.intersectAttrs a.${name} value) [ "_type" ];
      in
      if !(a ? ${name}) then
        value
      else if !tagged "option" value then
        together here a.${name} value
      else if both == { } then
        a.${name} // value
      else
        throw "the option ${here} is already declared"
    ) b;
in
rec {
  inherit types;

  mkOption = option: option // { _type = "option"; };
  mkEnableOption =
    name:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${name}.";
    };
  literalExpression = text: text;
  literalMD = text: text;

  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkIf = conditional;

  # `modules` are functions or sets with `options` and `config`.
  evalModules =
    { modules, specialArgs }:
    let
      made = map (module: if builtins.isFunction module then module arguments else module) modules;
      arguments = specialArgs // {
        inherit config;
      };
      options = foldl' (together "config") { } (map (module: module.options or { }) made);
      configs = map (module: module.config or { }) made;
      config = evaluated "config" options configs;
      unknown = concatMap (strays "config" options) (concatMap discharged configs);
    in
    if unknown == [ ] then config else throw "there is no option ${head unknown}";

  inherit (builtins)
    attrValues
    concatLists
    concatStringsSep
    elem
    head
    ;
  concatMapStringsSep =
    separator: make: list:
    builtins.concatStringsSep separator (map make list);
  fileset = {
    unions = files: files;
    toSource = { root, ... }: root;
  };
  genAttrs =
    names: make:
    listToAttrs (
      map (name: {
        inherit name;
        value = make name;
      }) names
    );
  getExe = package: "${package}/bin/${package.meta.mainProgram}";
  getName = package: package.pname or (builtins.parseDrvName package.name).name;
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  importTOML = path: builtins.fromTOML (builtins.readFile path);
  last = list: elemAt list (length list - 1);
  licenses = genAttrs [ "mit" ] (name: name);
  mapAttrs = builtins.mapAttrs;
  max = a: b: if a > b then a else b;
  mapAttrsToList = make: set: map (name: make name set.${name}) (attrNames set);
  optional = condition: value: if condition then [ value ] else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionals = condition: list: if condition then list else [ ];
  platforms.linux = [ ];
  toInt = builtins.fromJSON;
  toList = value: if isList value then value else [ value ];
}
