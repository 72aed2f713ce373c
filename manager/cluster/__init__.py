"""Cluster controller for the Redis Cluster on the managers' hosts: form it, replace members, fail masters back.

`reconciler` reads the views of all members and sends the commands that `plan` decides on. `health` sums the views up
for operators. Each manager runs a reconciler; two that send the same commands do no harm.
"""
