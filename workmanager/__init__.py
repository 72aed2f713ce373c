"""The command line, the HTTP client for Python, and `workmanager up`: the whole system on one machine."""
