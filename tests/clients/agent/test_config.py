from pathlib import Path

import pytest

from roost_device.agent.config import FILE, AppliedConfig, ConfigRefused


def test_what_was_applied_stands_after_a_restart(tmp_path: Path) -> None:
    config = AppliedConfig(tmp_path, 10)
    assert config.apply({"interval_s": 30, "paused": True}) == {"interval_s": 30, "paused": True}
    assert config.changed.is_set()
    again = AppliedConfig(tmp_path, 10)
    assert (again.interval_s, again.paused) == (30, True)


@pytest.mark.parametrize(
    "wanted",
    [{"interval_s": 0.5}, {"interval_s": "10"}, {"interval_s": True}, {"paused": 1}, {"url": "http://elsewhere"}],
)
def test_what_is_no_good_is_refused_as_a_whole(tmp_path: Path, wanted: dict[str, object]) -> None:
    config = AppliedConfig(tmp_path, 10)
    with pytest.raises(ConfigRefused):
        config.apply({"interval_s": 30} | wanted)
    assert config.interval_s == 10
    assert not config.changed.is_set()


def test_a_damaged_file_is_the_machines_settings_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"interval_s": ', encoding="utf-8")
    assert AppliedConfig(tmp_path, 10).interval_s == 10
