"""The HTTP API of the simulated AWS: moto, behind a layer that adds the EC2 behaviour that moto lacks."""

import base64
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.test import run_wsgi_app

from tests.ec2.event_log import EventLog
from tests.ec2.faults import ApiError, Faults
from tests.ec2.moto_region import MotoRegion
from tests.ec2.permissions import accesses_of, raise_unless_allowed, role_policies
from tests.ec2.run_instances import ApiAnswer, AskMoto, InstanceLauncher, QueryForm
from tests.ec2.service_permissions import accesses_elsewhere

_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_SHUTTING_DOWN = ("shutting-down", 32)
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15"


class Ec2Api:
    """The API as a WSGI application.

    Attributes:
        lock: held while a call takes effect, so that calls take effect one after the other.
        regions: the regions used so far, by name.
        read_console: returns the console output of a really running instance, given its id.
    """

    def __init__(self, faults: Faults, events: EventLog, *, instances_linger: bool) -> None:
        """`instances_linger`: whether a terminated instance stays `shutting-down` until its machine is off."""
        self.lock = threading.RLock()
        self.regions: dict[str, MotoRegion] = {}
        self.read_console: Callable[[str], str] = lambda _: ""
        self._faults = faults
        self._events = events
        self._instances_linger = instances_linger
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._launchers: dict[str, InstanceLauncher] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None or scope[3] != "ec2" or environ["REQUEST_METHOD"] != "POST":
            return self._serve_elsewhere(scope, environ, start_response)
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        form = dict(parse_qsl(content.decode(), keep_blank_values=True))
        try:
            status, answer = self._serve(form["Action"], form, environ, scope)
        except ApiError as error:
            self._events.errors[error.code] += 1
            status, answer = error.status, _error_document(error)
        answer = self._faults.spoiled(form["Action"], answer)
        if self._faults.drops_answer(form["Action"]):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(f"{status} .", [("Content-Type", "text/xml"), ("Content-Length", str(len(answer)))])
        return [answer]

    def _serve_elsewhere(
        self, scope: re.Match[str] | None, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request to another service."""
        if scope is not None and (policies := role_policies(scope[1], scope[2])) is not None:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            try:
                raise_unless_allowed(policies, accesses_elsewhere(scope[3], scope[2], environ, body))
            except ApiError as error:
                self._events.errors["AccessDenied"] += 1
                answer = f"<Error><Code>AccessDenied</Code><Message>{escape(error.message)}</Message></Error>".encode()
                start_response("403 Forbidden", [("Content-Type", "text/xml"), ("Content-Length", str(len(answer)))])
                return [answer]
        return cast("Iterable[bytes]", self._moto(environ, start_response))

    def _serve(self, action: str, form: QueryForm, environ: dict[str, Any], scope: re.Match[str]) -> ApiAnswer:
        access_key, region_name, _ = scope.groups()
        self._faults.raise_if_refused(action)
        self._faults.wait_if_held(action, after_effect=False)
        if action == "TerminateInstances":
            # Before taking the lock, because the callback may inspect the machines.
            self._events.before_termination(_ids(form))
        with self.lock:
            region = self.regions.setdefault(region_name, MotoRegion(region_name))
            if (policies := role_policies(access_key, region.name)) is not None:
                raise_unless_allowed(policies, accesses_of(action, form, region))
            answer = self._take_effect(action, form, environ, region)
        self._events.calls[action] += 1
        self._faults.wait_if_held(action, after_effect=True)
        return answer

    def _take_effect(self, action: str, form: QueryForm, environ: dict[str, Any], region: MotoRegion) -> ApiAnswer:
        moto = partial(self._call_moto, environ)
        match action:
            case "RunInstances":
                launcher = self._launchers.setdefault(region.name, InstanceLauncher(region, self._faults, self._events))
                return launcher.run(form, moto)
            case "TerminateInstances":
                return self._terminate(form, region, moto)
            case "DescribeInstances":
                return self._describe(form, region, moto)
            case "GetConsoleOutput":
                return 200, _console_document(form["InstanceId"], self._console(form, region))
            case _:
                return moto(form)

    def _console(self, form: QueryForm, region: MotoRegion) -> str:
        """Return the console's text. Unless asked for the latest, EC2 tells what was posted shortly after the instance
        last started or ended: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
        """
        instance_id = form["InstanceId"]
        if form.get("Latest") != "true" and region.is_alive(instance_id):
            return ""
        return self.read_console(instance_id)

    def _terminate(self, form: QueryForm, region: MotoRegion, moto: AskMoto) -> ApiAnswer:
        alive = [id_ for id_ in _ids(form) if id_ in region.instance_ids() and region.is_alive(id_)]
        answer = moto(form)
        if answer[0] == 200:
            for instance_id in alive:
                self._events.record_end(instance_id, "terminated")
                if self._instances_linger:
                    region.set_state(instance_id, *_SHUTTING_DOWN)
        return answer

    def _describe(self, form: QueryForm, region: MotoRegion, moto: AskMoto) -> ApiAnswer:
        ages = {launch.instance_id: time.monotonic() - launch.launched_at for launch in self._events.launches}
        hidden = {id_ for id_ in region.instance_ids() if self._faults.is_hidden(id_, ages.get(id_, 0.0))}
        for instance_id in _ids(form):
            if instance_id in hidden:
                raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        status, content = moto(form)
        return status, _without(content, hidden) if hidden and status == 200 else content

    def _call_moto(self, environ: dict[str, Any], form: QueryForm) -> ApiAnswer:
        content = urlencode(form).encode()
        inner = {**environ, "wsgi.input": io.BytesIO(content), "CONTENT_LENGTH": str(len(content))}
        parts, status, _ = run_wsgi_app(self._moto, inner)
        answer = int(status.split()[0]), b"".join(parts)
        if answer[0] != 200 and (code := re.search(rb"<Code>([^<]+)", answer[1])):
            self._events.errors[code[1].decode()] += 1
        return answer


def _ids(form: QueryForm) -> Sequence[str]:
    return [value for name, value in form.items() if re.fullmatch(r"InstanceId\.\d+", name)]


def _error_document(error: ApiError) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        "</Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
    ).encode()


def _console_document(instance_id: str, text: str) -> bytes:
    # EC2 keeps the last 64 KiB.
    output = base64.b64encode(text.encode()[-65_536:]).decode()
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<GetConsoleOutputResponse xmlns="{_NAMESPACE}/">'
        f"<instanceId>{instance_id}</instanceId><output>{output}</output></GetConsoleOutputResponse>"
    ).encode()


def _without(content: bytes, hidden: set[str]) -> bytes:
    """Return the description without these instances."""
    ElementTree.register_namespace("", _NAMESPACE)
    document = ElementTree.fromstring(content)
    name = f"{{{_NAMESPACE}}}"
    for reservations in document.iter(f"{name}reservationSet"):
        for reservation in list(reservations):
            instances = reservation.find(f"{name}instancesSet")
            for instance in list(instances if instances is not None else ()):
                if instance.findtext(f"{name}instanceId") in hidden:
                    instances.remove(instance)  # type: ignore[union-attr]  # not None: it was iterated over above
            if instances is not None and not len(instances):
                reservations.remove(reservation)
    changed: bytes = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return changed
