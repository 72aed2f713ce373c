"""How the sentences of explanations are put together."""


def as_sentence(text: str) -> str:
    """Return a text with a capital letter at its start and a full stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
