"""What a round observes: the demand of the queue, and the phase of each instance."""
