"""Names of accounts: parts joined by colons, from the general to the particular."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z][a-z0-9-]*(?::[a-z0-9][a-z0-9-]*)*")


def validate(name: str) -> str:
    """The name itself. Raises ValueError when it is none."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not an account: {name!r}; write it as assets:bank")
    return name


def parents(name: str) -> list[str]:
    """The accounts that contain this one, the nearest last: ``a:b:c`` has ``a`` and ``a:b``."""
    parts = validate(name).split(":")
    return [":".join(parts[:count]) for count in range(1, len(parts))]
