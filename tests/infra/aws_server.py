"""Runs aws-cli for the tests: `python -m …/aws_server.py SOCKET`, by the Python that has aws-cli.

A call of aws-cli takes a second of CPU, most of it for imports and for parsing the models of services. This process
does both once, and forks for each call. `CLIENT` is the program to call instead of `aws`, with fields for the Python
that runs it and for the socket's path.
"""

import array
import functools
import gc
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

SERVICES = (
    *("acm", "autoscaling", "cloudformation", "ec2", "elbv2", "iam", "kms", "logs", "resourcegroupstaggingapi"),
    *("s3", "secretsmanager", "service-quotas", "ssm", "sts", "cloudwatch", "budgets"),
)
CLIENT = """#!{python} -SI
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{path}")
    call = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    files = array.array("i", [0, 1, 2])
    server.sendmsg([len(call).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    server.sendall(call)
    sys.exit(int.from_bytes(server.recv(1) or b"\\xff", "big"))
"""


def main() -> None:
    """Serve until SIGTERM."""
    driver = _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen(64)
        while True:
            connection, _ = server.accept()
            arguments, environ, directory, files = _receive(connection)
            child = os.fork()
            if not child:
                server.close()
                os._exit(_run(driver, arguments, environ, directory, files))
            for file in files:
                os.close(file)
            threading.Thread(target=_answer, args=(connection, child), daemon=True).start()


def _warm_up() -> Any:
    import awscli.clidriver
    import awscli.customizations.s3.subcommands
    from botocore import xform_name
    from botocore.loaders import JSONFileLoader, Loader

    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)  # type: ignore[method-assign]
    JSONFileLoader.__hash__ = lambda _: 0  # type: ignore[method-assign]  # all loaders share the files
    JSONFileLoader.__eq__ = lambda *_: True  # type: ignore[method-assign]
    # These search all directories. None of the calls adds a service or a version.
    for name in ("list_available_services", "list_api_versions", "determine_latest_version"):
        setattr(Loader, name, _remembering(getattr(Loader, name)))
    loader = Loader()
    for service in SERVICES:
        for kind in ("service-2", "paginators-1", "waiters-2", "endpoint-rule-set-1"):
            if service in loader.list_available_services(type_name=kind):
                for operation in loader.load_service_model(service, kind).get("operations", ()):
                    xform_name(operation, "-")  # It remembers them.
                    xform_name(operation)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    driver = awscli.clidriver.create_clidriver()
    # The garbage collector writes to every object, and so each fork would copy them all.
    gc.collect()
    gc.freeze()
    return driver


def _remembering(method: Any) -> Any:
    known: dict[Any, Any] = {}

    @functools.wraps(method)
    def remembered(self: object, *arguments: Any, **named: Any) -> Any:
        key = (arguments, *named.items())
        if key not in known:
            known[key] = method(self, *arguments, **named)
        return known[key]

    return remembered


def _receive(connection: socket.socket) -> tuple[list[str], dict[str, str], str, list[int]]:
    files = array.array("i")
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * files.itemsize))
    for _, _, data in ancillary:
        files.frombytes(data)
    left, call = int.from_bytes(head, "big"), b""
    while len(call) < left:
        call += connection.recv(left - len(call))
    arguments, environ, directory = json.loads(call)
    return arguments, environ, directory, list(files)


def _run(driver: Any, arguments: list[str], environ: dict[str, str], directory: str, files: list[int]) -> int:
    code: Any = 255
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environ)
        # As awscli does when it is imported.
        awscli = sys.modules["awscli"]
        os.environ["AWS_DATA_PATH"] = os.pathsep.join(
            [str(Path(str(awscli.__file__)).parent / "data"), *filter(None, [environ.get("AWS_DATA_PATH")])]
        )
        os.chdir(directory)
        sys.argv = ["aws", *arguments]
        code = driver.main(arguments)
    except SystemExit as error:
        code = error.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _answer(connection: socket.socket, child: int) -> None:
    _, status = os.waitpid(child, 0)
    with connection:
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(1, "big") if status >= 0 else b"\xff")


if __name__ == "__main__":
    main()
