"""Administers the Redis Cluster on the managers' own hosts: forms it, joins and replaces members, fails masters back.

`plan` decides from what every member says, `Steward` asks and carries out. Each manager runs one; nothing harms where
two do the same.
"""
