"""Everything that can be set, in one frozen object. docs/settings.md lists it all; a test compares the two."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_SHORTEST_SECRET = 32


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


def _database_in(data: dict[str, Any]) -> str:
    folder: Path = data.get("data_dir", Path("data"))
    return f"sqlite:///{folder / 'roost.db'}"


class Settings(BaseSettings):
    """Read from flags, then the environment, then `.env`; each setting also by the names older documents gave it."""

    model_config = SettingsConfigDict(
        env_prefix="ROOST_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for every network.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port for HTTP and WebSockets; 0 takes a free one.")
    mqtt_port: int = Field(default=1883, ge=0, le=65535, description="Port for MQTT; 0 takes a free one.")
    data_dir: Path = Field(
        default=Path("data"), description="Folder for the database, the telemetry and generated secrets."
    )
    admin_email: str = Field(
        default="admin@local",
        min_length=3,
        max_length=255,
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="E-mail of the administrator that the first start creates.",
    )
    admin_password: SecretStr | None = Field(
        default=None, description="Password of that administrator; otherwise one is made up and printed once."
    )
    telemetry_rate: int = Field(
        default=60, ge=0, le=10_000_000, description="Messages a minute that one device may send; 0 for no limit."
    )
    tls_cert: Path | None = Field(
        default=None, description="PEM file with the certificate chain: HTTPS and MQTT over TLS."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the private key of the certificate.")
    database_url: str = Field(
        default_factory=_database_in,
        validation_alias=_names("ROOST_DATABASE_URL", "DATABASE_URL", "HUBEX_DATABASE_URL"),
        description="sqlite:///path or postgresql://user:password@host/name; by default SQLite in the data folder.",
    )
    database_pooler: bool = Field(
        default=False,
        description="Whether a pooler in transaction mode (pgbouncer) stands in front of PostgreSQL: nothing is kept"
        " prepared then.",
    )
    nats_url: str | None = Field(
        default=None,
        validation_alias=_names("ROOST_NATS_URL", "NATS_URL"),
        description="nats://host:4222, several with commas: many processes share the work; needs PostgreSQL.",
    )
    nats_replicas: int = Field(
        default=1,
        ge=1,
        le=5,
        description="On how many servers of a NATS cluster a message is before it counts as safe.",
    )
    nats_stream_mib: int = Field(
        default=1024,
        ge=16,
        le=2**24,
        description="MiB of messages that may wait in NATS for the database; beyond that they are refused.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        validation_alias=_names("ROOST_SECRET_KEY", "SECRET_KEY", "JWT_SECRET"),
        description="Key that signs access tokens, 32 characters or more; otherwise generated in the data folder.",
    )
    audit_key: SecretStr | None = Field(
        default=None,
        description="Key that seals the audit log, 32 characters or more; otherwise generated in the data folder.",
    )
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        default="HS256",
        validation_alias=_names("ROOST_JWT_ALGORITHM", "JWT_ALGORITHM"),
        description="How tokens are signed.",
    )
    jwt_issuer: str = Field(default="roost", min_length=1, description="The `iss` claim of access tokens.")
    jwt_audience: str = Field(default="roost-clients", min_length=1, description="The `aud` claim of access tokens.")
    access_token_expire_minutes: int = Field(
        default=15,
        ge=1,
        le=1440,
        validation_alias=_names("ROOST_ACCESS_TOKEN_EXPIRE_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        description="Minutes that an access token is good for.",
    )
    refresh_token_expire_days: int = Field(
        default=30,
        ge=1,
        le=400,
        validation_alias=_names("ROOST_REFRESH_TOKEN_EXPIRE_DAYS", "REFRESH_TOKEN_EXPIRE_DAYS"),
        description="Days without use after which a signed-in client has to sign in again.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=_names("ROOST_CORS_ORIGINS", "CORS_ORIGINS", "FRONTEND_ORIGIN"),
        description="Origins of other web apps that may call the API, separated by commas.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO",
        validation_alias=_names("ROOST_LOG_LEVEL", "LOG_LEVEL"),
        description="From which level on to log.",
    )
    debug: bool = Field(
        default=False, validation_alias=_names("ROOST_DEBUG", "DEBUG"), description="Log everything, like level DEBUG."
    )
    system_public: bool | None = Field(
        default=None,
        description="Whether /system/* answers without signing in; by default only while listening on loopback.",
    )
    min_free_disk_mib: int = Field(
        default=100,
        ge=0,
        le=2**40,
        description="MiB that have to be free; with less only telemetry is stored and /readyz complains.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=_names("ROOST_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        pattern=r"^https?://[^\s]+$",
        description="Where OpenTelemetry traces go (OTLP over HTTP), like http://localhost:4318; needs roost[otel].",
    )
    device_offline_after_s: float = Field(
        default=90, gt=0, le=86_400, description="Seconds of silence after which a device counts as offline."
    )
    device_log_lines: int = Field(
        default=1_000, ge=100, le=1_000_000, description="Lines of its log that are kept for each device, the newest."
    )
    device_log_days: int = Field(
        default=30, ge=1, le=3_650, description="Days after which a line of a device's log ends."
    )
    host_sample_interval_s: float = Field(
        default=10,
        ge=0.1,
        le=86_400,
        description="Seconds between two samples of this machine's own load and temperature.",
    )
    host_device: bool = Field(default=True, description="Whether this machine itself is a device of the hub.")
    public_url: str | None = Field(
        default=None,
        description="How people reach the hub, such as https://roost.example.org; links in mails start with it.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID Connect provider to sign in with, such as https://accounts.example.org/realms/home.",
    )
    oidc_client_id: str | None = Field(default=None, max_length=255, description="The hub's client id there.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="The hub's client secret there; none for a public client."
    )
    oidc_name: str = Field(
        default="Single sign-on", min_length=1, max_length=60, description="What the sign-in page calls the provider."
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server: smtps://name:password@host or smtp://host:587; without one, links are shown instead.",
    )
    mail_from: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^[^\r\n]*[^@\s<>]+@[^@\s<>]+>?$",
        description="Sender of the hub's mails, such as Roost <roost@example.org>.",
    )
    pairing_code_expire_s: int = Field(
        default=600, ge=1, le=600, description="Seconds that a pairing code is good for."
    )

    task_retention_days: int = Field(
        default=90, ge=1, le=36_500, description="Days after which a task that has ended is forgotten."
    )

    thingsboard_http: bool = Field(
        default=False,
        description="Whether devices may speak ThingsBoard's HTTP API, which puts their tokens into URLs.",
    )
    bridges: bool = Field(
        default=True, description="Whether owners may connect the hub to MQTT brokers of their choice."
    )

    archive: bool = Field(
        default=False, description="Whether months that have ended are written as Parquet files, for others to read."
    )
    archive_after_days: int = Field(
        default=3, ge=0, le=365, description="Days after a month's end until it is written: late data comes along."
    )
    s3_bucket: str | None = Field(
        default=None,
        min_length=3,
        validation_alias=_names("ROOST_S3_BUCKET", "S3_BUCKET"),
        description="Bucket for files; otherwise they are in the data folder. Needs roost[s3].",
    )
    s3_endpoint: str | None = Field(
        default=None,
        validation_alias=_names("ROOST_S3_ENDPOINT", "S3_ENDPOINT", "AWS_ENDPOINT_URL"),
        pattern=r"^https?://[^\s]+$",
        description="Address of a store that speaks like S3, such as http://minio:9000; by default Amazon's.",
    )
    s3_region: str | None = Field(
        default=None,
        validation_alias=_names("ROOST_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the bucket.",
    )
    s3_access_key_id: str | None = Field(
        default=None,
        validation_alias=_names("ROOST_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        description="Key to the bucket; by default that of the role the machine has.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=_names("ROOST_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        description="The secret of that key.",
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            parts = (part.strip(" \"'[]").rstrip("/") for part in value.split(","))
            return tuple(part for part in parts if part)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("secret_key", "audit_key")
    @classmethod
    def _long_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"it must have at least {_SHORTEST_SECRET} characters")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is not None and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("it must be like https://roost.example.org")
        return value.rstrip("/") if value else value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value() if value else "")
        if value is not None and (parts.scheme not in {"smtp", "smtps"} or not parts.hostname):
            raise ValueError("it must start with smtp:// or smtps:// and name a server")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        scheme = value.partition(":")[0].partition("+")[0]
        if scheme not in {"sqlite", "postgresql", "postgres"} or "://" not in value:
            raise ValueError("it must start with sqlite:/// or postgresql://")
        return value

    @field_validator("nats_url")
    @classmethod
    def _nats_servers(cls, value: str | None) -> str | None:
        servers = [server.strip() for server in (value or "").split(",")]
        if value is not None and not all(
            urlsplit(one).scheme in {"nats", "tls"} and urlsplit(one).hostname for one in servers
        ):
            raise ValueError("it must be like nats://host:4222, or several of these with commas")
        return value

    @model_validator(mode="after")
    def _many_machines(self) -> "Settings":
        if self.nats_url is None:
            return self
        if not self.database_url.startswith("postgres"):
            raise ValueError("nats_url needs PostgreSQL: set database_url to postgresql://…, or leave nats_url out")
        # Every process would make its own otherwise, and refuse what the others have signed.
        if self.secret_key is None or self.audit_key is None:
            raise ValueError("nats_url needs secret_key and audit_key, the same for all processes")
        return self

    @model_validator(mode="after")
    def _cert_with_key(self) -> "Settings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both or neither")
        return self

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is not None and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("it must be the provider's issuer, like https://accounts.example.org")
        return value

    @model_validator(mode="after")
    def _provider_complete(self) -> "Settings":
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("oidc_issuer and oidc_client_id belong together: set both or neither")
        return self

    @model_validator(mode="after")
    def _mail_complete(self) -> "Settings":
        # What a request says about its own address is no ground for a link that goes to somebody else.
        if self.smtp_url is not None and (self.mail_from is None or self.public_url is None):
            raise ValueError("smtp_url needs mail_from and public_url: set all three or no smtp_url")
        return self

    @property
    def effective_log_level(self) -> str:
        """The level to log from, `debug` considered."""
        return "DEBUG" if self.debug else self.log_level

    @property
    def tls(self) -> bool:
        """Whether HTTP and MQTT are encrypted."""
        return self.tls_cert is not None
