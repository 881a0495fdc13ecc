"""Regenerate the files of grafana/."""

from pathlib import Path

from dashboards.dashboard import files

DIRECTORY = Path(__file__).resolve().parents[2] / "grafana"


def main() -> None:
    """Write each file, and create its directories."""
    for name, text in files().items():
        path = DIRECTORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
