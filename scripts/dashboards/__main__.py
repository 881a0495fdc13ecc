"""Regenerate the files of grafana/."""

from pathlib import Path

from dashboards.dashboard import files

for name, text in files().items():
    (Path(__file__).resolve().parents[2] / "grafana" / name).write_text(text)
