"""How likely each fault of a random hour is, and how long some of them last."""

RATES = {
    "killed_before": 0.05,
    "killed_after": 0.05,
    "paused": 0.08,
    "throttled": 0.08,
    "not_sent": 0.05,
    "answer_lost": 0.08,
    "partial": 0.1,
    "never_boots": 0.08,
    "refused": 0.05,
    "repeat_refused": 0.4,
    "described_late": 0.2,
    "protected": 0.05,
    "describe_throttled": 0.03,
    "describe_unreadable": 0.02,
    "describe_incomplete": 0.03,
    "stalled": 0.001,
    "redis_unavailable": 0.002,
    "redis_answer_lost": 0.002,
    "killed": 0.002,
    "hung": 0.002,
    "spot": 0.0006,
    "rebalance": 0.0006,
    "dies": 0.0004,
    "pool_refused": 0.002,
    "account_refused": 0.0007,
    "quota_changes": 0.0015,
    "metadata_slow": 0.01,
    "metadata_silent": 0.0005,
    "clock_wrong": 0.0008,
    "failover": 0.0008,
}
"""Probability of each fault: of a call's faults per call; of a manager's per round; of an instance's per instance and
second; from `pool_refused` on, but for slow metadata, per step of the clock; they last for some minutes."""
ROLE_NOT_KNOWN, ROLE_IS_NARROW = 0.5, 0.3
"""When the managers' role changes: probability that a call is refused as long as not all of IAM knows the new one
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency says
that it takes time, and not how long), and that the new one allows only what the upgraded managers launch."""
ROLE_LEAD_SECONDS, ROLE_SPREAD_SECONDS = 90.0, 30.0
"""How long before the first manager the role changes, and how long it takes until all of IAM knows it."""
DEAD_JOB_SECONDS = 60.0
"""The job of a dead worker is taken back within this time if no clock steps. A lease that lies months ahead, because
its worker died while a clock was wrong, is the queue's matter, and left out here."""
RATES_AFTER_THE_HOUR = {"never_boots": 0.02}
