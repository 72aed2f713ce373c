"""The fleet of EC2 instances."""
