"""How the sentences of explanations are put together."""


def as_sentence(text: str) -> str:
    """Return a text with a capital letter at its start and a full stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
