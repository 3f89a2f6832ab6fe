"""Passkeys (WebAuthn): a key on the user's device, unlocked there by finger, face or PIN, instead of a password."""

import asyncio
import base64
import binascii
import importlib
import json
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.credentials import challenges
from roost.access.credentials.models import Passkey
from roost.access.models import User
from roost.core.clock import Clock
from roost.core.errors import Conflict, Invalid, NotFound, Unauthorized

_log = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=5)
MOST_PER_USER = 30
_REGISTERING = "passkey_registration"
_SIGNING_IN = "passkey_sign_in"
_TIMEOUT_MS = LIFETIME.seconds * 1000


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The hub as passkeys know it: a host name, and the origins of its pages."""

    id: str
    origins: tuple[str, ...]


def relying_party(public_url: str | None, host: str, netloc: str) -> RelyingParty:
    """By the public address if there is one, else by the address that the request came to.

    Raises Conflict for an IP address, which no passkey is ever bound to.
    """
    if public_url is not None:
        parts = urlsplit(public_url)
        party = RelyingParty(parts.hostname or "", (f"{parts.scheme}://{parts.netloc}",))
    else:
        # Whether a proxy in front encrypts is not known here; the browser decides where it lets passkeys be used.
        party = RelyingParty(host, (f"https://{netloc}", f"http://{netloc}"))
    if not is_name(party.id):
        raise Conflict(
            "Passkeys are bound to a host name: open the hub by its name (or as localhost) instead of an IP address.",
            code="passkeys_need_a_name",
        )
    return party


def is_name(host: str) -> bool:
    """Whether passkeys can be bound to this host."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return bool(host)
    return False


