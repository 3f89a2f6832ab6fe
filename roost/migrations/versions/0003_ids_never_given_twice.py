"""Ids that are never given twice, rooms for devices, and what is remembered of sign-ins.

SQLite changes a table by copying it. How the tables look before is written out here, so that the SQL can be printed
without a database to look at.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-22
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NAMES = {
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


def upgrade() -> None:
    """Copy the tables that number their rows, and add what is new."""
    op.execute("UPDATE devices SET room_id = NULL")
    op.execute("UPDATE pairing_codes SET room_id = NULL")
    before = _tables()
    with _changed(before["users"], numbered=True) as users:
        users.add_column(sa.Column("last_sign_in_at", sa.DateTime(timezone=True), nullable=True))
        users.add_column(_proof())
        users.alter_column("password_hash", existing_type=sa.String(length=255), nullable=True)
    # Theirs by the word of whoever runs the hub.
    administrators = "SELECT user_id FROM grants WHERE role = 'admin'"
    op.execute(f"UPDATE users SET proven_email_key = email_key WHERE id IN ({administrators})")  # noqa: S608 - as above
    with _changed(before["organizations"], numbered=True):
        pass
    with _changed(before["grants"], numbered=True) as grants:
        grants.create_index("ix_grants_home_id", ["home_id"], unique=False)
    with _changed(before["sessions"], numbered=True) as sessions:
        sessions.add_column(sa.Column("method", sa.String(length=16), server_default="password", nullable=False))
        sessions.add_column(sa.Column("address", sa.String(length=64), nullable=True))
        sessions.add_column(sa.Column("user_agent", sa.String(length=255), nullable=True))
    with _changed(before["homes"], numbered=True) as homes:
        homes.add_column(sa.Column("address", sa.String(length=255), nullable=True))
        homes.add_column(sa.Column("timezone", sa.String(length=64), nullable=True))
    with _changed(before["devices"], numbered=True) as devices:
        devices.create_foreign_key(op.f("fk_devices_room_id_rooms"), "rooms", ["room_id"], ["id"], ondelete="SET NULL")
    with _changed(before["pairing_codes"]) as codes:
        codes.create_index("ix_pairing_codes_room_id", ["room_id"], unique=False)
        codes.create_foreign_key(
            op.f("fk_pairing_codes_room_id_rooms"), "rooms", ["room_id"], ["id"], ondelete="SET NULL"
        )


def downgrade() -> None:
    """As before; whoever has no password cannot sign in any more."""
    op.execute("UPDATE users SET password_hash = '!' WHERE password_hash IS NULL")
    after = _tables(after=True)
    with _changed(after["pairing_codes"]) as codes:
        codes.drop_constraint(op.f("fk_pairing_codes_room_id_rooms"), type_="foreignkey")
        codes.drop_index("ix_pairing_codes_room_id")
    with _changed(after["devices"], numbered=True) as devices:
        devices.drop_constraint(op.f("fk_devices_room_id_rooms"), type_="foreignkey")
    with _changed(after["homes"]) as homes:
        homes.drop_column("timezone")
        homes.drop_column("address")
    with _changed(after["sessions"]) as sessions:
        sessions.drop_column("user_agent")
        sessions.drop_column("address")
        sessions.drop_column("method")
    with _changed(after["grants"]) as grants:
        grants.drop_index("ix_grants_home_id")
    with _changed(after["organizations"]):
        pass
    with _changed(after["users"]) as users:
        users.alter_column("password_hash", existing_type=sa.String(length=255), nullable=False)
        users.drop_column("proven_email_key")
        users.drop_column("last_sign_in_at")


@contextmanager
def _changed(table: sa.Table, *, numbered: bool = False) -> Iterator[BatchOperations]:
    """The operations on a table; SQLite copies it, with ids that are never given twice if it is `numbered`."""
    copied = op.get_context().dialect.name == "sqlite"
    with op.batch_alter_table(
        table.name,
        copy_from=table,
        recreate="always" if copied else "never",
        table_kwargs={"sqlite_autoincrement": True} if numbered else {},
    ) as operations:
        yield operations


def _proof() -> sa.Column[str]:
    return sa.Column("proven_email_key", sa.String(length=1024), nullable=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", _big(), primary_key=True, nullable=False)


def _big() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _reference(name: str, target: str, ondelete: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _big(), sa.ForeignKey(target, ondelete=ondelete), nullable=nullable)


def _tables(*, after: bool = False) -> dict[str, sa.Table]:
    """The tables as 0002 left them, or as this revision does."""
    metadata = sa.MetaData(naming_convention=_NAMES)
    _people(metadata, after=after)
    _places(metadata, after=after)
    return dict(metadata.tables)


def _people(metadata: sa.MetaData, *, after: bool) -> None:
    sa.Table(
        "users",
        metadata,
        _id(),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("username_key", sa.String(255), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("email_key", sa.String(1024), nullable=False),
        sa.Column("full_name", sa.String(120), nullable=True),
        sa.Column("password_hash", sa.String(255), nullable=after),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        *([_time("last_sign_in_at", nullable=True)] if after else []),
        *([_proof()] if after else []),
        sa.UniqueConstraint("email_key"),
        sa.UniqueConstraint("username_key"),
    )
    sa.Table(
        "organizations", metadata, _id(), sa.Column("name", sa.String(120), nullable=False),
        _time("created_at"), _time("updated_at"),
    )  # fmt: skip
    grants = sa.Table(
        "grants",
        metadata,
        _id(),
        _reference("user_id", "users.id", "CASCADE"),
        sa.Column("role", sa.String(32), nullable=False),
        _reference("organization_id", "organizations.id", "CASCADE", nullable=True),
        sa.Column("home_id", _big(), nullable=True),
        _time("created_at"),
        sa.CheckConstraint("home_id IS NULL OR organization_id IS NOT NULL", name="home_in_organization"),
        sa.Index("ix_grants_organization_id", "organization_id"),
        sa.Index("ix_grants_user_id", "user_id"),
    )
    if after:
        sa.Index("ix_grants_home_id", grants.c.home_id)
    sa.Table(
        "sessions",
        metadata,
        _id(),
        _reference("user_id", "users.id", "CASCADE"),
        _time("created_at"),
        _time("used_at"),
        _time("expires_at"),
        _time("revoked_at", nullable=True),
        *(_sign_in_columns() if after else []),
        sa.Index("ix_sessions_expires_at", "expires_at"),
        sa.Index("ix_sessions_user_id", "user_id"),
    )


def _sign_in_columns() -> list[sa.Column[str]]:
    return [
        sa.Column("method", sa.String(16), server_default="password", nullable=False),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("user_agent", sa.String(255), nullable=True),
    ]


def _places(metadata: sa.MetaData, *, after: bool) -> None:
    homes = [sa.Column("address", sa.String(255)), sa.Column("timezone", sa.String(64))]
    sa.Table(
        "homes",
        metadata,
        _id(),
        _reference("organization_id", "organizations.id", "CASCADE"),
        sa.Column("name", sa.String(120), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        *(homes if after else []),
        sa.Index("ix_homes_organization_id", "organization_id"),
    )
    sa.Table("rooms", metadata, _id())
    sa.Table(
        "devices",
        metadata,
        _id(),
        sa.Column("device_uid", sa.String(64), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("type", sa.String(40), nullable=True),
        _reference("organization_id", "organizations.id", "CASCADE", nullable=True),
        _reference("home_id", "homes.id", "SET NULL", nullable=True),
        _room(after=after),
        sa.Column("firmware_version", sa.String(64), nullable=True),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("pairing_key_hash", sa.String(64), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        _time("status_since", nullable=True),
        sa.Column("status_reason", sa.String(200), nullable=True),
        _time("last_seen_at", nullable=True),
        _time("hello_at", nullable=True),
        _time("claimed_at", nullable=True),
        _time("retired_at", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        sa.Index("ix_devices_home_id", "home_id"),
        sa.Index("ix_devices_organization_id_id", "organization_id", "id"),
        sa.Index("ix_devices_room_id", "room_id"),
        sa.Index("ix_devices_unclaimed_hello_at", "hello_at", sqlite_where=sa.text("organization_id IS NULL")),
        sa.Index("uq_devices_active_uid", "device_uid", unique=True, sqlite_where=sa.text("retired_at IS NULL")),
    )
    codes = sa.Table(
        "pairing_codes",
        metadata,
        sa.Column("device_id", _big(), sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
        _reference("organization_id", "organizations.id", "CASCADE"),
        _reference("home_id", "homes.id", "SET NULL", nullable=True),
        _room(after=after),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("wrong_tries", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        _time("used_at", nullable=True),
        sa.Index("ix_pairing_codes_home_id", "home_id"),
        sa.Index("ix_pairing_codes_organization_id", "organization_id"),
    )
    if after:
        sa.Index("ix_pairing_codes_room_id", codes.c.room_id)


def _room(*, after: bool) -> sa.Column[int]:
    if after:
        return _reference("room_id", "rooms.id", "SET NULL", nullable=True)
    return sa.Column("room_id", _big(), nullable=True)
