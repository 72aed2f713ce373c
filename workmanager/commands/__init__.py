"""One module for each command of `workmanager`, and what their arguments and output share."""

from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("workmanager.commands.up", "run the whole system on this machine"),
    "manager": ("workmanager.commands.manager", "run one manager"),
    "worker": ("workmanager.commands.worker", "run one worker"),
    "submit": ("workmanager.commands.submit", "submit jobs"),
    "pull": ("workmanager.commands.pull", "pull completed results"),
    "ack": ("workmanager.commands.ack", "acknowledge results that were pulled with a lease"),
    "status": ("workmanager.commands.status", "count jobs and workers"),
    "queues": ("workmanager.commands.queues", "list the queues, pause or resume one"),
    "workers": ("workmanager.commands.workers", "list the workers, let one drain"),
    "jobs": ("workmanager.commands.jobs", "list jobs"),
    "job": ("workmanager.commands.job", "show one job"),
    "explain": ("workmanager.commands.explain", "say why a job does not run"),
    "operations": ("workmanager.commands.operations", "requeue, cancel or delete all jobs that match"),
    "wait": ("workmanager.commands.wait", "wait until jobs have ended, and show each"),
    "logs": ("workmanager.commands.logs", "show what a job has logged"),
    "events": ("workmanager.commands.events", "show what happens to jobs as it happens"),
    "cancel": ("workmanager.commands.cancel", "cancel waiting jobs, and stop running ones"),
    "requeue": ("workmanager.commands.requeue", "run ended jobs again"),
    "delete": ("workmanager.commands.delete", "delete jobs"),
    "schedule": ("workmanager.commands.schedule", "list, change, pause, trigger and preview schedules"),
    "scaler": ("workmanager.commands.scaler", "show the scaler, pause it, or set its limits"),
    "keys": ("workmanager.commands.keys", "create, list, roll and revoke API keys"),
    "workflow": ("workmanager.commands.workflow", "submit, show, cancel and retry graphs of jobs"),
    "callbacks": ("workmanager.commands.callbacks", "list callbacks, and send them again"),
    "listen": ("workmanager.commands.listen", "print callbacks, or forward them to a URL on this machine"),
    "limits": ("workmanager.commands.limits", "list and set limits of how many jobs run"),
    "contexts": ("workmanager.commands.contexts", "list the systems of the file of settings"),
    "audit": ("workmanager.commands.audit", "list who changed what"),
    "top": ("workmanager.commands.top", "watch queues, workers, instances and decisions"),
    "doctor": ("workmanager.commands.doctor", "find out what is wrong, and say what to do"),
    "completion": ("workmanager.commands.completion", "print completions for bash, zsh or fish"),
    "metrics": ("workmanager.commands.metrics", "print the metrics of a manager"),
}
"""Module and summary of each command. The module has `main(arguments) -> exit code`, and is imported only if needed."""
SERVER_COMMANDS = frozenset({"up", "manager", "worker"})
"""Those that need more than a client: the packages of the extra `server`."""
