"""All endpoints of this room."""

from fastapi import APIRouter, Depends

from roost.access.credentials import (
    api_token_endpoints,
    oidc_endpoints,
    passkey_endpoints,
    password_endpoints,
    session_endpoints,
    totp_endpoints,
)
from roost.core.http import reject_unknown_query

router = APIRouter()
for _part in (
    password_endpoints.router,
    session_endpoints.router,
    api_token_endpoints.router,
    totp_endpoints.router,
    passkey_endpoints.router,
):
    router.include_router(_part, dependencies=[Depends(reject_unknown_query)])
# Decides for itself: providers add parameters of their own to what they answer.
router.include_router(oidc_endpoints.router)
