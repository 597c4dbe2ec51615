"""MusicGens from the Hugging Face hub: the one place where the network is used, and when asked.

What is needed is fetched into a folder that is no model yet, and kept there when it is interrupted:
the same command goes on where it ended. Every file's size, and the hash of each large one, is what
the hub says before the folder becomes a model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import bad_file, digest
from engine.models.musicgen import licence
from engine.models.musicgen.installing import SMALL, Progress, companions, free_place, seal
from engine.models.musicgen.known import LICENCE, local_name, refusal
from engine.models.musicgen.layout import (
    CODEC_STATE_DICT,
    CONFIG_JSON,
    INDEX,
    SAFETENSORS,
    STATE_DICT,
    TOKENIZER_JSON,
    check_type,
    read_config,
    shards,
)

TEXT_ENCODER = "google-t5/t5-base"
"""Where the tokenizer is that all of them share, if a model comes without it."""

WITHOUT_OWNER = {f"t5-{size}": f"google-t5/t5-{size}" for size in ("small", "base", "large")}
"""Text encoders as audiocraft calls them → where they are now."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is about to be fetched."""

    repository: str
    licence: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of the hub."""

    repository: str
    revision: str
    file: str
    size: int
    sha256: str
    """In hex; empty for small files."""

    place: PurePosixPath
    """Where it goes in the model's folder."""


def fetch(
    repository: str,
    *,
    offered: Callable[[Offer], None] = lambda offer: None,
    progress: Progress = lambda part: None,
    endpoint: str | None = None,
) -> Path:
    """Install the model ``owner/name`` under its last part, and return its folder.

    ``offered`` is called with licence and size before anything large is fetched. ``endpoint`` is
    another hub than the one that huggingface_hub is set to.
    Raises ``unknown-model`` where there is none, the hub is not reached or it is of a family that
    is not played, ``bad-file`` where it has no weights that can be read without running code,
    ``not-allowed`` where it is gated, a model of its name is there or the disk is too small.
    """
    if (why := refusal(repository)) is not None:
        raise SidemanError(Code.UNKNOWN_MODEL, f"{repository} {why}")
    hub = _Hub(endpoint)
    target = free_place(local_name(repository))
    there, said = hub.files(repository)
    staging = target.with_name(f".fetching-{target.name}")
    try:
        wanted = _choose(hub, repository, there, staging)
        terms = licence.spelled(said) if said else LICENCE
        total = sum(file.size for file in wanted)
        offered(Offer(repository, terms, total))
        _fetch_all(hub, wanted, staging, progress)
        if not (staging / CONFIG_JSON).is_file():
            more = [file for name in _companions(staging) for file in _companion(hub, name)]
            _fetch_all(hub, more, staging, progress)
            wanted += more
        _keep_only(staging, {file.place for file in wanted})
        seal(staging, target, terms)
    except SidemanError as error:
        # What can be gone on with is kept, what will be refused again is not.
        if not isinstance(error, _InterruptedError):
            shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


class _InterruptedError(SidemanError):
    """The network's fault."""


class _Hub:
    """The hub by huggingface_hub, which is imported when it is asked."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint

    def files(self, repository: str) -> tuple[dict[str, Remote], str]:
        """The files of a repository by name, and the licence that its card names."""
        from huggingface_hub import HfApi

        with _asking(repository):
            api = HfApi(endpoint=self._endpoint)
            about: Any = api.model_info(repository, files_metadata=True)
        card: Any = about.card_data or {}
        found = {
            each.rfilename: Remote(
                repository,
                about.sha or "main",
                each.rfilename,
                each.size or 0,
                each.lfs.sha256 if each.lfs else "",
                PurePosixPath(each.rfilename),
            )
            for each in about.siblings or ()
        }
        said = card.get("license")
        return found, said if isinstance(said, str) else ""

    def fetch(self, remote: Remote, folder: Path, tell: Callable[[int], None]) -> Path:
        """A file into its place, on from where an earlier attempt ended.

        ``tell`` is called with bytes as they come, and at first with those that are there. Raises
        ``bad-file`` where it came out another than the hub says.
        """
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        path = folder / remote.place
        if remote.sha256 and path.is_file() and digest(path) == remote.sha256:
            tell(remote.size)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes of another revision would not fit to those that come now.
        part = path.with_name(f"{path.name}.{remote.sha256[:16] or remote.revision[:16]}.part")
        with _asking(remote.repository), part.open("ab") as file:
            tell(file.tell())
            http_get(
                hf_hub_url(
                    remote.repository,
                    remote.file,
                    revision=remote.revision,
                    endpoint=self._endpoint,
                ),
                file,
                resume_size=file.tell(),
                headers=build_hf_headers() | {"Accept-Encoding": "identity"},
                expected_size=remote.size,
                tqdm_class=_bar(tell),
            )
        if remote.sha256 and digest(part) != remote.sha256:
            part.unlink()
            raise bad_file(path, f"of {remote.repository} came damaged: get it again")
        part.replace(path)
        return path


@contextmanager
def _asking(repository: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into one line of what to do, and silences its own lines."""
    from huggingface_hub import errors
    from huggingface_hub import logging as _logging

    logging: Any = _logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except errors.GatedRepoError as error:
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"{repository} is given to those only who accepted its terms: do so on its page on the "
            "hub, and run `hf auth login`",
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"the hub has no model {repository[:100]!r}, or it is private"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise _InterruptedError(
            Code.UNKNOWN_MODEL,
            f"{repository} can't be fetched: HF_HUB_OFFLINE is set, so that the hub is not asked",
        ) from error
    except Exception as error:  # its HTTP library is another one with every few versions
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise _InterruptedError(
            Code.UNKNOWN_MODEL,
            f"{repository} can't be fetched now ({line}): run the command again, or give the path "
            "of a folder that holds it",
        ) from error
    finally:
        logging.set_verbosity(verbosity)


