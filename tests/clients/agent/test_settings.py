from pathlib import Path

import pytest

from roost_device.agent.settings import SettingsError, default_uid, load, write


def test_the_file_that_pairing_makes_is_one_that_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    write(path, "https://hub.example", "shed-1", tmp_path / "data")
    settings = load(path)
    assert (settings.url, settings.device_uid, settings.folder) == ("https://hub.example", "shed-1", tmp_path / "data")
    assert settings.allow == []
    write(path, "https://other.example", "shed-2", tmp_path)
    assert load(path).url == "https://hub.example"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "url is missing"),
        ("url = 1 = 2", "cannot be read"),
        ('url = "http://h"\nallow = ["everything"]', "not everything"),
        ('url = "http://h"\ntransport = "carrier pigeon"', "http or mqtt"),
        ('url = "http://h"\ninterval_s = 0', "from 1 to 86400"),
        ('url = "http://h"\nintervall_s = 5', "no setting intervall_s"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load(path)


def test_without_a_file_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="roost-agent pair --url"):
        load(tmp_path / "agent.toml")


def test_a_machine_has_a_uid_that_the_hub_takes() -> None:
    uid = default_uid()
    assert 3 <= len(uid) <= 64
    assert set(uid) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
