"""Spelling of e-mail addresses and usernames: what is accepted, and the form in which they have to be unique."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>()\",;:\\]+@[^@\s\x00-\x1f\x7f<>()\",;:\\]+\Z")
_USERNAME = re.compile(r"\w[\w.-]{1,63}\Z")
_UNFIT = re.compile(r"[^\w.-]+")


def unique_key(name: str) -> str:
    """The form that two spellings of the same e-mail address or username share."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name.strip()).casefold())


def _email(value: str) -> str:
    text = unicodedata.normalize("NFC", value.strip())
    if not _EMAIL.match(text):
        raise ValueError("This is not an e-mail address.")
    return text


def _username(value: str) -> str:
    text = unicodedata.normalize("NFKC", value.strip())
    if not _USERNAME.match(text):
        raise ValueError("A username has 2 to 64 letters, digits, dots, hyphens and underscores.")
    return text


def _text(value: str) -> str:
    text = unicodedata.normalize("NFC", value.strip())
    if not text or any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("A name has at least one visible character and no control characters.")
    return text


EmailAddress = Annotated[str, Field(min_length=3, max_length=255), AfterValidator(_email)]
Username = Annotated[str, Field(min_length=2, max_length=64), AfterValidator(_username)]
DisplayName = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_text)]


def username_from(email: str) -> str:
    """A username for somebody who did not choose one, from the e-mail address's first part."""
    stem = _UNFIT.sub("-", unicodedata.normalize("NFKC", email.partition("@")[0])).strip(".-")[:48]
    return stem if len(stem) >= 2 else f"user-{stem or 'new'}"
