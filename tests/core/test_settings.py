"""Every setting is documented, has its names, and refuses what makes no sense."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, ValidationError

from roost.core.settings import Settings

REPOSITORY = Path(__file__).parents[2]


def environment_names(name: str) -> list[str]:
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"ROOST_{name.upper()}"]


def test_every_setting_stands_in_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(ROOST_\w+)`(.*)\|$", page, re.MULTILINE))
    assert set(rows) == {environment_names(name)[0] for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        first, *others = environment_names(name)
        assert field.description, name
        assert field.description in rows[first], name
        assert f"`--{name.replace('_', '-')}`" in rows[first], name
        for other in others:
            assert f"`{other}`" in rows[first], other


def test_the_example_names_every_setting_and_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^# ?(ROOST_\w+)=", example, re.MULTILINE))
    assert named == {environment_names(name)[0] for name in Settings.model_fields}
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(example, encoding="utf-8")
    assert Settings() == Settings(_env_file=None)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("HUBEX_DATABASE_URL", "postgresql+psycopg2://a:b@c/d", "database_url", "postgresql+psycopg2://a:b@c/d"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "7", "access_token_expire_minutes", 7),
        (
            "CORS_ORIGINS",
            '["http://a.example", "http://b.example/"]',
            "cors_origins",
            ("http://a.example", "http://b.example"),
        ),
        ("FRONTEND_ORIGIN", "http://a.example", "cors_origins", ("http://a.example",)),
        ("LOG_LEVEL", "warning", "log_level", "WARNING"),
        ("ROOST_PORT", "0", "port", 0),
    ],
)
def test_the_documents_names_work(
    name: str, value: str, field: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings(_env_file=None), field) == expected


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "x" * 40)
    settings = Settings(_env_file=None, admin_password="Tall-Chimney-42")
    assert "x" * 40 not in repr(settings)
    assert "Tall-Chimney" not in repr(settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"mqtt_port": -1},
        {"telemetry_rate": -1},
        {"database_url": "mysql://x/y"},
        {"secret_key": "short"},
        {"tls_cert": "cert.pem"},
        {"jwt_algorithm": "none"},
        {"log_level": "loud"},
        {"public_url": "roost.example.org"},
        {"mail_from": "Roost"},
        {"smtp_url": "mail.example.org"},
        {"smtp_url": "smtp://mail.example.org"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **wrong)


def test_settings_are_frozen() -> None:
    settings = Settings(_env_file=None)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
