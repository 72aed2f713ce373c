"""How messages name numbers of things."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 job", "2 jobs", "1,000 jobs". `plural`: if it is not the noun and an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
