"""From the policy's decision to the instances that it concerns. Pure."""
