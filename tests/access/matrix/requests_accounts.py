"""Asking for pages, signing in, and what one does with one's own account."""

import uuid
from functools import partial
from typing import Any

import pyotp

from roost.access.credentials.models import ExternalIdentity, Passkey
from roost.access.roles import SCOPES
from roost.core.clock import SystemClock
from tests.access.matrix.callers import PASSWORD, Caller
from tests.access.matrix.requests import Ask, asks
from tests.access.matrix.stored import stored
from tests.access.matrix.world import World


@asks("GET /app/{path:path}")
def _page(_world: World, _caller: Caller) -> Ask:
    return Ask(path={"path": "devices"})


@asks("GET /system/metrics")
def _measure(_world: World, _caller: Caller) -> Ask:
    """Without the window over which the processor is watched, for which nobody here needs to wait."""
    return Ask(query={"sample_ms": 0})


@asks("GET /docs/{name}")
def _docs(_world: World, _caller: Caller) -> Ask:
    return Ask(path={"name": "start.js"})


# -- signing in


@asks("POST /auth/register")
def _register(_world: World, _caller: Caller) -> Ask:
    return Ask({"email": f"{uuid.uuid4().hex}@example.org", "password": PASSWORD})


@asks("POST /auth/login")
def _login(world: World, _caller: Caller) -> Ask:
    return Ask({"email": world.bystander.email, "password": PASSWORD})


@asks("POST /auth/refresh")
def _refresh(_world: World, caller: Caller) -> Ask:
    return Ask(
        {"refresh_token": caller.refresh_token or "rrt_made-up"},
        afterwards=lambda answer: caller.take(answer.json()),
    )


@asks("POST /auth/logout", "POST /auth/sessions/end-all")
def _end(_world: World, caller: Caller) -> Ask:
    return Ask(afterwards=lambda _answer: caller.sign_in())


@asks("POST /auth/password/forgot")
def _forgotten(world: World, _caller: Caller) -> Ask:
    return Ask({"email": world.bystander.email})


@asks("POST /auth/password/reset")
def _reset(world: World, _caller: Caller) -> Ask:
    return Ask({"token": world.spares.take("reset")["token"], "password": PASSWORD})


_MADE_UP = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}


@asks("POST /auth/login/passkey")
def _sign_in_with_passkey(_world: World, _caller: Caller) -> Ask:
    return Ask({"credential": _MADE_UP})


