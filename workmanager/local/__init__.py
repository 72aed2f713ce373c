"""The whole system on one machine: embedded Valkey servers and supervised manager processes."""
