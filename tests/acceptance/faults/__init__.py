"""The whole system on hosts of its own, under load, while what can break is broken; and a checker that counts.

`python -m tests.acceptance.faults --seconds 600 --seed 7` mixes faults at random, tells what it does, and says at the
end what was acknowledged, lost, doubled or wrong; the same seed breaks the same things again. Hosts are network
namespaces, so it needs root.
"""
