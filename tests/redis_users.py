"""Redis users of `jobqueue.acl` on one server without cluster mode. Each has its role's name as its password."""

from jobqueue.acl import PLAIN_PREFIX, render_acl_file, roles
from workmanager.local.valkey import ValkeyServer


def create_users(server: ValkeyServer) -> None:
    """Create the users of all roles; `default` can still do everything."""
    _, *users = render_acl_file({role: [role] for role in roles()}, PLAIN_PREFIX).splitlines()
    for user in users:
        server.command("ACL", "SETUSER", *user.split()[1:])


def url(server: ValkeyServer, role: str) -> str:
    """Return the server's URL for the user of a role."""
    return f"redis://{role}:{role}@127.0.0.1:{server.port}"
