"""Why and how a worker stops: signals, spot notices, missing managers, and the drain that follows."""
