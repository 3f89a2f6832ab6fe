"""Texts in CSV cells that no spreadsheet takes for a formula, and that are read back as they were."""

import csv
import io

# With one of these at the front a spreadsheet takes a cell for a formula, and may run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_MARK = "'"


def safe_cell(text: str) -> str:
    """The cell as it stands in the file: quoted where it has to be, and with an apostrophe before a formula's sign."""
    safe = _MARK + text if text.startswith((*_FORMULA, _MARK)) else text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([safe])
    return line.getvalue()


def plain_text(cell: str) -> str:
    """The text that `safe_cell` was given, from a cell that was read without its quotes."""
    return cell[1:] if cell.startswith(_MARK) and cell[1:].startswith((*_FORMULA, _MARK)) else cell
