"""What is wrong with a data set's files: kinds of problems, each with the places where it was found."""

from collections import defaultdict
from dataclasses import dataclass, field

_EXAMPLES = 3  # of each kind of problem are named
_LONGEST = 200  # characters of a place


@dataclass
class Problems:
    """What is wrong with an annotation file, and what became of it."""

    source: str
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dropped: int = 0  # annotations
    dropped_images: int = 0
    mended: int = 0  # values

    def add(self, kind: str, place: str) -> None:
        """Note one problem."""
        self.places[kind].append(printable(place))

    def mend(self, kind: str, place: str) -> None:
        """Note one value that was wrong and is not any more."""
        self.add(kind, place)
        self.mended += 1

    def __bool__(self) -> bool:
        return bool(self.places)

    @property
    def outcome(self) -> str:
        """What became of them: "3 bad annotations and 1 bad image dropped, 2 values mended"; or nothing."""
        counts = {"bad annotation": self.dropped, "bad image": self.dropped_images}
        parts = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
        parts = [f"{' and '.join(parts)} dropped"] if parts else []
        if self.mended:
            parts.append(f"{self.mended} value{'s' * (self.mended > 1)} mended")
        return ", ".join(parts)

    @property
    def price(self) -> str:
        """What dropping costs, as the end of a sentence."""
        return "; an object whose annotation is dropped trains as background" if self.dropped else ""

    def __str__(self) -> str:
        """One line a kind: how many, and the first few."""
        lines = []
        for kind, places in self.places.items():
            more = f" and {len(places) - _EXAMPLES} more" if len(places) > _EXAMPLES else ""
            lines.append(f"  {len(places)} x {kind}: {'; '.join(places[:_EXAMPLES])}{more}")
        return "\n".join(lines)


def printable(text: str) -> str:
    """A text of somebody's file as one line that any terminal shows."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return shown.encode("utf-8", "backslashreplace").decode()
