"""Operations on many jobs: requeue, cancel or delete all that match a filter, step by step.

`operation` is what they are, `store` keeps them in Redis, `search` finds their jobs, `runner` works through them.
"""
