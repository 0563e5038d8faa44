"""What calls raise: the line that the commands print, as Python's kinds of errors.

Every class is an :class:`Error` and one of Python's own, so that ``except ValueError`` and
``except OSError`` work as expected.
"""
from __future__ import annotations


class Error(Exception):
    """Base of all errors that the engine raises on purpose. Its text is one line: what, where, what to do."""


class ComputationError(Error, RuntimeError):
    """A result is not finite (overflow), a matrix is not positive definite, or the like."""


class UsageError(Error, ValueError):
    """Arguments that contradict each other, or that nothing can be made of."""


class NetworkError(Error, ValueError):
    """A network that is malformed, or does not fit the images.

    ``where`` is the place in the network, as in ``layers[3].kernel_size``; it may be empty.
    """

    where: str = ""


class DataError(Error, ValueError):
    """Images, labels or a file that are not what they claim to be. ``file`` names them."""

    file: str = ""


class ResumeRefusedError(Error, ValueError):
    """The inputs differ from those of the interrupted run that was to be resumed."""


class FileError(Error, OSError):
    """A file could not be read or written. ``errno`` is the system's number, where there is one."""


class NoSpaceError(FileError):
    """The disk is full. What is finished is kept and can be resumed."""


class LockedError(Error, OSError):
    """Another process writes this output."""


class CannotCreateError(Error, OSError):
    """The output exists already, or cannot be created."""


class UnfinishedRunError(Error, OSError):
    """An unfinished run of that name is in the way: resume it, or overwrite."""


class PartMissingError(Error, RuntimeError):
    """A share or a part of a file is missing or damaged."""


class InterruptedRunError(Error, RuntimeError):
    """Stopped before the end; files can be resumed."""
