"""The manager: an HTTP API in front of the queue, which also runs the queue's maintenance and the scaler.

Several managers serve the same queue. `http` handles connections and API keys, `routes` the endpoints, `schemas` the
request and response bodies. `queue` is the queue as requests use it, `cluster` keeps the managers' own Redis Cluster in
shape. `app` composes the application and `server` runs it.
"""
