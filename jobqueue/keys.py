"""Every Redis key that Python code uses; docs/redis-keys.md is the schema.

All keys of a shard begin with its prefix, such as `rq` or `{rq:7}`. The first group is RQ's own; the second, under
`:wm:`, is ours. Lua scripts build the same keys from the prefix that they get as KEYS[1].
"""

LAYOUT = "workmanager:layout"
LAYOUT_MARK = f"{{{LAYOUT}}}:mark"
"""Touched to have something to WAIT for, in the slot of `LAYOUT`."""


def queues(prefix: str) -> str:
    """Set of the keys of all queues."""
    return f"{prefix}:queues"


def queue(prefix: str, name: str) -> str:
    """List of the ids that wait in a queue; the head is next."""
    return f"{prefix}:queue:{name}"


def job(prefix: str, job_id: str) -> str:
    """Hash: the record of a job."""
    return f"{prefix}:job:{job_id}"


def results(prefix: str, job_id: str) -> str:
    """Stream of what a job's attempts returned or raised."""
    return f"{prefix}:results:{job_id}"


def execution(prefix: str, job_id: str, token: str) -> str:
    """Hash: one attempt that has run for longer than a second."""
    return f"{prefix}:execution:{job_id}:{token}"


def executions(prefix: str, job_id: str) -> str:
    """Sorted set of a job's executions."""
    return f"{prefix}:executions:{job_id}"


def registry(prefix: str, status: str, queue_name: str) -> str:
    """Sorted set of a queue's jobs in one state, by RQ's name for it: wip, scheduled, deferred, ready, finished, …."""
    return f"{prefix}:{status}:{queue_name}"


def intermediate(prefix: str, queue_name: str) -> str:
    """List of the ids that plain RQ workers have taken from the queue and not begun."""
    return f"{queue(prefix, queue_name)}:intermediate"


def workers(prefix: str) -> str:
    """Set of the keys of all workers."""
    return f"{prefix}:workers"


def workers_of_queue(prefix: str, queue_name: str) -> str:
    """Set of the keys of the workers that serve a queue."""
    return f"{prefix}:workers:{queue_name}"


def worker(prefix: str, name: str) -> str:
    """Hash: the record of a worker."""
    return f"{prefix}:worker:{name}"


def rate_limits(prefix: str) -> str:
    """Set of the keys of RQ's rate limits."""
    return f"{prefix}:rl-keys"


def rate_limit(prefix: str, limit_key: str) -> str:
    """Hash: how many jobs of a rate limit can be queued or run at a time."""
    return f"{prefix}:rl:{limit_key}"


def rate_limit_places(prefix: str, limit_key: str) -> str:
    """Sorted set of the jobs that hold the places of a rate limit: they are queued or run."""
    return f"{prefix}:rl:{limit_key}:allowed"


def rate_limit_waiting(prefix: str, limit_key: str) -> str:
    """Sorted set of the jobs that wait for a place of a rate limit."""
    return f"{prefix}:rl:{limit_key}:rate_limited"


def suspended(prefix: str) -> str:
    """RQ's switch that keeps all workers from taking jobs."""
    return f"{prefix}:suspended"


def pubsub(prefix: str, worker_name: str) -> str:
    """Channel of RQ's commands to a worker."""
    return f"{prefix}:pubsub:{worker_name}"


def leases(prefix: str) -> str:
    """Sorted set of `id:token` of claimed jobs by the end of their lease."""
    return f"{prefix}:wm:leases"


def claim(prefix: str, worker_name: str) -> str:
    """List: token and ids of a worker's last claim, for its repetition."""
    return f"{prefix}:wm:claim:{worker_name}"


def wake(prefix: str, queue_name: str) -> str:
    """List of wake-ups for idle workers that name a queue; for the queue `*`, of workers that serve every queue."""
    return f"{prefix}:wm:wake:{queue_name}"


def turns(prefix: str) -> str:
    """Sorted set of the queues that may have jobs, in the order in which workers that serve all take them."""
    return f"{prefix}:wm:turns"


def paused(prefix: str) -> str:
    """Hash: since when a queue is paused, by its name."""
    return f"{prefix}:wm:paused"


def commands(prefix: str, worker_name: str) -> str:
    """List of messages to a worker."""
    return f"{prefix}:wm:commands:{worker_name}"


def rq_command(prefix: str, worker_name: str, digest: str) -> str:
    """Mark that a manager passes on a command that an RQ client has sent to a worker; `digest` is of its content."""
    return f"{prefix}:wm:rq-command:{worker_name}:{digest}"


def heartbeats(prefix: str) -> str:
    """Sorted set of our workers by their last heartbeat."""
    return f"{prefix}:wm:workers"


def clean_exit(prefix: str, worker_name: str) -> str:
    """Mark that a worker has left in order."""
    return f"{prefix}:wm:left:{worker_name}"


