"""What browsers see: the way from `/` to the web app, the web app's files, the API documents; all without network."""

import importlib.util
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

import roost
from roost.core.errors import NotFound

WEBAPP = Path(roost.__file__).parent / "webapp"

_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Roost</title></head>
<body><h1>The web app is not built yet</h1>
<p>The hub itself runs: the API answers under <code>/api/v1</code>, its description is at <a href="/docs">/docs</a>.</p>
<p>In a checkout, <code>make run</code> builds the web app and starts the hub. A released package brings it along.</p>
</body></html>
"""
_SWAGGER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Roost API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_SWAGGER_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
_REDOC = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Roost API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"></head>
<body><redoc spec-url="/openapi.json" disable-search="true"></redoc>
<script src="/docs/redoc.standalone.js"></script></body></html>
"""
# These two viewers put styles into the page themselves; nothing else here may, and scripts stay our own.
_DOCS_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_DOCS_HEADERS = {"Content-Security-Policy": _DOCS_POLICY, "Cache-Control": "no-cache"}
_DOCS_ASSETS = {"swagger-ui.css", "swagger-ui-bundle.js", "redoc.standalone.js"}


def install(app: FastAPI, webapp: Path = WEBAPP) -> None:
    """Add the pages to the application."""

    async def serve_webapp(request: Request) -> Response:
        return _webapp_file(webapp, request.path_params.get("path", ""))

    app.router.routes.extend(
        [
            Route("/", _front_door, include_in_schema=False),
            Route("/app", _to_webapp, include_in_schema=False),
            Route("/app/{path:path}", serve_webapp, include_in_schema=False),
            Route("/docs", _swagger, include_in_schema=False),
            Route("/docs/{name}", _docs_asset, include_in_schema=False),
            Route("/redoc", _redoc, include_in_schema=False),
        ]
    )


async def _front_door(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/app/", status_code=307, headers={"Vary": "Accept"})
    answer = {"name": "roost", "version": roost.__version__, "status": "ok"}
    return JSONResponse(answer, headers={"Vary": "Accept"})


async def _to_webapp(_request: Request) -> Response:
    return RedirectResponse("/app/", status_code=308)


def _webapp_file(webapp: Path, path: str) -> Response:
    root = webapp.resolve()
    wanted = (root / path).resolve() if "\0" not in path else root
    if wanted.is_relative_to(root) and wanted.is_file() and wanted.name != "index.html":
        # Names under assets/ change with their content, everything else may change under its name.
        kept = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
        return FileResponse(wanted, headers={"Cache-Control": kept})
    if path.startswith("assets/"):
        raise NotFound("There is no such file in the web app; reload the page.")
    index = root / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT, status_code=503)
    # Every other address is one of the web app's own pages.
    return FileResponse(index, headers={"Cache-Control": "no-cache"})


async def _swagger(_request: Request) -> Response:
    return HTMLResponse(_SWAGGER, headers=_DOCS_HEADERS)


async def _redoc(_request: Request) -> Response:
    return HTMLResponse(_REDOC, headers=_DOCS_HEADERS)


async def _docs_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "start.js":
        return Response(_SWAGGER_START, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
    # Only the viewers' files are wanted from that package, not its code.
    package = importlib.util.find_spec("fastapi_offline")
    if name not in _DOCS_ASSETS or package is None or package.origin is None:
        raise NotFound("There is nothing at this address.")
    return FileResponse(Path(package.origin).parent / "static" / name, headers={"Cache-Control": "max-age=86400"})
