"""Topics of another broker: patterns with names in braces, and what the names stand for. Pure functions.

`zigbee2mqtt/{device}` fits `zigbee2mqtt/kitchen` and says that `device` is `kitchen`; a name takes a whole level or a
part of one (`shelly-{device}`). `+` and `#` fit what MQTT says they fit, and name nothing.
"""

import re
from dataclasses import dataclass
from functools import cached_property

LONGEST_TOPIC = 512
_NAME = re.compile(r"\{([a-z][a-z0-9_]{0,30})\}")
_UNFIT_FOR_UID = re.compile(r"[^A-Za-z0-9._:-]+")
_UID = re.compile(r"[A-Za-z0-9._:-]{3,64}")


@dataclass(frozen=True)
class TopicPattern:
    """A pattern that `parse_pattern` has found to be one."""

    text: str

    @cached_property
    def filter(self) -> str:
        """What is subscribed to: names become `+`."""
        return "/".join("+" if _NAME.search(level) else level for level in self.text.split("/"))

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(_NAME.findall(self.text))

    def match(self, topic: str) -> dict[str, str] | None:
        """What the names stand for in `topic`; None when it does not fit."""
        found = self._expression.fullmatch(topic)
        return None if found is None else found.groupdict()

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        levels = self.text.split("/")
        rest = levels[-1] == "#"
        expression = "/".join(_level(level) for level in (levels[:-1] if rest else levels))
        if rest:
            expression = f"{expression}(?:/.*)?" if expression else r"(?!\$).*"
        return re.compile(expression, re.DOTALL)


def parse_pattern(text: str) -> TopicPattern:
    """Raises ValueError, with a sentence, for what is no pattern."""
    if not 0 < len(text) <= LONGEST_TOPIC or "\0" in text:
        raise ValueError(f"a topic has 1 to {LONGEST_TOPIC} characters")
    levels = text.split("/")
    if "#" in "".join(levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        raise ValueError("# stands alone, and only at the end")
    if any("+" in level and level != "+" for level in levels):
        raise ValueError("+ stands alone in its level")
    if levels[0] == "$share":
        raise ValueError("shared subscriptions do not keep messages in order; leave $share out")
    named = _NAME.findall(text)
    if len(named) != len(set(named)):
        raise ValueError("each name in braces appears once")
    if any("{" in part or "}" in part for part in _NAME.split(text)[::2]):
        raise ValueError("names in braces are like {device}: small letters, digits and _")
    if any(len(_NAME.findall(level)) > 1 and re.search(r"\}\{", level) for level in levels):
        raise ValueError("between two names of one level there has to be something")
    return TopicPattern(text)


def names_in(template: str) -> frozenset[str]:
    """The names in braces of a template such as `z2m-{device}`; raises ValueError for braces that hold none."""
    if any("{" in part or "}" in part for part in _NAME.split(template)[::2]):
        raise ValueError("names in braces are like {device}: small letters, digits and _")
    return frozenset(_NAME.findall(template))


def fill(template: str, values: dict[str, str]) -> str:
    """The template with what its names stand for."""
    return _NAME.sub(lambda name: values[name.group(1)], template)


def device_uid_of(template: str, values: dict[str, str]) -> str | None:
    """The uid that a filled template spells; None when a device cannot be called so.

    What a uid may not contain becomes a hyphen: topics hold blanks, brackets and letters of every language.
    """
    uid = _UNFIT_FOR_UID.sub("-", fill(template, values))
    return uid if _UID.fullmatch(uid) and not uid.isdecimal() else None


def _level(level: str) -> str:
    if level == "+":
        return "[^/]*"
    parts = _NAME.split(level)
    # Every second part is a name.
    return "".join(
        f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )  # fmt: skip
