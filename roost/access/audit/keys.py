"""The key of the audit log's seals."""

from roost.core.secrets import load_or_create
from roost.core.settings import Settings

KEY_FILE = "audit_key"


def audit_key(settings: Settings) -> str:
    """The key: from the settings, or else generated in the data folder. Raises OSError."""
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value()
    return load_or_create(settings.data_dir / KEY_FILE)