class Passkeys:
    """Every method but `load` works within the caller's session, and needs `load` to have been awaited before it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._library: Any = None

    async def load(self) -> None:
        """Load the library, once: it takes 7 MB, and 0.2 s for which nobody else shall wait."""
        if self._library is None:
            self._library = await asyncio.to_thread(importlib.import_module, "webauthn")

    async def begin_registration(self, session: AsyncSession, user: User, party: RelyingParty) -> dict[str, Any]:
        """What `navigator.credentials.create` is to be called with, as JSON."""
        library = self._library
        structs = library.helpers.structs
        known = (await session.scalars(select(Passkey.credential_id).where(Passkey.user_id == user.id))).all()
        if len(known) >= MOST_PER_USER:
            raise Conflict(f"You have {MOST_PER_USER} passkeys; remove one first.", code="too_many_passkeys")
        challenge = secrets.token_bytes(32)
        options = library.generate_registration_options(
            rp_id=party.id,
            rp_name="Roost",
            user_id=_handle(user.id),
            user_name=user.email,
            user_display_name=user.full_name or user.username,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=_bytes(one)) for one in known],
        )
        await self._remember(session, _REGISTERING, challenge, user.id)
        return _as_json(library, options)

    async def register(
        self, session: AsyncSession, user: User, party: RelyingParty, *, name: str, credential: dict[str, Any]
    ) -> Passkey:
        """Keep the key that the browser made. Raises Invalid when its answer does not hold."""
        challenge = _challenge_of(credential)
        taken = await challenges.take(session, self._clock, _REGISTERING, challenge)
        if taken is None or taken.user_id != user.id:
            raise _not_valid("This has taken too long or was done already; begin again.")
        library = self._library
        try:
            made = library.verify_registration_response(
                credential=credential,
                expected_challenge=_bytes(challenge),
                expected_rp_id=party.id,
                expected_origin=list(party.origins),
                require_user_verification=True,
            )
        except _refusals(library) as error:
            _log.info("A passkey was not accepted: %s", error)
            why = (
                "The browser's answer does not hold; open the hub by its public address, unlock the passkey, try again."
            )
            raise _not_valid(why) from None
        credential_id = _text(made.credential_id)
        if await session.scalar(select(Passkey.id).where(Passkey.credential_id == credential_id)) is not None:
            raise Conflict("This passkey is registered already.", code="passkey_known")
        passkey = Passkey(
            user_id=user.id,
            name=name,
            credential_id=credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            transports=_transports(credential),
            created_at=self._clock.now(),
        )
        session.add(passkey)
        await session.flush()
        return passkey

    async def begin_sign_in(self, session: AsyncSession, party: RelyingParty) -> dict[str, Any]:
        """What `navigator.credentials.get` is to be called with, as JSON. It names nobody."""
        library = self._library
        challenge = secrets.token_bytes(32)
        options = library.generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            user_verification=library.helpers.structs.UserVerificationRequirement.REQUIRED,
        )
        await self._remember(session, _SIGNING_IN, challenge, None)
        return _as_json(library, options)

    async def identify(self, session: AsyncSession, party: RelyingParty, credential: dict[str, Any]) -> User:
        """Whose passkey answered. Raises Unauthorized, in the same words for every reason."""
        challenge = _challenge_of(credential)
        taken = await challenges.take(session, self._clock, _SIGNING_IN, challenge)
        query = select(Passkey, User).join(User, User.id == Passkey.user_id)
        query = query.where(Passkey.credential_id == str(credential.get("id", ""))[:1400], User.is_active)
        row = (await session.execute(query.with_for_update())).first()
        if taken is None or row is None:
            raise _unknown()
        passkey, user = row
        if not _is_handle_of(credential, user.id):
            raise _unknown()
        library = self._library
        try:
            verified = library.verify_authentication_response(
                credential=credential,
                expected_challenge=_bytes(challenge),
                expected_rp_id=party.id,
                expected_origin=list(party.origins),
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except _refusals(library) as error:
            _log.info("A passkey did not sign in: %s", error)
            raise _unknown() from None
        passkey.sign_count = verified.new_sign_count
        passkey.last_used_at = self._clock.now()
        return user

    async def _remember(self, session: AsyncSession, purpose: str, challenge: bytes, user_id: int | None) -> None:
        await challenges.begin(
            session, self._clock, purpose=purpose, secret=_text(challenge), lifetime=LIFETIME, user_id=user_id
        )


async def list_passkeys(session: AsyncSession, user_id: int, *, after_id: int, limit: int) -> list[Passkey]:
    """The passkeys of a user, oldest first."""
    query = select(Passkey).where(Passkey.user_id == user_id, Passkey.id > after_id)
    return list(await session.scalars(query.order_by(Passkey.id).limit(limit)))


async def remove_passkey(session: AsyncSession, user: User, passkey_id: int, *, others: bool) -> Passkey:
    """Forget a passkey of the user. `others`: whether the user can sign in at a provider, too.

    Raises NotFound, or Conflict when nothing would be left to sign in with.
    """
    passkey = await session.scalar(select(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user.id))
    if passkey is None:
        raise NotFound("You have no such passkey.", code="passkey_not_found")
    count = select(func.count()).select_from(Passkey).where(Passkey.user_id == user.id)
    if user.password_hash is None and not others and await session.scalar(count) == 1:
        raise Conflict("This is all that you can sign in with; set a password first.", code="last_sign_in_method")
    await session.delete(passkey)
    return passkey


def _refusals(library: Any) -> tuple[type[Exception], ...]:
    # The library's own, and what its parsers let through for input that nobody's browser would send.
    return (library.helpers.exceptions.WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError)


def _as_json(library: Any, options: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(library.options_to_json(options))
    return made


def _challenge_of(credential: dict[str, Any]) -> str:
    """The challenge that the browser says it answers, in base64url. Raises Invalid."""
    try:
        said = json.loads(_bytes(credential["response"]["clientDataJSON"]))
        challenge = said["challenge"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _not_valid("This is not what a browser answers.") from None
    if not isinstance(challenge, str) or len(challenge) > 128:
        raise _not_valid("This is not what a browser answers.")
    return challenge.rstrip("=")


def _is_handle_of(credential: dict[str, Any], user_id: int) -> bool:
    handle = credential["response"].get("userHandle")
    return handle is None or (isinstance(handle, str) and handle.rstrip("=") == _text(_handle(user_id)))


def _transports(credential: dict[str, Any]) -> list[str]:
    said = credential["response"].get("transports")
    return [str(one)[:32] for one in said[:10]] if isinstance(said, list) else []


def _handle(user_id: int) -> bytes:
    # Says nothing about the person, as the standard asks.
    return f"roost-user-{user_id}".encode()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _not_valid(why: str) -> Invalid:
    return Invalid(why, code="passkey_not_valid", errors=[{"pointer": "/credential", "detail": why}])


def _unknown() -> Unauthorized:
    return Unauthorized("This passkey is not known here, or its answer does not hold.", code="wrong_credentials")
