"""Names that name nobody: salted hashes, and folds decided by them."""

import hmac

LENGTH = 16  # hexadecimal digits: 64 bits


def hashed(salt: str, kind: str, raw: str) -> str:
    """Hash a raw identifier so that only the holder of the salt can tell whose it is.

    Args:
        salt: the store's secret.
        kind: "patient", "series" or "scan": one raw text gives unrelated ids.
        raw: as the source has it.
    """
    return hmac.new(salt.encode(), f"{kind}\0{raw}".encode(), "sha256").hexdigest()[:LENGTH]


def fold_of(patient: str, folds: int) -> int:
    """The fold of a patient, from the salted id alone: adding scans later moves nobody."""
    return int(patient, 16) % folds