def _choose(hub: _Hub, repository: str, there: Mapping[str, Remote], staging: Path) -> list[Remote]:
    """The files that a model needs, of one layout; its small files say whether it is played."""
    if CONFIG_JSON in there:
        config = hub.fetch(there[CONFIG_JSON], staging, _nothing)
        check_type(repository, read_config(config))
        weights = []
        if SAFETENSORS in there:
            weights = [SAFETENSORS]
        elif INDEX in there:
            weights = shards(hub.fetch(there[INDEX], staging, _nothing))
        if weights:
            names = [name for name in (*weights, *SMALL) if name in there]
            if lacking := [name for name in weights if name not in there]:
                raise bad_file(staging / lacking[0], f"is missing from {repository}")
            chosen = [there[name] for name in names if name != INDEX or SAFETENSORS not in weights]
            if TOKENIZER_JSON not in there:
                chosen.append(_file(hub, TEXT_ENCODER, TOKENIZER_JSON))
            return chosen
        config.unlink()
    if {STATE_DICT, CODEC_STATE_DICT} <= there.keys():
        return [
            there[name] for name in (STATE_DICT, CODEC_STATE_DICT, licence.CARD) if name in there
        ]
    pickled = sorted(name for name in there if name.endswith((".bin", ".th", ".pt", ".ckpt")))
    if pickled:
        raise SidemanError(
            Code.BAD_FILE,
            f"{repository} has its weights only in {pickled[0][:60]}, which may hold objects that "
            "run code: ask its author for safetensors, or for audiocraft's export",
        )
    raise SidemanError(Code.UNKNOWN_MODEL, f"{repository} is no MusicGen: it has no weights of one")


def _file(hub: _Hub, repository: str, name: str) -> Remote:
    there, _ = hub.files(repository)
    if name not in there:
        raise bad_file(Path(name), f"is missing from {repository}")
    return there[name]


def _companions(folder: Path) -> Iterator[str]:
    """The repositories of text encoder and codec that an export of audiocraft names."""
    for name, _ in companions(folder):
        yield WITHOUT_OWNER.get(name, name)


def _companion(hub: _Hub, repository: str) -> Iterator[Remote]:
    """What is needed of a text encoder's or a codec's repository, to lie in a folder of its own."""
    there, _ = hub.files(repository)
    wanted = [CONFIG_JSON, SAFETENSORS, TOKENIZER_JSON]
    if SAFETENSORS not in there:
        wanted = [CODEC_STATE_DICT]
    for name in wanted:
        if (file := there.get(name)) is not None:
            place = PurePosixPath(repository).name / file.place
            yield Remote(repository, file.revision, name, file.size, file.sha256, place)


def _fetch_all(hub: _Hub, files: list[Remote], staging: Path, progress: Progress) -> None:
    total = sum(file.size for file in files) or 1
    staging.parent.mkdir(parents=True, exist_ok=True)
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    free = shutil.disk_usage(staging.parent).free
    if total - there > free:
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"{total / 2**30:.1f} GiB are needed in {store.user_folder()}, and "
            f"{free / 2**30:.1f} GiB are free",
        )
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress(min(1.0, done / total))

    for file in files:
        hub.fetch(file, staging, tell)


def _keep_only(staging: Path, places: set[PurePosixPath]) -> None:
    """Without what attempts at another revision have left."""
    for path in staging.rglob("*"):
        if path.is_file() and PurePosixPath(path.relative_to(staging).as_posix()) not in places:
            path.unlink()


def _bar(tell: Callable[[int], None]) -> Any:
    """What huggingface_hub takes for a progress bar of tqdm's."""

    class Bar:
        def __init__(self, **_: object) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: int) -> None:
            tell(count)

    return Bar


def _nothing(_: int) -> None:
    pass
