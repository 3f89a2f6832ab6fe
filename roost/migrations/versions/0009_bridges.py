"""Bridges to other brokers.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-22
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bridges, and what each has to do with which devices."""
    op.create_table(
        "bridges",
        sa.Column("id", _ID, nullable=False),
        sa.Column("organization_id", _ID, nullable=False),
        sa.Column("home_id", _ID, nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("url", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("user_name", sa.String(length=255), nullable=True),
        sa.Column("sealed_password", sa.Text(), nullable=True),
        sa.Column("ca_certificate", sa.Text(), nullable=True),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("register_devices", sa.Boolean(), nullable=False),
        sa.Column("discovery_prefix", sa.String(length=120), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("stale_filters", sa.JSON(), nullable=False),
        sa.Column("farewell_due", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_reason", sa.String(length=300), nullable=True),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=True),
        sa.Column("problem_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_by", sa.String(length=32), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_bridges_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["home_id"], ["homes.id"], name=op.f("fk_bridges_home_id_homes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridges")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bridges_organization_id_id", "bridges", ["organization_id", "id"])
    op.create_index("ix_bridges_home_id", "bridges", ["home_id"])
    op.create_table(
        "bridge_devices",
        sa.Column("bridge_id", _ID, nullable=False),
        sa.Column("device_id", _ID, autoincrement=False, nullable=False),
        sa.Column("heard", sa.Boolean(), nullable=False),
        sa.Column("announced_under", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(
            ["bridge_id"], ["bridges.id"], name=op.f("fk_bridge_devices_bridge_id_bridges"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("bridge_id", "device_id", name=op.f("pk_bridge_devices")),
    )


def downgrade() -> None:
    """Other brokers are left alone again; their sessions of ours end by themselves."""
    op.drop_table("bridge_devices")
    op.drop_table("bridges")
