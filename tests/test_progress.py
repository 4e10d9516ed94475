import io

import numpy as np
import pytest
from tqdm import std, tqdm

from gsda_tf import progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test lets pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(std, "time", lambda: now[0])
    return now


def test_a_terminal_has_a_bar():
    with progress.progress(total=3, file=_Terminal()) as bar:
        assert isinstance(bar, tqdm)


def test_elsewhere_there_is_a_plain_line_soon_and_every_half_minute(clock):
    log = io.StringIO()
    with progress.progress(total=1000, initial=200, unit="step", desc="office31/A_W", file=log) as bar:
        for _ in range(8):
            clock[0] += 20
            bar.set_postfix({"loss/classification": "0.500"}, refresh=False)
            bar.update(50)
    lines = log.getvalue().splitlines()
    assert len(lines) == 4 and log.getvalue().isascii() and log.getvalue().replace("\n", "").isprintable()
    # The first after 50 steps in 20 s, then one whenever half a minute has passed: 650 are left at 2.5 a second.
    assert [line.split()[2] for line in lines] == ["250", "350", "450", "550"]
    assert lines[1] == (
        "office31/A_W: step 350 of 1,000 (35 %), 2.5 a second, 4 min 20 s left, loss/classification=0.500"
    )


def test_short_work_says_nothing_and_loses_nothing():
    log = io.StringIO()
    assert list(progress.progress(range(5), file=log)) == list(range(5))
    assert log.getvalue() == ""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_is_gone_through_as_a_list_is(count):
    assert list(progress.progress(np.arange(count), file=io.StringIO())) == list(range(count))


def test_a_part_is_named_and_timed(clock, capsys):
    with progress.timed("export"):
        clock[0] += 65
    with progress.timed("report", shown=False):
        pass
    assert capsys.readouterr().out == "export ...\nexport: 1 min 05 s\n"
    with pytest.raises(ValueError), progress.timed("check"):
        raise ValueError
    assert capsys.readouterr().out == "check ...\n"
