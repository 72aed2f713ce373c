"""The scaler: launches and drains worker instances as the queue demands.

`loop` runs in every manager and lets one of them lead. A round goes through the rooms: `observe` instances and demand,
`learn` estimates, `policy` (the pure decision), `decide` on actions, `apply` them to a fleet. Redis keeps the `state`.
"""
