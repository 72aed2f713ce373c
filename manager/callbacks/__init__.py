"""Callbacks: what a submission may ask for, and how managers tell receivers of the ends of jobs."""