def fence(prefix: str, worker_name: str) -> str:
    """Mark that a worker gets no more jobs."""
    return f"{prefix}:wm:closed:{worker_name}"


def manager_heartbeat(prefix: str) -> str:
    """When a manager was last alive."""
    return f"{prefix}:wm:heard"


def dependents(prefix: str, job_id: str) -> str:
    """Set of the ids of jobs of plain RQ clients that wait for this one (RQ's)."""
    return f"{prefix}:job:{job_id}:dependents"


def dependencies(prefix: str, job_id: str) -> str:
    """Set of the ids of jobs for which a job of a plain RQ client waits (RQ's; the key has two colons)."""
    return f"{prefix}:job::{job_id}:dependencies"


def ended_rq_parents(prefix: str) -> str:
    """Hash: ended jobs on which jobs of plain RQ clients depend that are still to be told; how each has ended."""
    return f"{prefix}:wm:rq-parents"


def group(prefix: str, name: str) -> str:
    """Set of the ids of a group's jobs (RQ's)."""
    return f"{prefix}:group:{name}"


def open_parents(prefix: str, job_id: str) -> str:
    """Hash: the jobs that a deferred one still waits for, each with `finished` or `ended`."""
    return f"{prefix}:wm:parents:{job_id}"


def children(prefix: str, job_id: str) -> str:
    """Hash: the jobs that wait for this one, each with the prefix of its shard."""
    return f"{prefix}:wm:children:{job_id}"


def canceled_children(prefix: str, job_id: str) -> str:
    """Hash: the jobs that were told that this one will not finish, each with the prefix of its shard."""
    return f"{prefix}:wm:canceled-children:{job_id}"


def registering(prefix: str) -> str:
    """Sorted set of deferred jobs that some parent may not know of yet, by when they were written."""
    return f"{prefix}:wm:registering"


def parents_to_settle(prefix: str) -> str:
    """Hash: jobs whose end (or return) those that wait for them have not been told yet, each with its status."""
    return f"{prefix}:wm:settle"


def log(prefix: str, job_id: str) -> str:
    """Stream: the lines that a job has logged, the last ones."""
    return f"{prefix}:wm:log:{job_id}"


def changes(prefix: str) -> str:
    """Stream of what changes in jobs, the last entries; written while `watched` is there."""
    return f"{prefix}:wm:changes"


def watched(prefix: str) -> str:
    """Mark that a manager watches what changes in jobs."""
    return f"{prefix}:wm:watched"


def lane(prefix: str, queue_name: str, name: str) -> str:
    """List of the jobs of a queue that have the same limits and fair key; the head is next."""
    return f"{prefix}:wm:lane:{queue_name}:{name}"


def ring(prefix: str, queue_name: str) -> str:
    """Sorted set of the lanes of a queue from which a job may be taken, in turn."""
    return f"{prefix}:wm:ring:{queue_name}"


def later(prefix: str, queue_name: str) -> str:
    """Sorted set of the lanes of a queue that wait for a rate, by when it allows the next job."""
    return f"{prefix}:wm:later:{queue_name}"


def limits(prefix: str) -> str:
    """Sorted set of the keys of all limits, by when a job was last taken under it."""
    return f"{prefix}:wm:limits"


def limit(prefix: str, key: str) -> str:
    """Hash: the numbers of a limit, and what has been used of its rate."""
    return f"{prefix}:wm:limit:{key}"


def limit_holders(prefix: str, key: str) -> str:
    """Sorted set of the jobs that run under a limit, by since when."""
    return f"{prefix}:wm:limit-holders:{key}"


def limit_blocked(prefix: str, key: str) -> str:
    """Set of the lanes that wait for a place of a limit, each with its queue."""
    return f"{prefix}:wm:limit-blocked:{key}"


def workflow(prefix: str, workflow_id: str) -> str:
    """Hash: a workflow: its state, and its jobs by their local names."""
    return f"{prefix}:wm:workflow:{workflow_id}"


def label(prefix: str, text: str) -> str:
    """Sorted set of the jobs with a label (`name:value`) by when they were submitted."""
    return f"{prefix}:wm:label:{text}"


def labels(prefix: str) -> str:
    """Sorted set of the labels of jobs, by when each is to be looked at next."""
    return f"{prefix}:wm:labels"


def feed(prefix: str) -> str:
    """Sorted set of completed jobs to be pulled, by their sequence number."""
    return f"{prefix}:wm:feed"


def feed_leases(prefix: str) -> str:
    """Sorted set of results pulled with a lease, by its end."""
    return f"{prefix}:wm:feed:leases"


def feed_sequence(prefix: str) -> str:
    """The last sequence number of the feed."""
    return f"{prefix}:wm:feed:sequence"


def feed_wake(prefix: str) -> str:
    """List with one entry while results wait: managers block on it for long polls."""
    return f"{prefix}:wm:feed:bell"


