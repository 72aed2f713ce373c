"""A virtual clock on which scaling policies serve recorded arrivals: ours, and the rules of its peers."""
