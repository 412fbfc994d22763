"""Files of weights at a URL, kept where torch.hub keeps them. Imports no torch."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.request
from pathlib import Path

from tqdm import tqdm

CHUNK = 2**20


def hub_file(url: str) -> Path | None:
    """Return the place of a URL's file in torch.hub's cache; None for what is no URL."""
    if not url.startswith("https://"):
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = os.environ.get("TORCH_HOME") or Path(cache) / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints" / url.rpartition("/")[2]


def fetch_url(url: str) -> Path:
    """Return the file of a URL, fetched where it is not in the cache.

    Raises LookupError with what was looked for, where, and how to get it.
    """
    file = hub_file(url)
    assert file is not None
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _download(url, file)
    except OSError as error:
        raise LookupError(
            f"model.checkpoint={url}: not in the cache {file.parent}, and could not be "
            f"downloaded ({error}); with network access, download it and copy it to {file}"
        ) from error
    return file


def _download(url: str, file: Path) -> None:
    """Write the whole file or none; a name such as resnet50-11ad3fa6.pth tells its SHA-256."""
    told = re.search(r"-([0-9a-f]{8,})\.", file.name)
    digest = hashlib.sha256()
    with (
        urllib.request.urlopen(url, timeout=60) as given,
        tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part,
    ):
        try:
            size = int(given.headers.get("Content-Length") or 0) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=file.name, leave=False) as bar:
                while chunk := given.read(CHUNK):
                    part.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if told and not digest.hexdigest().startswith(told[1]):
                raise OSError(f"its SHA-256 is {digest.hexdigest()}, expected {told[1]}...")
            part.close()
            Path(part.name).replace(file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
