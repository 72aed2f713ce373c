"""HTTP below the routes: connection protocol, gateway, authentication, request parsing, error responses.

A request passes `uvicorn_protocol`, then `gateway` (API key, access log, metrics), then its route.
"""
