"""RQ's own tests, with our worker in place of RQ's: `./scripts/dev.sh rq-tests`. Not part of CI."""
