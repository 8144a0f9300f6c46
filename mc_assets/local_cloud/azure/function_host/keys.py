"""Which keys open which function, compared in constant time."""

import hmac
from collections.abc import Iterable

from mc_assets.local_cloud.azure.function_host.records import AppKeys, FunctionInfo


class KeyRing:
    """The app's keys, ready to compare with what a request presents."""

    def __init__(self, keys: AppKeys) -> None:
        self._master = _encoded([keys.master])
        self._host = _encoded(keys.host.values())
        self._function = {
            name.lower(): _encoded(own.values()) for name, own in keys.function.items()
        }

    def opens(self, function: FunctionInfo, presented: str | None) -> bool:
        """Whether a request with this key may call the function.

        source: Microsoft Learn, "Azure Functions HTTP trigger", authorization keys.
        """
        if function.auth_level == "anonymous":
            return True
        if function.auth_level == "admin":
            return self.is_master(presented)
        own = self._function.get(function.name.lower(), [])
        return _among(presented, [*self._master, *self._host, *own])

    def is_master(self, presented: str | None) -> bool:
        return _among(presented, self._master)


def _encoded(values: Iterable[str]) -> list[bytes]:
    return [value.encode() for value in values]


def _among(presented: str | None, keys: list[bytes]) -> bool:
    # An app without a master key has an empty one, which must not open to an empty header.
    if not presented:
        return False
    given = presented.encode()
    found = False
    # Every key is compared, so that the time taken does not tell which one matched.
    for key in keys:
        found |= hmac.compare_digest(given, key)
    return found
