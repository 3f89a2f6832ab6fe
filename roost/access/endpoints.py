"""Signing in, staying signed in, signing out."""

from typing import Annotated, Any, TypeVar

from fastapi import Body, Cookie, Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from roost.access.answers import COOKIE, cleared_cookie, client_of, signed_in_answer
from roost.access.audit.refusals import SIGN_IN_NAME
from roost.access.authentication import UserAuthentication
from roost.access.dependencies import bearer, ensure_signed_in
from roost.access.schemas import LoginForm, LoginRequest, RefreshRequest, TokenRead
from roost.access.sessions import Sessions
from roost.core.errors import Malformed, Unauthorized
from roost.core.problems import problem_responses
from roost.core.routers import api_router

router = api_router("accounts", prefix="/auth")

Model = TypeVar("Model", bound=BaseModel)
RefreshCookie = Annotated[
    str | None, Cookie(alias=COOKIE, max_length=512, description="The refresh token, in a browser.")
]

_LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": LoginRequest.model_json_schema()},
            "application/x-www-form-urlencoded": {"schema": LoginForm.model_json_schema()},
        },
    }
}


@router.post(
    "/login",
    operation_id="login",
    summary="Sign in",
    responses=problem_responses(400, 401, 408, 413, 429),
    openapi_extra=_LOGIN_BODY,
)
async def login(request: Request, response: Response) -> TokenRead:
    """With JSON, or with the OAuth2 password form. A wrong password and an unknown name get the same answer.

    Whoever has set up a second factor gets 401 `second_factor_required` for the right password alone, and sends it
    once more together with `code`.
    """
    credentials = await _credentials(request)
    request.scope[SIGN_IN_NAME] = credentials.name
    sessions: Sessions = request.app.state.sessions
    signed_in = await sessions.sign_in(credentials.name, credentials.password, client_of(request), credentials.code)
    return signed_in_answer(request, response, signed_in, in_cookie=credentials.cookie)


@router.post("/refresh", operation_id="refresh", summary="Exchange the refresh token", responses=problem_responses(401))
async def refresh(
    request: Request,
    response: Response,
    cookie: RefreshCookie = None,
    body: Annotated[RefreshRequest | None, Body()] = None,
) -> TokenRead:
    """Each refresh token is good once; using one a second time ends the session."""
    given = body.refresh_token if body else None
    token = given or cookie
    if not token:
        raise Unauthorized("Send the refresh token in the body or as cookie.", code="no_refresh_token")
    sessions: Sessions = request.app.state.sessions
    try:
        signed_in = await sessions.refresh(token, client_of(request))
    except Unauthorized as error:
        if not given:
            error.headers["Set-Cookie"] = cleared_cookie(request)
        raise
    return signed_in_answer(request, response, signed_in, in_cookie=not given)


@router.post(
    "/logout", operation_id="logout", status_code=204, summary="Sign out", responses=problem_responses(401, 403)
)
async def logout(
    request: Request,
    response: Response,
    access_token: Annotated[str | None, Depends(bearer)],
    cookie: RefreshCookie = None,
    body: Annotated[RefreshRequest | None, Body()] = None,
) -> None:
    """End the session of the refresh token (body or cookie), or else of the access token."""
    sessions: Sessions = request.app.state.sessions
    refresh_token = (body.refresh_token if body else None) or cookie
    response.headers["Set-Cookie"] = cleared_cookie(request)
    if refresh_token:
        await sessions.sign_out(refresh_token)
    elif not access_token:
        raise Unauthorized("Nobody is signed in here.")
    if access_token:
        principal = await _principal_or_none(request, access_token, required=not refresh_token)
        if principal is not None:
            await sessions.end(principal)


async def _principal_or_none(request: Request, access_token: str, *, required: bool) -> int | None:
    try:
        authentication: UserAuthentication = request.app.state.authentication
        return ensure_signed_in(await authentication.authenticate(access_token))
    except Unauthorized:
        if required:
            raise
        return None


async def _credentials(request: Request) -> LoginRequest:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        fields = {name: value for name, value in (await request.form()).items() if not isinstance(value, UploadFile)}
        form = _validated(LoginForm, fields)
        return LoginRequest(identifier=form.username, password=form.password, code=form.code)
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise Malformed("The body is not valid JSON.", code="malformed_json") from None
    return _validated(LoginRequest, body)


def _validated(model: type[Model], body: object) -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError([{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()]) from None
