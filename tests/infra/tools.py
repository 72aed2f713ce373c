"""Programs that the tests of the deployment use, each in an environment of its own."""

from __future__ import annotations

from benchmarks.harness.environments import Environment

AWS_CLI = Environment("awscli", ("awscli==1.46.2",))
MINISTACK = Environment("ministack", ("ministack==1.5.33", "cryptography==50.0.2"))
