"""Schedules: jobs that run again and again, by a cron expression or at an interval."""
