"""What each page shows, computed from what was read. Pure."""
