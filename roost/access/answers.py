"""How a session reaches its client: tokens in the answer, or the refresh token in a cookie that no script sees."""

from starlette.requests import Request
from starlette.responses import Response

from roost.access.principals import scopes_of
from roost.access.schemas import TokenRead, UserRead
from roost.access.sessions import Client, SignedIn

COOKIE = "roost_refresh"
COOKIE_PATH = "/api/v1/auth"


def client_address(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else "unknown"


def client_of(request: Request) -> Client:
    """What somebody signs in from."""
    return Client(client_address(request), request.headers.get("user-agent"))


def signed_in_answer(request: Request, response: Response, signed_in: SignedIn, *, in_cookie: bool) -> TokenRead:
    """The tokens of a session that was just opened or refreshed."""
    response.headers["Cache-Control"] = "no-store"
    if in_cookie:
        set_cookie(request, response, signed_in)
    return TokenRead(
        access_token=signed_in.access_token,
        expires_in=request.app.state.tokens.expires_in_s,
        refresh_token=None if in_cookie else signed_in.refresh_token,
        scope=" ".join(scopes_of(signed_in.grants)),
        user=UserRead.of(signed_in.user, signed_in.grants),
    )


def set_cookie(request: Request, response: Response, signed_in: SignedIn) -> None:
    """Keep the refresh token in the browser."""
    response.set_cookie(
        COOKIE, signed_in.refresh_token, max_age=request.app.state.sessions.lifetime_s, path=COOKIE_PATH,
        secure=request.url.scheme == "https", httponly=True, samesite="strict",
    )  # fmt: skip


def cleared_cookie(request: Request) -> str:
    """A `Set-Cookie` that takes the refresh token away again."""
    cleared = Response()
    cleared.delete_cookie(
        COOKIE, path=COOKIE_PATH, secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )
    return cleared.headers["set-cookie"]
