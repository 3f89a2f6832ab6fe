"""The id under which a machine is a device: the same tomorrow, and not the system's own."""

from pathlib import Path

from roost.ops.machine import host_name, host_uid


def test_the_uid_is_derived_from_the_machine_id(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    uid = host_uid(tmp_path / "data", (tmp_path / "missing", file))
    assert uid == host_uid(tmp_path / "other", (file,))
    assert uid.startswith("host-")
    assert "0123456789abcdef" not in uid
    file.write_text("f" * 32)
    assert host_uid(tmp_path / "data", (file,)) != uid


def test_without_a_machine_id_one_is_kept_in_the_data_folder(tmp_path: Path) -> None:
    broken = tmp_path / "machine-id-of-the-system"
    broken.write_text("uninitialized\n")
    first = host_uid(tmp_path / "data", (broken,))
    assert first == host_uid(tmp_path / "data", (broken,))
    assert first != host_uid(tmp_path / "other", (broken,))


def test_the_machine_has_a_name() -> None:
    assert 0 < len(host_name()) <= 120
