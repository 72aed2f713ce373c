"""Alerts that managers send themselves: what needs a person, told once when it begins and once when it ends."""
