"""What keeps one job's traces from the next: its process is restored, watched, limited, or a fork of its own."""
