"""The fleet of EC2 instances: launches, descriptions, capacity pools and error codes."""
