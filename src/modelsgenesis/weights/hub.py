"""The Hugging Face hub: an exported folder goes up, a folder of weights comes down."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from modelsgenesis.core.errors import MissingExtraError, WeightsError
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance

CARD = "README.md"
STAYS = (PROVENANCE, ".*", "*.part")  # names paths of this machine, or is no part of the export


def push(
    folder: Path, repo: str, *, public: bool = False, endpoint: str | None = None, token: str | None = None
) -> str:
    """Upload an exported folder without its provenance.

    Args:
        folder: made by `genesis export`.
        repo: OWNER/NAME; made if it is not there.
        public: to all; otherwise a new repository is private. One that is there stays as it is.
        endpoint: of another hub.
        token: of an account; by default that of `hf auth login`.
    Returns:
        The address of the commit.
    Raises:
        WeightsError: the folder is no export, or the hub refuses.
        DataError: the folder is unfinished.
        MissingExtraError: huggingface_hub is not installed.
    """
    library = _library()
    read_provenance(folder, "export")
    if not (folder / CARD).is_file():
        raise WeightsError(f"{folder}: has no {CARD}, which says what the weights are and what their licence is")
    api = library.HfApi(endpoint=endpoint, token=token)
    with _explained(repo):
        api.create_repo(repo, private=not public, exist_ok=True)
        made = api.upload_folder(
            repo_id=repo, folder_path=folder, ignore_patterns=list(STAYS), commit_message="Upload weights"
        )
    return str(made.commit_url)


def pull(
    repo: str, into: Path, *, revision: str | None = None, endpoint: str | None = None, token: str | None = None
) -> Path:
    """Download all files of a repository; after an interruption the same call continues.

    Args:
        repo: OWNER/NAME.
        into: the folder; it is there only when all files have arrived.
        revision: a branch, a tag or a commit; by default the newest.
        endpoint: of another hub.
        token: of an account; by default that of `hf auth login`.
    Returns:
        `into`.
    Raises:
        WeightsError: the folder is there already, or the hub refuses.
        MissingExtraError: huggingface_hub is not installed.
    """
    library = _library()
    if into.exists():
        raise WeightsError(f"{into}: is there already; name another folder, or remove it")
    aside = into.with_name(f".{into.name}.part")
    with _explained(repo):
        library.snapshot_download(
            repo, revision=revision, local_dir=aside, cache_dir=aside / ".cache", endpoint=endpoint, token=token
        )
    shutil.rmtree(aside / ".cache", ignore_errors=True)  # what its resuming needed
    os.replace(aside, into)
    return into


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError(
            f"the hub needs huggingface_hub ({error}); in the clone of modelsgenesis: "
            "pip install -c constraints.txt '.[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn errors of huggingface_hub into ours, of one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise WeightsError(f"{repo}: not the name of a repository, which is OWNER/NAME ({error})") from error
    except errors.GatedRepoError as error:
        raise WeightsError(f"{repo}: its owner lets in whom he knows; ask on its page, then hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(f"{repo}: there is none, or it is not for this account; hf auth login names one") from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{repo}: has no such revision; leave --revision out for the newest") from error
    except errors.LocalTokenNotFoundError as error:
        raise WeightsError(f"{repo}: the hub must know who you are; run hf auth login") from error
    except errors.HfHubHTTPError as error:
        raise WeightsError(f"{repo}: the hub refuses ({_first_line(error)})") from error
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise WeightsError(
            f"{repo}: the hub cannot be reached ({_first_line(error)}); is this machine offline?"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
