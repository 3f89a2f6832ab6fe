"""Policies of retention as they cross the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from roost.access.schemas import Strict, Timestamp
from roost.core.ids import RowId
from roost.telemetry.retention.rules import Rule

KeepDays = Annotated[int, Field(ge=1, le=36_500, description="Days after which it is deleted.")]
DeviceType = Annotated[str, Field(min_length=1, max_length=40, description="Only devices of this type.")]
KeyPattern = Annotated[
    str,
    Field(
        min_length=1, max_length=200, examples=["debug.*"],
        description="Only series of this name; `*` stands for any letters or none.",
    ),
]  # fmt: skip
_FOR_EVER = "Days after which it is deleted; null: never."


class RetentionPolicyCreate(Strict):
    """What is left out (or null) stands for all: every organization, every type, every series; no days, for ever."""

    organization_id: RowId | None = None
    device_type: DeviceType | None = None
    key_pattern: KeyPattern | None = None
    keep_days: KeepDays | None = Field(description=_FOR_EVER)


class RetentionPolicyUpdate(Strict):
    """What a policy is about stays: another one is made for something else."""

    keep_days: KeepDays | None = Field(description=_FOR_EVER)


class RetentionPolicyRead(BaseModel):
    """A policy; what is null stands for all."""

    id: int
    organization_id: int | None
    device_type: str | None
    key_pattern: str | None
    keep_days: int | None = Field(description=_FOR_EVER)
    created_at: Timestamp
    updated_at: Timestamp


class RetentionRuleOut(BaseModel):
    """One step of finding out for how long a device's series is kept."""

    policy_id: int
    by: Literal["organization", "hub"] = Field(description="Whose policy it is.")
    key_pattern: str | None = Field(description="Which series it is about; null: all that are left.")
    keep_days: int | None = Field(description=_FOR_EVER)

    @classmethod
    def of(cls, rule: Rule) -> "RetentionRuleOut":
        return cls(
            policy_id=rule.policy_id,
            by="hub" if rule.organization_id is None else "organization",
            key_pattern=rule.key_pattern,
            keep_days=rule.keep_days,
        )


class EffectiveRetention(BaseModel):
    """What counts for a device: the first rule that is about a series says for how long; none, and it stays."""

    device_id: int
    rules: list[RetentionRuleOut] = Field(description="The most specific first.")
    events_keep_days: int | None = Field(
        description="For how long events stay, with all they say; rules with a `key_pattern` do not count for them."
    )
