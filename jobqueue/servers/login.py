"""Whose user a program logs in to Redis with, and what is said when Redis denies that user a command."""

from dataclasses import dataclass

ROLES = frozenset({"manager", "worker", "replica", "administrator", "operator"})
"""The users of `jobqueue.acl`. A test compares them."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user, and where it comes from.

    Attributes:
        user: the Redis user.
        setting: what gives the URL with that user, such as `WORKMANAGER_REDIS_URL of a manager`.
        role: the role of `jobqueue.acl` whose rights the program needs.
    """

    user: str = "default"
    setting: str = "WORKMANAGER_REDIS_URL"
    role: str = "manager"

    def denied(self, server: str, request: str, text: str) -> str:
        """Return one line: what Redis refuses, to whom, and what to do.

        Args:
            server: its address.
            request: what the command is for, or its name.
            text: Redis' own words.
        """
        refusal = f"Redis at {server} refuses user {self.user} what {request} needs ({text})"
        if self.user in ROLES - {self.role}:
            return f"{refusal}: {self.setting} takes the user of the role {self.role}, not {self.user}"
        remedy = "write the users file again with python -m jobqueue.acl, and have every server load it (ACL LOAD)"
        if self.user == self.role:
            return f"{refusal}: {remedy}"
        return (
            f"{refusal}: {self.setting} takes a user with the rights of the role {self.role}; if it has them, {remedy}"
        )
