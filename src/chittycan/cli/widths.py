"""How wide each column of a table may be where the terminal is too narrow for all of it. Pure."""

from collections.abc import Sequence

from rich.cells import cell_len

LEAST = 8  # characters of a column whose words are broken


def shared(lengths: Sequence[int], room: int) -> list[int]:
    """How wide columns of these lengths may be: what each needs, or else an equal share of what the shorter leave."""
    widths = [0] * len(lengths)
    for left, place in enumerate(sorted(range(len(lengths)), key=lambda place: lengths[place])):
        widths[place] = max(LEAST, min(lengths[place], room // (len(lengths) - left)))
        room -= widths[place]
    return widths


def folded(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """How wide columns with these cells may be, together at most `room` if that can be.

    The widest give way first: as long as lines are broken between words; then within them, and last in the first
    column, whose names and ids people copy, unless it takes more than half of the room.
    """
    widths = [max(map(cell_len, cells), default=0) for cells in columns]
    words = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    broken = [min(words[place], max(LEAST, room // 2) if place == 0 else LEAST) for place in range(len(columns))]
    for least in (words, broken):
        while sum(widths) > room:
            wide = [place for place in range(len(widths)) if widths[place] > least[place]]
            if not wide:
                break
            widths[max(wide, key=lambda place: widths[place])] -= 1
    return widths
