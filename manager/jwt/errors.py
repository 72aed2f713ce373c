"""Errors of tokens."""


class JwtError(Exception):
    """A request's token is not accepted."""


class TokenRefused(JwtError):
    """The token is not valid here. The message says why: `it has expired`. Get another token."""


class UnknownSigningKey(TokenRefused):
    """None of the issuer's keys that are known has signed the token."""


class IssuerUnavailable(JwtError):
    """The issuer's keys are not known now. The message says why. Try again."""


class SignInRefused(JwtError):
    """Somebody cannot sign in through the issuer. The message says why, and what to do."""
