"""The shadow of devices, when the hub got their log lines, why they are gone, and since when they run their firmware.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-22
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add what is new; a line of the log is taken to have come when the device says that it wrote it."""
    _create_shadows()
    _create_changes()
    op.add_column("devices", sa.Column("firmware_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("devices", sa.Column("status_cause", sa.String(length=16), nullable=True))
    op.add_column("device_logs", sa.Column("received_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE device_logs SET received_at = observed_at")
    # SQLite changes a column by copying its table. How that looks is written out, so that the SQL can be printed.
    with op.batch_alter_table("device_logs", copy_from=_logs()) as logs:
        logs.alter_column("received_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    op.create_index("ix_device_logs_received_at", "device_logs", ["received_at"])


def downgrade() -> None:
    """Forget it."""
    op.drop_index("ix_device_logs_received_at", "device_logs")
    op.drop_column("device_logs", "received_at")
    op.drop_column("devices", "status_cause")
    op.drop_column("devices", "firmware_at")
    op.drop_table("device_shadow_changes")
    op.drop_table("device_shadows")


def _create_shadows() -> None:
    op.create_table(
        "device_shadows",
        _device(),
        sa.Column("desired", sa.JSON(), nullable=False),
        sa.Column("desired_version", _big(), nullable=False),
        sa.Column("desired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported", sa.JSON(), nullable=False),
        sa.Column("reported_version", _big(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_shadows_device_id_devices"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_shadows")),
    )


def _create_changes() -> None:
    op.create_table(
        "device_shadow_changes",
        sa.Column("id", _big(), nullable=False),
        _device(),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("version", _big(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", _big(), nullable=True),
        sa.Column("actor_name", sa.String(length=255), nullable=True),
        sa.Column("patch", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_shadow_changes_device_id_devices"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_shadow_changes")),
    )
    op.create_index(
        "uq_device_shadow_changes_version", "device_shadow_changes", ["device_id", "side", "version"], unique=True
    )
    op.create_index("ix_device_shadow_changes_device_id_id", "device_shadow_changes", ["device_id", "id"])


def _logs() -> sa.Table:
    return sa.Table(
        "device_logs",
        sa.MetaData(naming_convention={"fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s"}),
        sa.Column("id", _big(), nullable=False),
        _device(),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_device_logs_device_id_devices", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_device_logs"),
        sa.Index("ix_device_logs_device_id_id", "device_id", "id"),
    )


def _device() -> sa.Column[int]:
    return sa.Column("device_id", _big(), nullable=False)


def _big() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