def callback(prefix: str, callback_id: str) -> str:
    """Hash: an entry of the outbox of callbacks."""
    return f"{prefix}:wm:callback:{callback_id}"


def callbacks(prefix: str, status: str) -> str:
    """Sorted set of the ids of callbacks by time; `status` is waiting, delivered or dead."""
    return f"{prefix}:wm:callbacks:{status}"


def callback_hosts(prefix: str) -> str:
    """Sorted set of the hosts that callbacks wait for, by the time at which something can be done for them."""
    return f"{prefix}:wm:callbacks:hosts"


def callback_lane(prefix: str, host: str) -> str:
    """Sorted set of the ids of callbacks that wait for a host, by the time at which they are due."""
    return f"{prefix}:wm:callbacks:lane:{host}"


def callbacks_in_flight(prefix: str, host: str) -> str:
    """Sorted set of the ids of callbacks that are being sent to a host, by the end of their lease."""
    return f"{prefix}:wm:callbacks:sending:{host}"


def callback_host(prefix: str, host: str) -> str:
    """Hash: failures of a host in a row, and until when it is left alone."""
    return f"{prefix}:wm:callbacks:host:{host}"


def callback_counts(prefix: str) -> str:
    """Hash: attempts that delivered a callback or failed, callbacks given up, and dropped."""
    return f"{prefix}:wm:callbacks:counts"


def counter(prefix: str, what: str) -> str:
    """Hash: a count by function; `what` is enqueued, finished, failed, stopped or seconds."""
    return f"{prefix}:wm:{what}"


def times(prefix: str) -> str:
    """Hash: how long jobs have waited and run, by queue and function (`lifecycle/times.py`)."""
    return f"{prefix}:wm:times"


def set_aside(prefix: str, rest: str) -> str:
    """What stood under the key `<prefix>:<rest>`, with a type that the layout never has there."""
    return f"{prefix}:wm:aside:{rest}"


def write_mark(prefix: str) -> str:
    """Touched to have something to WAIT for."""
    return f"{prefix}:wm:mark"


def probe(prefix: str) -> str:
    """Never set: removed to learn whether the shard takes writes."""
    return f"{prefix}:wm:probe"


def api_keys(prefix: str) -> str:
    """Hash: the records of the API keys, by id; on the first shard."""
    return f"{prefix}:wm:keys"


def audit(prefix: str) -> str:
    """Stream: who changed the configuration, and how; on the first shard."""
    return f"{prefix}:wm:audit"


def operation(prefix: str, operation_id: str) -> str:
    """Hash: an operation on many jobs, and how far it has come; on the first shard, as the next two."""
    return f"{prefix}:wm:operation:{operation_id}"


def operations(prefix: str) -> str:
    """Sorted set of the ids of operations by when they were started."""
    return f"{prefix}:wm:operations"


def open_operations(prefix: str) -> str:
    """Sorted set of the ids of operations that have not ended, by the same."""
    return f"{prefix}:wm:operations:open"


def schedules(prefix: str) -> str:
    """Sorted set of the schedules by when they are due next."""
    return f"{prefix}:wm:schedules"


def schedule(prefix: str, name: str) -> str:
    """Hash: a schedule, and how far it has come."""
    return f"{prefix}:wm:schedule:{name}"


def schedule_history(prefix: str, name: str) -> str:
    """List of what a schedule has done, the latest first."""
    return f"{prefix}:wm:schedule:{name}:history"


def schedule_active(prefix: str, name: str) -> str:
    """List of the ids of a schedule's runs that may not have ended, the latest first."""
    return f"{prefix}:wm:schedule:{name}:active"


def schedule_counts(prefix: str) -> str:
    """Hash: what schedules have done, by outcome."""
    return f"{prefix}:wm:schedules:runs"


def rq_cron_jobs(prefix: str) -> str:
    """Sorted set of the names of RQ's cron jobs, and of ours, by their last run."""
    return f"{prefix}:cron_jobs"


def rq_cron_history(prefix: str, name: str) -> str:
    """Sorted set of the ids of the jobs that a cron job, or a schedule, has run."""
    return f"{prefix}:cron_job:{name}:jobs"


def reporter(prefix: str) -> str:
    """Hash: the lease of the manager that tells of the whole queue."""
    return f"{prefix}:wm:reporter"


def alerts(prefix: str) -> str:
    """String: what alerts have been told, as JSON."""
    return f"{prefix}:wm:alerts"


def backups(prefix: str) -> str:
    """Hash: when each manager's host has made its last backup."""
    return f"{prefix}:wm:backups"


def scaler(prefix: str, what: str) -> str:
    """The scaler's state; `what` is leader, orders, intents, instances, gone, decisions, report, caution or learned."""
    return f"{prefix}:wm:scaler:{what}"
