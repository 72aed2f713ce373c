"""HTTP requests to addresses that a user names: judged, bounded, and without anything from this machine.

Workers send the requests of the function `http` with it. Managers may import it, too.
"""
