"""DiffusionDB (arXiv 2210.14896): prompts of pictures from its tables and from the JSON beside each part.

    metadata.parquet   image_name, prompt, part_id, seed, step, cfg, sampler, ...   (two million rows: read in pieces)
    part-000001.json   {"<uuid>.png": {"p": prompt, "se": seed, "c": cfg, "st": steps, "sa": sampler}, ...}

Names are unique, so where the parts were unpacked to does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from lib_hps.errors import InputError, StorageError

_NAME, _PROMPT = "image_name", "prompt"
_ROWS = 65_536  # of a table in memory at once


def prompts_of(folder: Path, names: Collection[str], *, report: Callable[[str], None]) -> dict[str, str]:
    """The prompts of the pictures `names` by what lies in `folder`: `*.parquet` and `part-*.json`, in any depth.

    Args:
        folder: of the pictures or above them.
        names: of picture files, without folders.
        report: is told what cannot be read.

    Raises:
        InputError: pyarrow is not installed.
        StorageError: a table cannot be read.
    """
    found: dict[str, str] = {}
    for table in sorted(folder.rglob("*.parquet")):
        found |= _of_table(table, names, report)
    for part in sorted(folder.rglob("part-*.json")):
        try:
            rows = json.loads(part.read_text("utf-8"))
            found |= {name: str(row["p"]).strip() for name, row in rows.items() if name in names}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            report(f"{part} is no part of DiffusionDB ({type(error).__name__}: {error}).")
    return found


def _of_table(path: Path, names: Collection[str], report: Callable[[str], None]) -> dict[str, str]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputError(f"{path} needs the package pyarrow. Install it: pip install 'sd-webui-hps[data]'.") from error
    found: dict[str, str] = {}
    try:
        with parquet.ParquetFile(path) as table:
            if not {_NAME, _PROMPT} <= set(table.schema_arrow.names):
                report(f"{path} has no {_NAME} and {_PROMPT}; it is not DiffusionDB's, and not read.")
                return {}
            for batch in table.iter_batches(batch_size=_ROWS, columns=[_NAME, _PROMPT]):
                rows = zip(batch.column(_NAME).to_pylist(), batch.column(_PROMPT).to_pylist(), strict=True)
                found |= {name: str(prompt or "").strip() for name, prompt in rows if name in names}
    except pyarrow.ArrowInvalid as error:
        report(f"{path} is damaged ({error}); later rows are not read.")
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error}.") from error
    return found
