"""The two ways to call a script: as a function that an administrator has loaded, and by its hash (EVALSHA).

Redis users of `jobqueue.acl` may only call functions. Everybody else's servers have no functions of this package. Which
way is open is found out with the first call (docs/decisions/0031).
"""

import re
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

_DENIED = re.compile(r"permissions to run the '(fcall|evalsha|eval)' command", re.IGNORECASE)
_NO_FUNCTION = re.compile(r"^(?:ERR )?(?:Function not found|unknown command '?`?fcall)", re.IGNORECASE)


def cannot_call(reply: Any) -> bool:
    """Return whether nothing has run, because this way to call scripts is closed to the user or on the server."""
    return isinstance(reply, ResponseError) and (_is_denied(reply) or lacks_function(reply))


def lacks_function(reply: Any) -> bool:
    """Return whether the server does not have the function, or is too old to have any."""
    return isinstance(reply, ResponseError) and _NO_FUNCTION.match(str(reply)) is not None


def _is_denied(reply: ResponseError) -> bool:
    return isinstance(reply, NoPermissionError) and _DENIED.search(str(reply)) is not None