@asks("POST /auth/passkeys")
def _add_passkey(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Key", "credential": _MADE_UP})


# -- one's own account


@asks("PATCH /users/me")
def _profile(_world: World, caller: Caller) -> Ask:
    return Ask({"full_name": f"The one called {caller.name}"})


@asks("PATCH /users/me (a role)")
def _more(_world: World, _caller: Caller) -> Ask:
    return Ask({"role": "admin"})


@asks("POST /auth/password")
def _password(_world: World, caller: Caller) -> Ask:
    new = "Better-Than-1234" if caller.password == PASSWORD else PASSWORD
    return Ask(
        {"current_password": caller.password, "new_password": new},
        afterwards=lambda _answer: setattr(caller, "password", new),
    )


def _sessions_of(caller: Caller, *, current: bool) -> int:
    found: int = next(one["id"] for one in caller.get("/auth/sessions?limit=500") if one["current"] is current)
    return found


@asks("GET /auth/sessions")
def _sessions(world: World, caller: Caller) -> Ask:
    return Ask(shows=("id", _sessions_of(caller if caller.is_user else world.owner, current=True)))


@asks("GET /auth/sessions (of somebody else)")
def _other_sessions(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", _sessions_of(world.bystander, current=True)))


@asks("DELETE /auth/sessions/{session_id}")
def _end_session(world: World, caller: Caller) -> Ask:
    if not caller.is_user:
        return Ask(path={"session_id": _sessions_of(world.owner, current=True)})
    Caller(caller.name, caller.http, caller.server, email=caller.email, password=caller.password).sign_in()
    return Ask(path={"session_id": _sessions_of(caller, current=False)})


@asks("DELETE /auth/sessions/{session_id} (of somebody else)")
def _end_other_session(world: World, _caller: Caller) -> Ask:
    return Ask(path={"session_id": _sessions_of(world.bystander, current=True)})


def _token_of(caller: Caller) -> int:
    made: int = caller.make("/auth/api-tokens", {"name": "Script", "scopes": caller.scopes[:1]})["id"]
    return made


@asks("GET /auth/api-tokens")
def _tokens(world: World, caller: Caller) -> Ask:
    return Ask(shows=("id", _token_of(caller if caller.is_user else world.owner)))


@asks("GET /auth/api-tokens (of somebody else)")
def _other_tokens(world: World, _caller: Caller) -> Ask:
    return Ask(shows=("id", _token_of(world.bystander)))


@asks("POST /auth/api-tokens")
def _make_token(_world: World, caller: Caller) -> Ask:
    return Ask({"name": "Script", "scopes": caller.scopes or ["devices:read"]})


@asks("POST /auth/api-tokens (with every scope)")
def _make_mighty_token(_world: World, _caller: Caller) -> Ask:
    return Ask({"name": "Script", "scopes": sorted(SCOPES)})


@asks("DELETE /auth/api-tokens/{token_id}")
def _revoke_token(world: World, caller: Caller) -> Ask:
    return Ask(path={"token_id": _token_of(caller if caller.is_user else world.owner)})


@asks("DELETE /auth/api-tokens/{token_id} (of somebody else)")
def _revoke_other_token(world: World, _caller: Caller) -> Ask:
    return Ask(path={"token_id": _token_of(world.bystander)})


def _set_up(caller: Caller) -> dict[str, Any]:
    """A second factor that waits for its first code; made up for those who cannot have one."""
    secret = caller.make("/auth/totp/setup")["secret"] if caller.is_user else pyotp.random_base32()
    return {"code": pyotp.TOTP(secret).now()}


def _remove(caller: Caller, *_: object) -> None:
    gone = caller.ask("DELETE", "/auth/totp", json={"password": caller.password})
    assert gone.status_code == 204, gone.text


@asks("POST /auth/totp/confirm")
def _confirm(_world: World, caller: Caller) -> Ask:
    return Ask(_set_up(caller), afterwards=partial(_remove, caller))


@asks("POST /auth/totp/recovery-codes")
def _renew(_world: World, caller: Caller) -> Ask:
    if caller.is_user:
        caller.make("/auth/totp/confirm", _set_up(caller))
    return Ask({"password": caller.password}, afterwards=partial(_remove, caller))


@asks("DELETE /auth/totp")
def _without(_world: World, caller: Caller) -> Ask:
    if caller.is_user:
        caller.make("/auth/totp/confirm", _set_up(caller))
    return Ask({"password": caller.password})


def _passkey_of(world: World, caller: Caller) -> int:
    # By hand, since there is no authenticator here to make one.
    key, now = uuid.uuid4(), SystemClock().now()
    owner_id = caller.user_id or world.owner.user_id
    row = Passkey(user_id=owner_id, name="Key", credential_id=key.hex, public_key=key.bytes, created_at=now)
    return stored(world.server, row)


@asks("GET /auth/passkeys")
def _passkeys(world: World, caller: Caller) -> Ask:
    return Ask(shows=("id", _passkey_of(world, caller)))


@asks("DELETE /auth/passkeys/{passkey_id}")
def _drop_passkey(world: World, caller: Caller) -> Ask:
    return Ask(path={"passkey_id": _passkey_of(world, caller)})


@asks("DELETE /auth/passkeys/{passkey_id} (of somebody else)")
def _drop_other_passkey(world: World, _caller: Caller) -> Ask:
    return Ask(path={"passkey_id": _passkey_of(world, world.bystander)})


def _identity_of(world: World, caller: Caller) -> int:
    subject, now = uuid.uuid4().hex, SystemClock().now()
    owner_id = caller.user_id or world.owner.user_id
    row = ExternalIdentity(user_id=owner_id, issuer="https://id.example.org", subject=subject, created_at=now)
    return stored(world.server, row)


@asks("GET /auth/external-identities")
def _identities(world: World, caller: Caller) -> Ask:
    return Ask(shows=("id", _identity_of(world, caller)))


@asks("DELETE /auth/external-identities/{identity_id}")
def _drop_identity(world: World, caller: Caller) -> Ask:
    return Ask(path={"identity_id": _identity_of(world, caller)})


@asks("DELETE /auth/external-identities/{identity_id} (another's)")
def _drop_other_identity(world: World, _caller: Caller) -> Ask:
    return Ask(path={"identity_id": _identity_of(world, world.bystander)})
