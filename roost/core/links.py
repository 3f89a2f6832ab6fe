"""Links into the web app that carry a secret."""

from starlette.requests import Request

from roost.core.settings import Settings


def app_link(request: Request, page: str, secret: str) -> str:
    """`https://…/app/<page>#<secret>`: what stands behind the `#` reaches no server and no server's log.

    It starts with `ROOST_PUBLIC_URL`, or else with the address that this request came to; what is mailed needs the
    former, since whoever makes a request can claim any address.
    """
    settings: Settings = request.app.state.settings
    base = settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}/app/{page}#{secret}"
