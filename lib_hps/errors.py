"""The one error tree of the core: each message names the value and the way out; only a host puts it on a screen."""

from __future__ import annotations


class HpsError(Exception):
    """Something this project can explain in one sentence."""


class InputError(HpsError, ValueError):
    """A value, picture, prompt or file given by the caller cannot be used."""


class NotFoundError(InputError):
    """There is no such session, picture or round."""


class ConflictError(HpsError):
    """Somebody else was faster: another tab or program changed what the caller wanted to change."""


class WeightsError(HpsError):
    """A weight file is missing, damaged, unsafe or of another architecture."""


class DownloadError(HpsError):
    """Weights could not be fetched."""


class StorageError(HpsError, OSError):
    """A file could not be written."""


class Cancelled(HpsError):
    """The user asked to stop; what was finished is kept."""
