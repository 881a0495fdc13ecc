"""The simulated node's measure of a machine that is too busy."""

from pathlib import Path

import pytest

from telegraf_bitcoin_ipc.simnode import pressure


def test_stalls_are_read_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel counts in microseconds is there in seconds, each time anew."""
    file = tmp_path / "cpu"
    file.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=7\n")
    monkeypatch.setattr(pressure, "PRESSURE", str(file))
    monkeypatch.setattr(pressure, "STATISTICS", str(tmp_path / "missing"))
    cpu = pressure.CpuPressure()
    assert cpu.stalled() == 1.5
    with file.open("r+") as again:
        again.write("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n")
    assert cpu.stalled() == 2.5


def test_what_a_host_takes_is_a_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a virtual machine does not run is added."""
    file = tmp_path / "stat"
    file.write_text("cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1 2 3 4 5 6 7 150 0 0\n")
    monkeypatch.setattr(pressure, "STATISTICS", str(file))
    monkeypatch.setattr(pressure, "PRESSURE", str(tmp_path / "missing"))
    assert pressure.CpuPressure().stalled() == 250 * pressure.TICK


def test_a_kernel_that_does_not_tell_excuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pressure information every second of a callback counts."""
    for file in ("PRESSURE", "STATISTICS"):
        monkeypatch.setattr(pressure, file, str(tmp_path / "missing"))
    assert pressure.CpuPressure().stalled() == 0
