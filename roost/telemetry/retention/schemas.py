"""Policies of retention as they cross the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from roost.access.schemas import Strict, Timestamp
from roost.core.ids import RowId
from roost.telemetry.retention.rules import BUCKETS_S, Rule

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
Bucket = Literal["1m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d"]
_THEN_KEEP = "What stays of readings when they are deleted; null: nothing. Events, as documents, always go wholly."


class ThenKeep(Strict):
    """Of each series and bucket of time: how many readings, their sum, smallest, largest, first and last."""

    bucket: Bucket = Field(description="How much time is taken together.")
    for_days: KeepDays | None = Field(description="For how many days more, after the readings; null: for ever.")

    @classmethod
    def of(cls, bucket_s: int | None, days: int | None) -> "ThenKeep | None":
        """As it is stored; without a bucket, nothing."""
        name = next((name for name, width_s in BUCKETS_S.items() if width_s == bucket_s), None)
        return None if name is None else cls.model_validate({"bucket": name, "for_days": days})

    @property
    def bucket_s(self) -> int:
        return BUCKETS_S[self.bucket]


def _ensure_deleted(keep_days: int | None, then_keep: ThenKeep | None) -> None:
    if keep_days is None and then_keep is not None:
        raise ValueError("What is kept for ever leaves nothing to take together: give `keep_days` with `then_keep`.")


class RetentionPolicyCreate(Strict):
    """What is left out (or null) stands for all: every organization, every type, every series; no days, for ever."""

    organization_id: RowId | None = None
    device_type: DeviceType | None = None
    key_pattern: KeyPattern | None = None
    keep_days: KeepDays | None = Field(description=_FOR_EVER)
    then_keep: ThenKeep | None = Field(None, description=_THEN_KEEP)

    @model_validator(mode="after")
    def _only_what_goes(self) -> "RetentionPolicyCreate":
        _ensure_deleted(self.keep_days, self.then_keep)
        return self


class RetentionPolicyUpdate(Strict):
    """What a policy is about stays: another one is made for something else."""

    keep_days: KeepDays | None = Field(description=_FOR_EVER)
    then_keep: ThenKeep | None = Field(None, description=f"{_THEN_KEEP} Left out: as it is, or nothing for ever.")

    @model_validator(mode="after")
    def _only_what_goes(self) -> "RetentionPolicyUpdate":
        _ensure_deleted(self.keep_days, self.then_keep)
        return self


class RetentionPolicyRead(BaseModel):
    """A policy; what is null stands for all."""

    id: int
    organization_id: int | None
    device_type: str | None
    key_pattern: str | None
    keep_days: int | None = Field(description=_FOR_EVER)
    then_keep: ThenKeep | None = Field(description=_THEN_KEEP)
    created_at: Timestamp
    updated_at: Timestamp


class RetentionRuleOut(BaseModel):
    """One step of finding out for how long a device's series is kept."""

    policy_id: int
    by: Literal["organization", "hub"] = Field(description="Whose policy it is.")
    key_pattern: str | None = Field(description="Which series it is about; null: all that are left.")
    keep_days: int | None = Field(description=_FOR_EVER)
    then_keep: ThenKeep | None = Field(description=_THEN_KEEP)

    @classmethod
    def of(cls, rule: Rule) -> "RetentionRuleOut":
        return cls(
            policy_id=rule.policy_id,
            by="hub" if rule.organization_id is None else "organization",
            key_pattern=rule.key_pattern,
            keep_days=rule.keep_days,
            then_keep=None if rule.bucket_ms is None else ThenKeep.of(rule.bucket_ms // 1000, rule.coarse_days),
        )


class EffectiveRetention(BaseModel):
    """What counts for a device: the first rule that is about a series says for how long; none, and it stays."""

    device_id: int
    rules: list[RetentionRuleOut] = Field(description="The most specific first.")
    events_keep_days: int | None = Field(
        description="For how long events stay, with all they say; rules with a `key_pattern` do not count for them."
    )
