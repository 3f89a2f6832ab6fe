"""A program for a small board, run on this computer: paired over its standard input, it says in JSON how it went."""

import json
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.clients.conftest import pairing_code
from tests.conftest import UserClient
from tests.waiting import wait_until


class Board:
    """One run of the program; `with` ends it."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def pair(self, owner: UserClient, uid: str) -> int:
        """Type the code that the owner gets once the board has said hello; the device's id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("hello"), (said, self.process.communicate())
        code = pairing_code(owner, uid)
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        found = wait_until(lambda: owner.get("/devices", params={"q": uid}).json(), what="The paired board")
        return int(found[0]["id"])

    def result(self, timeout_s: float = 60) -> dict[str, Any]:
        """What the program says at its end."""
        said, complaints = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, (self.process.returncode, said, complaints)
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with self.process:
            pass
