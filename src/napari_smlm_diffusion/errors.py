"""The errors a user can meet. Each says what was wrong, what was got, and what is allowed."""


class SmlmError(Exception):
    """Base of every error raised on purpose.

    Never a ``RuntimeError``: inside a generator worker of napari a ``RuntimeError`` is swallowed,
    so that neither ``errored`` nor ``finished`` is emitted.
    """


class InputError(SmlmError):
    """What the user gave (a file, an option, a setting) cannot be used. Exit code 2."""


class OutputError(SmlmError):
    """A result cannot be written, for example because the disk is full. Exit code 1."""
