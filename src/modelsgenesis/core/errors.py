"""The few typed errors: all but the missing extra are ValueErrors; messages name what was given and what to do."""


class GenesisError(ValueError):
    """The base class of every error that this package raises; the command line prints it as one line."""


class ShapeError(GenesisError):
    """A size, a number of axes or a number of channels does not fit."""


class DataError(GenesisError):
    """A scan, a store or a table is not what it should be."""


class WeightsError(GenesisError):
    """A weights file is broken, hostile or of another network."""


class TrainingError(GenesisError):
    """A run that cannot go on, or cannot be resumed with these settings."""


class MissingExtraError(ImportError):
    """An optional library is absent; the message holds the line that installs it."""
