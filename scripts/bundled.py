"""List the distributions in a directory, with versions and licences, for the Debian package and for a release.

bundled.py DIRECTORY                        a table
bundled.py --copyright LICENSE DIRECTORY    Debian's copyright file, with the texts of all licences
bundled.py --needed DISTRIBUTION            NAME==VERSION of all that an installed distribution and its extras need
"""

import argparse
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Final

OWN: Final = "telegraf-bitcoin-ipc"

COMMON: Final = {
    "Apache License\n": "/usr/share/common-licenses/Apache-2.0",
    "GNU LESSER GENERAL PUBLIC LICENSE": "/usr/share/common-licenses/LGPL-3",
}
"""Beginnings of texts that every Debian system has; its policy refers to them instead of repeating them."""

LICENCE_FILE: Final = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)


def canonical(name: str) -> str:
    """Return a distribution's name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def first(found: Distribution, field: str, default: str = "") -> str:
    """Return the first value of a field of the metadata."""
    return next(iter(found.metadata.get_all(field, [])), default)


def licence(found: Distribution) -> str:
    """Return a distribution's licence, from the first field of its metadata that names one."""
    for field in ("License-Expression", "License"):
        if (text := first(found, field, "UNKNOWN")) != "UNKNOWN" and "\n" not in text:
            return text
    prefix = "License :: OSI Approved :: "
    names = [
        each.removeprefix(prefix) for each in found.metadata.get_all("Classifier", []) if each.startswith(prefix)
    ]
    return ", ".join(names) or "UNKNOWN"


def listed(directory: Path) -> list[Distribution]:
    """Return the distributions in a directory, by name."""
    return sorted(distributions(path=[str(directory)]), key=lambda each: canonical(each.metadata["Name"]))


def table(directory: Path) -> str:
    """Return one line for each distribution: name, version, licence."""
    rows = [(canonical(each.metadata["Name"]), each.version, licence(each)) for each in listed(directory)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {version:{widths[1]}}  {text}" for name, version, text in rows)


def licence_texts(directory: Path, found: Distribution) -> Iterator[str]:
    """Yield the texts of a distribution's licence files; of one that every Debian has, where it is."""
    name = re.sub(r"[-_.]+", "_", found.metadata["Name"])
    for folder in directory.glob("*.dist-info"):
        if folder.name.lower() == f"{name}-{found.version}.dist-info".lower():
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                if LICENCE_FILE.match(path.name):
                    text = path.read_text().strip("\n")
                    common = [place for begin, place in COMMON.items() if text.lstrip().startswith(begin)]
                    yield f"The full text is in {common[0]}." if common else text


def copyright_file(own: Path, directory: Path) -> str:
    """Return Debian's copyright file: the project's licence, and those of all that is in `directory`."""
    parts = ["telegraf-bitcoin-ipc\n\n" + own.read_text().strip("\n")]
    parts += [
        f"{canonical(each.metadata['Name'])} {each.version}, {first(each, 'Home-page') or _url(each)}\n"
        f"licence: {licence(each)}\n\n" + "\n\n".join(licence_texts(directory, each))
        for each in listed(directory)
        if canonical(each.metadata["Name"]) != OWN
    ]
    line = "-" * 78
    head = (
        "This package contains telegraf-bitcoin-ipc and the libraries that it needs, each under its own licence."
    )
    return f"{head}\n\n" + f"\n\n{line}\n\n".join(parts)


def _url(found: Distribution) -> str:
    urls = [each.partition(",")[2].strip() for each in found.metadata.get_all("Project-URL", [])]
    return urls[0] if urls else ""


def needed(name: str) -> list[str]:
    """Return NAME==VERSION of every distribution that an installed one needs, with all of its own extras."""
    from packaging.requirements import Requirement

    wanted = {canonical(name): distribution(name)}
    extras = set(wanted[canonical(name)].metadata.get_all("Provides-Extra", []))
    queue = list(wanted)
    while queue:
        found = wanted[queue.pop()]
        for text in found.requires or []:
            requirement = Requirement(text)
            chosen = extras if found is wanted[canonical(name)] else {""}
            if requirement.marker and not any(requirement.marker.evaluate({"extra": each}) for each in chosen):
                continue
            if (key := canonical(requirement.name)) not in wanted:
                wanted[key] = distribution(key)
                queue.append(key)
    del wanted[canonical(name)]
    return [f"{key}=={each.version}" for key, each in sorted(wanted.items())]


def main() -> None:
    """Print what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copyright", metavar="LICENSE", type=Path)
    parser.add_argument("--needed", action="store_true")
    parser.add_argument("subject")
    options = parser.parse_args()
    if options.needed:
        print("\n".join(needed(options.subject)))
    elif options.copyright:
        print(copyright_file(options.copyright, Path(options.subject)))
    else:
        print(table(Path(options.subject)))


if __name__ == "__main__":
    main()
