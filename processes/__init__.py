"""What every program of the project needs as an operating-system process.

Ending with the parent process, noticing that the whole system was stopped, and the logging set-up. This is a leaf:
every other package may import it, it imports none of them, and it needs nothing but the standard library.
"""
