"""All endpoints of this room."""

from roost.access.credentials import (
    api_token_endpoints,
    oidc_endpoints,
    passkey_endpoints,
    password_endpoints,
    session_endpoints,
    totp_endpoints,
)
from roost.core.routers import gather

router = gather(
    [
        password_endpoints.router,
        session_endpoints.router,
        api_token_endpoints.router,
        totp_endpoints.router,
        passkey_endpoints.router,
        oidc_endpoints.router,
    ]
)
