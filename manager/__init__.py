"""The HTTP node: takes jobs in, hands results out, shows the queue, and cares for it while it runs.

`front` answers every request (keys, errors, log line, metrics) and sends the three hot routes straight to their
handlers; the others go through FastAPI. `service` is what the routes ask: the queue, behind group commits.
"""
