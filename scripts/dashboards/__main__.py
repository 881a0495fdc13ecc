"""Write the files of grafana/ anew, from the code."""

from pathlib import Path

from dashboards.dashboard import files

DIRECTORY = Path(__file__).resolve().parents[2] / "grafana"


def main() -> None:
    """Write each file, with the directories that it needs."""
    for name, text in files().items():
        path = DIRECTORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
