"""Why a job does not run: `GET /jobs/{id}/explain`.

`reading` reads the facts, `explanation` makes a sentence of them.
"""
