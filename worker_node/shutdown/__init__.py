"""Why and how a worker stops: signals, EC2 interruption notices, missing managers, and the drain that follows."""
