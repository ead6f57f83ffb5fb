"""Looking at a few files of the manifest folder, of which a watch has told, instead of at all of them.

Belongs here: what a whole look (`manifestfiles`) would find of these names, at the cost of these names. May
not be here: deciding whether that is enough (`filesource`). Calls here block on the disk, as there.
"""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.sources.manifestfiles import (
    Known,
    Look,
    Request,
    entry_of,
    inode_keys,
    is_backup,
    is_link,
    look,
)
from minikubelet.sources.manifestset import Entry, Gone, Ignored, Listing, Same


def look_again(request: Request) -> Look:
    """Look at the names in `request.only`; at everything without it, or where the folder is in question."""
    if request.only is None:
        return look(request)
    try:
        return _look_at(request, request.only)
    except OSError:
        return look(request)


def _look_at(request: Request, only: frozenset[str]) -> Look:
    names = {name: os.path.lexists(request.path / name) for name in only}
    aside: list[tuple[int, int]] = []
    if any(name in request.known for name, there in names.items() if not there):
        # Where has it gone? Renamed, its new name may not have been told yet; set aside, it comes back.
        aside, new = _others(request)
        names.update(dict.fromkeys(new, True))
    entries: list[Entry] = []
    known: dict[str, Known] = dict(request.known)
    big: list[str] = []
    gone: list[str] = []
    linked = False
    for name in sorted(names):
        file = request.path / name
        known.pop(name, None)
        if not names[name]:
            entries.append(Gone(name))
            gone.append(name)
        elif name.startswith("."):
            continue
        elif is_backup(name):
            entries.append(Ignored(name, "looks like an editor's or backup file, by its name"))
        else:
            linked = linked or is_link(file)
            entry, found = entry_of(request, file)
            if found is not None:
                known[name] = found
            if entry is None:
                big.append(name)
            entries.append(entry or Same(name))
    renamed = tuple(n for n in gone if n in request.known and request.known[n].inode_key in aside)
    return Look(Listing(tuple(entries), partial=True), known, tuple(big), renamed, linked=linked)


def _others(request: Request) -> tuple[list[tuple[int, int]], list[str]]:
    """The inodes of what is set aside in the folder, and the names that nothing is known of."""
    aside: list[tuple[int, int]] = []
    new: list[str] = []
    for name in os.listdir(request.path):  # noqa: PTH208 - names are all that is asked for
        if name.startswith(".") or is_backup(name):
            aside.extend(inode_keys(Path(request.path, name)))
        elif name not in request.known:
            new.append(name)
    return aside, new
