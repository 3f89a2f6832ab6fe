"""What people may write about places and residents: spelling and limits of the fields that cross the wire."""

import unicodedata
import zoneinfo
from datetime import date
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from roost.access.names import DisplayName, unique_key

_LONGEST_KEY = 512
_LINE_ENDINGS = {"\n", "\r", "\t"}


def _short_key(name: str) -> str:
    # Some letters become a dozen when two spellings are compared.
    if len(unique_key(name)) > _LONGEST_KEY:
        raise ValueError("This name is too long.")
    return name


def _lines(value: str) -> str:
    text = unicodedata.normalize("NFC", value.strip())
    unfit = (unicodedata.category(letter) == "Cc" and letter not in _LINE_ENDINGS for letter in text)
    if not text or any(unfit):
        raise ValueError("It has at least one visible character and no control characters.")
    return text


def _timezone(name: str) -> str:
    if name not in _timezones():
        raise ValueError("This is no time zone; they are called Europe/Berlin, America/New_York, UTC")
    return name


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _day(value: Any) -> date:
    # Numbers would be taken for seconds since 1970.
    if not isinstance(value, str) or len(value) != len("2000-01-31"):
        raise ValueError("A date is written as 2000-01-31")
    return date.fromisoformat(value)


PlaceName = Annotated[DisplayName, AfterValidator(_short_key)]
Address = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_lines)]
TimeZone = Annotated[str, Field(min_length=1, max_length=64, examples=["Europe/Berlin"]), AfterValidator(_timezone)]
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]
Line = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_lines)]
Notes = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_lines)]
PhoneNumber = Annotated[
    str,
    Field(min_length=3, max_length=40, pattern=r"^\+?[0-9][0-9 ()/.-]*$", examples=["+49 30 1234567"]),
]
