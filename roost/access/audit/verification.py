"""Whether the audit log is as it was written: every number there, every seal right, and nothing missing at the end."""

import hmac
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.anchor import Anchor
from roost.access.audit.log import GENESIS, seal, seal_head
from roost.access.audit.models import AuditEntry, AuditHead

_ROWS_AT_ONCE = 1_000
_MOST_FINDINGS = 100


@dataclass(slots=True)
class Report:
    """How many entries were looked at, and a sentence for each thing that is wrong."""

    checked: int = 0
    changed: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def add(self, sentence: str) -> None:
        """Note a finding; beyond a hundred they say nothing new."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(sentence)


@dataclass(frozen=True, slots=True)
class End:
    """How the log ends according to the row that names the newest entry."""

    last_id: int
    last_mac: str
    sealed: bool


async def verify(session: AsyncSession, key: str, anchor: Anchor | None) -> Report:
    """Look at every entry, in one read session and constant memory. `anchor` is what the hub saw last."""
    report = Report()
    end = await read_end(session, key)
    last_id, last_mac = await _check_entries(session, key, end.last_id if end else None, report)
    if end is not None:
        _check_end(end, last_id, last_mac, report)
    elif last_id:
        report.add("The row that names the newest entry is missing, so entries may be missing at the end.")
    elif not report.checked:
        report.add("There is no entry at all, although every start of the hub writes one.")
    await _check_nothing_follows(session, key, report)
    report.findings += await anchor_findings(session, anchor)
    if report.checked and report.changed == report.checked and end is not None and not end.sealed:
        report.findings = [
            "No seal fits this key: it is not the key of the hub that wrote the log. Compare ROOST_AUDIT_KEY, or the "
            "file audit_key in the data folder."
        ]
    return report


async def read_end(session: AsyncSession, key: str) -> End | None:
    """The end of the log; None when no entry was ever written."""
    query = select(AuditHead.last_id, AuditHead.last_mac, AuditHead.mac).where(AuditHead.id == 1)
    row = (await session.execute(query)).first()
    if row is None:
        return None
    return End(row.last_id, row.last_mac, _same(row.mac, seal_head(row.last_id, row.last_mac, key)))


async def anchor_findings(session: AsyncSession, anchor: Anchor | None) -> list[str]:
    """What is wrong with the log for somebody who has seen `anchor`."""
    if anchor is None or anchor.last_id == 0:
        return []
    mac = await session.scalar(select(AuditEntry.mac).where(AuditEntry.id == anchor.last_id))
    if mac is None:
        return [
            f"Entry {anchor.last_id} is missing, which this hub has seen: entries were removed, or an older database "
            "was restored."
        ]
    if not _same(mac, anchor.last_mac):
        return [f"Entry {anchor.last_id} is not the one that this hub has seen: the log was written anew."]
    return []


async def _check_nothing_follows(session: AsyncSession, key: str, report: Report) -> None:
    # In this order: what the hub writes meanwhile moves the end on.
    newest_id = await session.scalar(select(func.max(AuditEntry.id))) or 0
    end = await read_end(session, key)
    if end is not None and newest_id > end.last_id:
        report.add(f"After entry {end.last_id}, the last that the hub wrote, something was put in.")


async def _check_entries(session: AsyncSession, key: str, until: int | None, report: Report) -> tuple[int, str]:
    """Number and seal of the last entry; 0 and the seal of the beginning when there is none."""
    table = AuditEntry.__table__
    last_id, last_mac = 0, GENESIS
    changed: list[int] = []
    while True:
        query = select(table).where(table.c.id > last_id).order_by(table.c.id).limit(_ROWS_AT_ONCE)
        # What is written meanwhile is not of this check.
        found = await session.execute(query if until is None else query.where(table.c.id <= until))
        rows: list[dict[str, Any]] = [dict(row) for row in found.mappings()]
        for row in rows:
            report.checked += 1
            if row["id"] != last_id + 1:
                report.add(_missing(last_id + 1, row["id"] - 1))
            # After a gap the seal before is unknown, and this entry cannot be judged.
            elif not _same(row["mac"], seal(row, last_mac, key)):
                report.changed += 1
                _extend(changed, row["id"], report)
            last_id, last_mac = row["id"], row["mac"]
        if len(rows) < _ROWS_AT_ONCE:
            _extend(changed, None, report)
            return last_id, last_mac


def _extend(changed: list[int], entry_id: int | None, report: Report) -> None:
    """Gather neighbours into one finding."""
    if changed and entry_id != changed[-1] + 1:
        first, last = changed[0], changed[-1]
        report.add(f"Entry {first} was changed." if first == last else f"Entries {first} to {last} were changed.")
        changed.clear()
    if entry_id is not None:
        changed[:] = [changed[0], entry_id] if changed else [entry_id]


def _check_end(end: End, last_id: int, last_mac: str, report: Report) -> None:
    if last_id < end.last_id:
        report.add(f"{_missing(last_id + 1, end.last_id)} They stood at the end.")
    elif not _same(last_mac, end.last_mac):
        report.add(f"Entry {last_id} is not the one with which the log ended.")
    if not end.sealed:
        report.add("The row that names the newest entry was changed, so entries may be missing at the end.")


def _missing(first: int, last: int) -> str:
    return f"Entry {first} is missing." if first == last else f"Entries {first} to {last} are missing."


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
